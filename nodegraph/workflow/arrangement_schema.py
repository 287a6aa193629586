"""The part of the published JSON Schema that says how a workflow may lie on a canvas."""

from __future__ import annotations

from typing import Any, Final

from nodegraph.workflow.arrangement import COLOUR

Schema = dict[str, Any]

COLOUR_SCHEMA: Final[Schema] = {
    "type": ["string", "null"],
    "pattern": f"^(?:{COLOUR.pattern})$",
    "description": "A name such as red, or #rrggbb.",
}
SWITCH: Final[Schema] = {"type": ["boolean", "null"]}


def arrangement_schemas() -> Schema:
    """The keys `groups`, `notes` and `layout` of a workflow."""
    place: Schema = {"at": nullable(numbers(2)), "size": nullable(numbers(2)), "colour": COLOUR_SCHEMA}
    texts: Schema = {"text": {"type": "string"}, "title": {"type": ["string", "null"]}}
    spot = mapping({**place, "collapsed": SWITCH, "pinned": SWITCH})
    points: Schema = {"type": "array", "minItems": 1, "items": numbers(2)}
    frame = mapping({**place, "at": numbers(2), "size": numbers(2)}, required=["at", "size"])
    return {
        "groups": {
            "description": "Frames on the canvas by title: [left, top, width, height]. They never change a result.",
            "type": ["object", "null"],
            "additionalProperties": {"anyOf": [numbers(4), frame]},
        },
        "notes": {
            "description": "Texts on the canvas. They never change a result.",
            "type": ["array", "null"],
            "items": mapping({**texts, **place}, required=["text"]),
        },
        "layout": {
            "description": "Where nodes stand on the canvas: [x, y], [x, y, width, height], or a mapping that says "
            "more; below NODE.INPUT the points that a link passes. It never changes a result.",
            "type": ["object", "null"],
            "additionalProperties": {"anyOf": [numbers(2), numbers(4), spot, points]},
        },
    }


def numbers(count: int) -> Schema:
    """A list of so many numbers."""
    return {"type": "array", "items": {"type": "number"}, "minItems": count, "maxItems": count}


def nullable(schema: Schema) -> Schema:
    """What may also be left empty."""
    return {"anyOf": [{"type": "null"}, schema]}


def mapping(properties: Schema, required: list[str] | None = None) -> Schema:
    """A mapping with these keys and no others."""
    schema: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return schema | ({"required": required} if required else {})
