"""The published JSON Schema (2020-12) of workflows, from which editors complete and check while one types.

It is made from the registered node types. An editor's check is a help, not the judge: what `$name` refers
to, and whether its type fits, only the graph's own check knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, get_args
from urllib.parse import quote

from nodegraph.node import InputSpec, NodeSpec
from nodegraph.registry import Registry
from nodegraph.workflow.arrangement_schema import arrangement_schemas
from nodegraph.workflow.document import CachePolicy
from nodegraph.workflow.document_builder import VERSION
from nodegraph.workflow.editor_keys import MODEL_KEYS, MODES
from nodegraph.workflow.param_reader import PARAM_TYPES
from nodegraph.workflow.scalars import INT_MAX, INT_MIN
from nodegraph.workflow.sweep_reader import SPAN
from nodegraph.workflow.texts import FORBIDDEN, NAME, NAME_HELP, REFERENCE

Schema = dict[str, Any]

#: A node that is swept; what it needs may be given there instead of below `with`.
SWEPT: Final[Mapping[str, object]] = {"anyOf": [{"required": ["foreach"]}, {"required": ["matrix"]}]}
REFERENCE_SCHEMA: Final[Mapping[str, object]] = {"$ref": "#/$defs/reference"}


def json_schema(registry: Registry) -> Schema:
    """The schema of workflows made of the node types in `registry`."""
    specs = [registry.specs[name] for name in registry.names()]
    named = {"propertyNames": {"$ref": "#/$defs/name"}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nodegraph workflow",
        "description": "A graph of nodes, and the parameters that callers may set.",
        "type": "object",
        "required": ["nodegraph", "nodes"],
        "additionalProperties": False,
        "properties": {
            "nodegraph": {"const": VERSION, "description": "The version of the format."},
            "name": text_schema("The name of the workflow."),
            "description": text_schema("What the workflow does."),
            "params": {
                "description": "Values that callers may set with --set NAME=VALUE; $NAME refers to one.",
                "type": ["object", "null"],
                "additionalProperties": {"$ref": "#/$defs/param"},
                **named,
            },
            "foreach": sweep_schema("Values of parameters (or NODE.INPUT) that belong together, tried one by one."),
            "matrix": sweep_schema("Values of parameters (or NODE.INPUT), tried in every combination."),
            "nodes": {
                "description": "The nodes by id; $ID or $ID.OUTPUT refers to what one gives.",
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/node"},
                **named,
            },
            "outputs": {
                "description": "Names for what the workflow gives to its caller.",
                "type": ["object", "null"],
                "additionalProperties": REFERENCE_SCHEMA,
                **named,
            },
            **arrangement_schemas(),
        },
        "$defs": {
            "name": {
                "pattern": f"^{NAME.pattern}$",
                "not": {"enum": sorted(FORBIDDEN)},
                "description": NAME_HELP,
            },
            "reference": {
                "type": "string",
                "pattern": f"^{REFERENCE.pattern}$",
                "description": "A link: $NODE, $NODE.OUTPUT or $PARAMETER.",
            },
            "template": {
                "type": "string",
                "pattern": r"\$\{",
                "description": "A text with ${PARAMETER} in it.",
            },
            "series": series_schema(),
            "param": param_schema(),
            "node": node_schema(specs),
            **{definition(spec): inputs_schema(spec) for spec in specs},
        },
    }


def param_schema() -> Schema:
    """A declaration below `params:`."""
    scalar: Schema = {"type": ["string", "number", "boolean", "null"]}
    long_form: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "type": {
                "enum": list(PARAM_TYPES),
                "description": "Inferred from the default where it is left out.",
            },
            "default": {**scalar, "description": "Without one, callers must give a value."},
            "min": {"type": ["number", "null"], "description": "The smallest value, included."},
            "max": {"type": ["number", "null"], "description": "The largest value, included."},
            "choices": {
                "type": "array",
                "items": scalar,
                "minItems": 1,
                "description": "All values there are.",
            },
            "description": text_schema("What the parameter does."),
        },
    }
    return {
        "description": "A default, or a declaration with a type and bounds.",
        "anyOf": [scalar, long_form],
    }


def node_schema(specs: list[NodeSpec]) -> Schema:
    """An entry below `nodes:`; what `with` may hold depends on `uses`."""
    cases: list[Schema] = []
    for spec in specs:
        used: Schema = {"required": ["uses"], "properties": {"uses": {"const": spec.name}}}
        names = {"propertyNames": {"enum": [given.name for given in spec.inputs]}}
        given: Schema = {"with": {"$ref": f"#/$defs/{pointer(definition(spec))}"}, "foreach": names, "matrix": names}
        cases.append({"if": used, "then": {"properties": given}})
        required = [given.name for given in spec.inputs if given.required]
        if required:
            needs: Schema = {"properties": {"with": {"type": "object", "required": required}}, "required": ["with"]}
            cases.append({"if": used | {"not": SWEPT}, "then": needs})
    schema: Schema = {
        "type": "object",
        "required": ["uses"],
        "additionalProperties": False,
        "properties": {
            "uses": {
                "description": "The type of node, or the path of another workflow file.",
                "anyOf": [
                    {"enum": [spec.name for spec in specs]},
                    {"type": "string", "pattern": r"^\.\.?/.*\.(yaml|yml|json)$"},
                ],
            },
            "with": {"description": "What the node is given, by input."},
            "when": when_schema(),
            "title": text_schema("What editors call the node."),
            "note": text_schema("A remark."),
            "cache": {
                "enum": list(get_args(CachePolicy)),
                "description": "'memory' keeps results off the disk, 'off' and 'refresh' run the node each time.",
            },
            "mode": {
                "enum": [*MODES, None],
                "description": "'muted': it does not run, nor does what needs it; 'bypassed': it is stepped over.",
            },
            "pack": text_schema("The node pack that its type comes from."),
            "models": models_schema(),
            "foreach": sweep_schema("Values of inputs that belong together, tried one by one."),
            "matrix": sweep_schema("Values of inputs, tried in every combination."),
        },
    }
    return schema | {"allOf": cases} if cases else schema


def inputs_schema(spec: NodeSpec) -> Schema:
    """The mapping below `with:` of one node type."""
    return {
        "title": spec.display_name,
        "description": spec.description or spec.name,
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {given.name: input_schema(given) for given in spec.inputs},
    }


def when_schema() -> Schema:
    """What decides whether a node runs."""
    one: Schema = {"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": r"^\$[A-Za-z_]"}]}
    description = "Whether the node runs: true, false, a parameter ($flag) or an output ($node); of a list, all."
    return {"description": description, "anyOf": [*one["anyOf"], {"type": "array", "items": one}]}


def models_schema() -> Schema:
    """The model files that a node needs."""
    texts: Schema = {key: {"type": "string"} for key in MODEL_KEYS}
    one: Schema = {"type": "object", "required": ["name"], "additionalProperties": False, "properties": texts}
    return {
        "description": "Model files it needs, and where they can be had.",
        "anyOf": [{"type": "null"}, one, {"type": "array", "items": one}],
    }


def sweep_schema(description: str) -> Schema:
    """The mapping below `foreach:` or `matrix:`."""
    return {
        "description": description,
        "type": ["object", "null"],
        "minProperties": 1,
        "additionalProperties": {"$ref": "#/$defs/series"},
    }


def series_schema() -> Schema:
    """The values of one name in a sweep."""
    numbers: Schema = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}
    return {
        "description": "A list of values, or whole numbers: 1..4, 1..10:3, {range: [1, 10, 3]}.",
        "anyOf": [
            {"type": "array", "minItems": 1},
            {"type": "string", "pattern": f"^{SPAN.pattern}$"},
            {"type": "object", "required": ["range"], "additionalProperties": False, "properties": {"range": numbers}},
        ],
    }


def input_schema(given: InputSpec) -> Schema:
    """What one input takes: a literal of its type, or a reference."""
    schema: Schema = {"description": f"{given.help} ({given.type})" if given.help else str(given.type)}
    if not given.required and isinstance(given.default, str | int | float | bool):
        schema["default"] = given.default
    if given.type.is_any:
        return schema
    options = [option for name in given.type.names for option in literal_schemas(name, given)]
    if not given.required and given.default is None:
        options.append({"type": "null"})
    if given.collects and options:
        options.append({"type": "array", "items": {"anyOf": list(options)}})
    return schema | {"anyOf": [*options, REFERENCE_SCHEMA]}


def literal_schemas(type_name: str, given: InputSpec) -> list[Schema]:
    """What an input takes as a literal of one socket type; nothing for types that only links carry."""
    bounds: Schema = {}
    if given.range is not None:
        pairs = (("minimum", given.range.min), ("maximum", given.range.max))
        bounds = {key: bound for key, bound in pairs if math.isfinite(bound)}
        if given.range.multiple > 1:
            bounds["multipleOf"] = given.range.multiple
    match type_name:
        case "INT":
            drawn: list[Schema] = [{"const": "random"}] if given.control else []
            return [{"type": "integer", "minimum": INT_MIN, "maximum": INT_MAX, **bounds}, *drawn]
        case "FLOAT":
            return [{"type": "number", **bounds}]
        case "BOOLEAN":
            return [{"type": "boolean"}]
        case "STRING":
            return [{"type": "string"}]
        case "COMBO" if isinstance(given.choices, tuple):
            return [{"enum": list(given.choices)}, {"$ref": "#/$defs/template"}]
        case "COMBO":
            # Which files there are differs between machines.
            return [{"type": ["string", "number", "boolean"]}]
        case _:
            return []


def text_schema(description: str) -> Schema:
    """A text that may be left empty."""
    return {"type": ["string", "null"], "description": description}


def definition(spec: NodeSpec) -> str:
    """The key below `$defs` of a node type's inputs."""
    return f"inputs:{spec.name}"


def pointer(key: str) -> str:
    """A key as part of a JSON pointer in a URI fragment (RFC 6901, section 6)."""
    return quote(key.replace("~", "~0").replace("/", "~1"), safe="~:")
