"""How nodes and links look in ComfyUI's editor files: sizes, colours, flags, and the points that links pass.

Points stand in two places: nodes of the type `Reroute`, which links lead through, and lists of points that a link names
the last of (`reroutes`; in version 0.4 below `extra`), each of which names the one before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nodegraph.workflow.arrangement import is_colour, plain_numbers
from nodegraph.workflow.document import Look, Point, Workflow
from nodegraph.workflow.tree import Located
from nodegraph.workflow.ui_link_reader import UiLink, name_of

if TYPE_CHECKING:
    from nodegraph.workflow.ui_subgraphs import Scope

Json = dict[str, Any]

REROUTE: Final = "Reroute"
GROUP_COLOUR: Final = "#3f789e"  # what the editor gives to a group that nobody coloured
MOST_POINTS: Final = 100  # of one link


def read_look(keys: Mapping[str, Located]) -> Look:
    """The look of a node; what cannot be made out is left out, since it never matters."""
    size = pair(keys.get("size"))
    flags = mapping(keys.get("flags"))
    return Look(
        size=size if size is not None and min(size) > 0 else None,
        collapsed="collapsed" in flags and flags["collapsed"].value is True,
        pinned="pinned" in flags and flags["pinned"].value is True,
        colour=colour_in(keys, "bgcolor") or colour_in(keys, "color"),
    )


def colour_in(keys: Mapping[str, Located], key: str) -> str:
    """The colour below a key; empty if there is none."""
    found = text(keys, key)
    return found if is_colour(found) else ""


def read_bends(keys: Mapping[str, Located]) -> dict[str, tuple[Point, ...]]:
    """The points that each link passes, by the link's id, from its source on."""
    extra = mapping(keys.get("extra"))
    known: dict[str, tuple[Point, str | None]] = {}
    for members in (*members_of(extra.get("reroutes")), *members_of(keys.get("reroutes"))):
        id_, at = name_of(members.get("id")), pair(members.get("pos"))
        if id_ is not None and at is not None:
            known[id_] = (at, name_of(members.get("parentId")))
    if not known:
        return {}
    found: dict[str, tuple[Point, ...]] = {}
    for members in (*members_of(extra.get("linkExtensions")), *members_of(keys.get("links"))):
        link, last = name_of(members.get("id")), name_of(members.get("parentId"))
        points: list[Point] = []
        while last in known and len(points) < MOST_POINTS:
            at, last = known[last]
            points.append(at)
        if link is not None and points:
            found[link] = tuple(reversed(points))
    return found


def points_into(scope: Scope, link: UiLink) -> tuple[Point, ...]:
    """The points that what arrives by a link passes on its canvas, through nodes of the type `Reroute`, too."""
    points: list[Point] = []
    graph = scope.graph
    above: UiLink | None = link
    while above is not None and len(points) < MOST_POINTS:
        points.extend(reversed(graph.bends.get(above.id, ())))
        node = graph.nodes.get(above.origin)
        if node is None or node.type != REROUTE:
            break
        if node.at is not None:
            points.append((node.at[0] + node.size[0] / 2, node.at[1] + node.size[1] / 2))
        above = graph.by_target.get((node.id, 0))
    left, top = scope.offset
    return tuple((x + left, y + top) for x, y in reversed(points))


def write_look(node: Json, look: Look) -> None:
    """Have a node of the editor look so; its size is the placing's."""
    node["flags"] = {key: True for key, holds in (("collapsed", look.collapsed), ("pinned", look.pinned)) if holds}
    if look.colour:
        node["color"] = node["bgcolor"] = look.colour


def bends_data(
    workflow: Workflow, ids: Mapping[str, int], nodes: Sequence[Json], links: Sequence[Sequence[object]]
) -> Json:
    """The points of links as the editor's file of version 0.4 has them below `extra`; nothing if there are none."""
    arriving = {
        (node["id"], given["name"]): given["link"] for node in nodes for given in node["inputs"] if given["link"]
    }
    known = {link[0] for link in links}
    reroutes: list[Json] = []
    extensions: list[Json] = []
    for (name, given), points in workflow.routes.items():
        link = arriving.get((ids.get(name), given))
        if link not in known:
            continue
        for number, at in enumerate(points):
            parent = {"parentId": len(reroutes)} if number else {}
            reroutes.append({"id": len(reroutes) + 1, **parent, "pos": list(at), "linkIds": [link]})
        extensions.append({"id": link, "parentId": len(reroutes)})
    return {"linkExtensions": extensions, "reroutes": reroutes} if reroutes else {}


def members_of(entry: Located | None) -> Iterator[Mapping[str, Located]]:
    """The mappings in a list."""
    return (item.value for item in listed(entry) if isinstance(item.value, dict))


def listed(entry: Located | None) -> Sequence[Located]:
    """The items of a list, or of a mapping with the keys 0, 1 …; none if it is neither."""
    value = entry.value if entry is not None else None
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def mapping(entry: Located | None) -> Mapping[str, Located]:
    """The members of a mapping; none if it is not one."""
    return entry.value if entry is not None and isinstance(entry.value, dict) else {}


def text(keys: Mapping[str, Located], key: str) -> str | None:
    """The text below a key, None if there is none."""
    entry = keys.get(key)
    return entry.value if entry is not None and isinstance(entry.value, str) else None


def numbers_of(entry: Located | None) -> Sequence[float]:
    """The numbers of a list; none if one of its items is something else."""
    return plain_numbers(listed(entry)) or []


def pair(entry: Located | None) -> tuple[float, float] | None:
    """A position or a size."""
    numbers = numbers_of(entry)
    return (numbers[0], numbers[1]) if len(numbers) >= 2 else None
