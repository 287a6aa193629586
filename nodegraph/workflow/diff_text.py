"""A difference between workflows as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from nodegraph.workflow.difference import ABSENT, Absent, Change, Difference, NodeChange, Single
from nodegraph.workflow.write import Data, flow

Mark = Literal["+", "-", "~", ">"]
WIDTH: Final = 60  # of a value, in characters
CONTEXT: Final = 12  # how much of what two long values have in common is shown before they part


class Line(NamedTuple):
    """A line, and what it tells of: something added, removed, changed or only renamed."""

    mark: Mark
    text: str


def to_lines(difference: Difference) -> Iterator[Line]:
    """The difference as lines: `+` was added, `-` removed, `~` changed, `>` renamed."""
    for change in difference.keys:
        yield changed("", change)
    for change in difference.params:
        yield changed("param ", change)
    for param in difference.params_changed:
        yield Line("~", f"~ param {param.name}")
        yield from (indented(change) for change in param.keys)
    for node in difference.removed:
        yield from single("-", node)
    for node in difference.nodes:
        yield from node_lines(node)
    for node in difference.added:
        yield from single("+", node)
    for change in difference.outputs:
        yield changed("output ", change)


def summary(difference: Difference) -> str:
    """The difference in numbers: `2 nodes added, 1 renamed; 1 parameter changed`."""
    params = difference.params
    numbers: Mapping[str, Mapping[str, int]] = {
        "node": {
            "added": len(difference.added),
            "removed": len(difference.removed),
            "renamed": len(difference.renamed),
            "changed": len(difference.changed),
        },
        "parameter": {
            "added": sum(change.old is ABSENT for change in params),
            "removed": sum(change.new is ABSENT for change in params),
            "changed": len(difference.params_changed),
        },
        "output": {"changed": len(difference.outputs)},
        "key": {"changed": len(difference.keys)},
    }
    parts = [counted(noun, counts) for noun, counts in numbers.items() if any(counts.values())]
    return "; ".join(parts)


def counted(noun: str, counts: Mapping[str, int]) -> str:
    """`1 node added, 2 changed`."""
    (first, number), *rest = [(verb, number) for verb, number in counts.items() if number]
    head = f"{number:,} {noun}{'' if number == 1 else 's'} {first}"
    return ", ".join([head, *(f"{number:,} {verb}" for verb, number in rest)])


def single(mark: Literal["+", "-"], node: Single) -> Iterator[Line]:
    """A node that only one workflow has."""
    yield Line(mark, f"{mark} node {node.id}: {node.uses}")
    for name, value in (*node.inputs.items(), *node.keys.items()):
        yield Line(mark, f"{mark}     {name}: {shown(value)}")


def node_lines(node: NodeChange) -> Iterator[Line]:
    """A node that both workflows have."""
    mark: Mark = "~" if node.is_changed else ">"
    name = f"{node.old} → {node.new}" if node.is_renamed else node.old
    uses = node.new_uses if node.old_uses == node.new_uses else f"{node.old_uses} → {node.new_uses}"
    yield Line(mark, f"{mark} node {name}: {uses}")
    yield from (indented(change) for change in (*node.inputs, *node.keys))


def indented(change: Change) -> Line:
    """A change inside of a node or parameter."""
    line = changed("", change)
    return Line(line.mark, f"{line.text[0]}     {line.text[2:]}")


def changed(kind: str, change: Change) -> Line:
    """A change in one line."""
    name = f"{kind}{change.name}"
    if isinstance(change.old, Absent) or isinstance(change.new, Absent):
        mark: Literal["+", "-"] = "+" if change.old is ABSENT else "-"
        value = change.new if isinstance(change.old, Absent) else change.old
        return Line(mark, f"{mark} {name}: {'' if isinstance(value, Absent) else shown(value)}")
    before, after = excerpts(flow(change.old), flow(change.new))
    default = {"old": (" (default)", ""), "new": ("", " (default)"), None: ("", "")}[change.implied]
    return Line("~", f"~ {name}: {before}{default[0]} → {after}{default[1]}")


def shown(value: Data) -> str:
    """A value in a line, cut where it is long."""
    text = flow(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def excerpts(old: str, new: str) -> tuple[str, str]:
    """Two texts, of long ones the part where they begin to differ."""
    same = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, same - CONTEXT) if max(len(old), len(new)) > WIDTH else 0
    return excerpt(old, start), excerpt(new, start)


def excerpt(text: str, start: int) -> str:
    """What is to be seen of a text from `start` on."""
    part = ("…" if start else "") + text[start:]
    return part if len(part) <= WIDTH else f"{part[: WIDTH - 1]}…"
