"""How a workflow lies on a canvas, as its file says it: `layout`, `groups` and `notes`. None of it changes a result.

The short forms are `[x, y]` and `[x, y, width, height]`; mappings say more, and `node.input` has the points that the
link into an input passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, TypeGuard, cast

from nodegraph.errors import did_you_mean, listing, shorten
from nodegraph.workflow.document import Group, Look, Note, Point, Scalar, Workflow
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of

Kind = Literal["numbers", "switch", "colour", "text"]
Plain = Scalar | list["Plain"] | dict[str, "Plain"]

SPOT_KEYS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"at": "numbers", "size": "numbers", "collapsed": "switch", "pinned": "switch", "colour": "colour"}
)
GROUP_KEYS: Final[Mapping[str, Kind]] = MappingProxyType({"at": "numbers", "size": "numbers", "colour": "colour"})
NOTE_KEYS: Final[Mapping[str, Kind]] = MappingProxyType(
    {"text": "text", "title": "text", "at": "numbers", "size": "numbers", "colour": "colour"}
)
COLOUR: Final = re.compile(r"#(?:[0-9a-fA-F]{3}){1,2}|[a-z]{1,30}")
SPOT: Final = "a node's layout is two numbers, such as [260, 0], four with its width and height, or a mapping with 'at'"
ROUTE: Final = "the points of a link are a list of [x, y], below NODE.INPUT"
BOUNDS: Final = "a group is left, top, width and height, such as [0, 0, 400, 300], or a mapping with 'at' and 'size'"
SAID: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        "numbers": "two numbers, such as [260, 0]",
        "switch": "true or false",
        "colour": "a name such as red, or #rrggbb",
        "text": "a text",
    }
)


@dataclass(slots=True)
class Arrangement:
    """What `layout` says."""

    layout: dict[str, Point] = field(default_factory=dict[str, Point])
    looks: dict[str, Look] = field(default_factory=dict[str, Look])
    routes: dict[tuple[str, str], tuple[Point, ...]] = field(default_factory=dict[tuple[str, str], tuple[Point, ...]])


def is_colour(text: object) -> TypeGuard[str]:
    """Whether a text is a colour: a plain name, `#rgb` or `#rrggbb`."""
    return isinstance(text, str) and COLOUR.fullmatch(text) is not None


def read_layout(entries: Iterable[tuple[str, Located]], report: Report) -> Arrangement:
    """The key `layout` of a workflow, by its members."""
    found = Arrangement()
    for name, entry in entries:
        if isinstance(entry.value, dict):
            members = read_members(entry, SPOT_KEYS, "a node's layout", report, node=name)
            if "at" in members:
                found.layout[name] = members["at"]
            look = Look(**{key: value for key, value in members.items() if key != "at"})
            if look != Look():
                found.looks[name] = look
        elif isinstance(entry.value, list) and entry.value and isinstance(entry.value[0].value, list):
            read_route(name, entry, found, report)
        elif (numbers := numbers_of(entry)) is not None and len(numbers) in (2, 4):
            found.layout[name] = (numbers[0], numbers[1])
            if len(numbers) == 4:
                found.looks[name] = Look(size=(numbers[2], numbers[3]))
        elif is_readable(entry):
            report.add("wrong_kind", SPOT, report.at(entry), node=name)
    return found


def read_route(name: str, entry: Located, found: Arrangement, report: Report) -> None:
    """The points that the link into an input passes."""
    node, dot, given = name.partition(".")
    points: list[Point] = []
    for item in cast("list[Located]", entry.value):
        numbers = numbers_of(item)
        if numbers is not None and len(numbers) == 2:
            points.append((numbers[0], numbers[1]))
        elif is_readable(item):
            report.add("wrong_kind", ROUTE, report.at(item), node=node)
    if not dot or not given:
        report.add("wrong_kind", ROUTE, report.at_key(entry), node=name, hint=f"write {name}.INPUT")
    elif points:
        found.routes[node, given] = tuple(points)


def read_groups(entry: Located | None, report: Report) -> tuple[Group, ...]:
    """The key `groups` of a workflow: frames on the canvas by title."""
    if entry is None or entry.value is UNREADABLE or entry.value is None:
        return ()
    if not isinstance(entry.value, dict):
        message = f"'groups' is a mapping of titles to frames, not {kind_of(entry.value)}"
        report.add("wrong_kind", message, report.at(entry))
        return ()
    found: list[Group] = []
    for title, frame in entry.value.items():
        if isinstance(frame.value, dict):
            members = read_members(frame, GROUP_KEYS, "a group", report)
            if "at" in members and "size" in members:
                found.append(Group(title, (*members["at"], *members["size"]), members.get("colour", "")))
            elif not {"at", "size"} <= frame.value.keys():
                report.add("missing_key", BOUNDS, report.at(frame))
        elif (numbers := numbers_of(frame)) is not None and len(numbers) == 4:
            found.append(Group(title, (numbers[0], numbers[1], numbers[2], numbers[3])))
        elif is_readable(frame):
            report.add("wrong_kind", BOUNDS, report.at(frame))
    return tuple(found)


def read_notes(entry: Located | None, report: Report) -> tuple[Note, ...]:
    """The key `notes` of a workflow: texts on the canvas."""
    if entry is None or entry.value is UNREADABLE or entry.value is None:
        return ()
    if not isinstance(entry.value, list):
        message = f"'notes' is a list of mappings with 'text', not {kind_of(entry.value)}"
        report.add("wrong_kind", message, report.at(entry))
        return ()
    found: list[Note] = []
    for item in entry.value:
        if isinstance(item.value, dict):
            members = read_members(item, NOTE_KEYS, "a note", report)
            if "text" in members:
                found.append(Note(**members))
            elif "text" not in item.value:
                report.add("missing_key", "a note has no 'text'", report.at(item), hint="add 'text:'")
        elif item.value is not UNREADABLE:
            message = f"a note is a mapping with 'text', not {kind_of(item.value)}"
            report.add("wrong_kind", message, report.at(item))
    return tuple(found)


def read_members(
    entry: Located, kinds: Mapping[str, Kind], owner: str, report: Report, *, node: str | None = None
) -> dict[str, Any]:
    """The members of a mapping that are what they should be; the others are reported."""
    found: dict[str, Any] = {}
    for key, member in cast("dict[str, Located]", entry.value).items():
        kind = kinds.get(key)
        if kind is None:
            hint = did_you_mean(key, kinds) or f"the keys of {owner} are {listing(tuple(kinds))}"
            report.add("unknown_key", f"{owner} has no key {shorten(key)}", report.at_key(member), node=node, hint=hint)
            continue
        value = value_of(member, kind)
        if value is not None:
            found[key] = value
        elif is_readable(member) and member.value is not None:
            report.add("wrong_kind", f"'{key}' of {owner} is {SAID[kind]}", report.at(member), node=node)
    return found


def value_of(member: Located, kind: Kind) -> object:
    """A member of this kind; None if it is not."""
    value = member.value
    if kind == "numbers":
        numbers = numbers_of(member)
        return (numbers[0], numbers[1]) if numbers is not None and len(numbers) == 2 else None
    if kind == "switch":
        return value if isinstance(value, bool) else None
    if kind == "colour":
        return value if is_colour(value) else None
    return value if isinstance(value, str) else None


def numbers_of(entry: Located) -> Sequence[float] | None:
    """The numbers of a list; None if it is none, or holds something else."""
    return plain_numbers(entry.value) if isinstance(entry.value, list) else None


def plain_numbers(items: Sequence[Located]) -> Sequence[float] | None:
    """These items, if all of them are numbers."""
    values = [item.value for item in items]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return numbers if len(numbers) == len(values) else None


def is_readable(entry: Located) -> bool:
    """Whether nothing was reported of a value yet."""
    if isinstance(entry.value, list):
        return all(item.value is not UNREADABLE for item in entry.value)
    return entry.value is not UNREADABLE


def layout_data(workflow: Workflow, ids: Mapping[str, str]) -> dict[str, Plain]:
    """The layout as plain data, each entry in the shortest form that says all of it."""
    data: dict[str, Plain] = {}
    for name in dict.fromkeys((*workflow.layout, *workflow.looks)):
        data[ids.get(name, name)] = spot_data(workflow.layout.get(name), workflow.looks.get(name, Look()))
    for (name, given), points in workflow.routes.items():
        data[f"{ids.get(name, name)}.{given}"] = [list(point) for point in points]
    return data


def spot_data(at: Point | None, look: Look) -> Plain:
    """Where and how a node stands."""
    if at is not None and replace(look, size=None) == Look():
        return [*at, *(look.size or ())]
    data: dict[str, Plain] = {} if at is None else {"at": list(at)}
    if look.size is not None:
        data["size"] = list(look.size)
    data |= {key: True for key, holds in (("collapsed", look.collapsed), ("pinned", look.pinned)) if holds}
    return data | ({"colour": look.colour} if look.colour else {})


def group_data(group: Group) -> Plain:
    """A frame."""
    if not group.colour:
        return list(group.bounds)
    left, top, width, height = group.bounds
    return {"at": [left, top], "size": [width, height], "colour": group.colour}


def note_data(note: Note) -> Plain:
    """A text on the canvas."""
    data: dict[str, Plain] = {"text": note.text}
    if note.title:
        data["title"] = note.title
    if note.at != (0, 0):
        data["at"] = list(note.at)
    if note.size != (0, 0):
        data["size"] = list(note.size)
    return data | ({"colour": note.colour} if note.colour else {})


def arranged(workflow: Workflow, source: Workflow, named: Callable[[str], str | None]) -> Workflow:
    """The workflow with the layout of another one. named: what a node of that is called here; None if it is gone."""
    pairs = {name: new for name in source.nodes if (new := named(name)) is not None}
    layout = {pairs[name]: at for name, at in source.layout.items() if name in pairs}
    looks = {pairs[name]: look for name, look in source.looks.items() if name in pairs}
    routes = {(pairs[name], given): points for (name, given), points in source.routes.items() if name in pairs}
    return replace(
        workflow,
        layout=MappingProxyType(layout),
        looks=MappingProxyType(looks),
        routes=MappingProxyType(routes),
    )
