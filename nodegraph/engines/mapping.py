"""Nodes and several items: a node that takes one item at a time is called for each, and its results are several again.

The longest input decides how many calls there are; a shorter one repeats its last item. An input that takes a list gets
all items at once, also if there is only one. Where an item is blocked, the call it would belong to is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, cast

from nodegraph.node import NodeSpec
from nodegraph.sockets.flow import Blocked, Call, Many, Out, Outcome
from nodegraph.sockets.values import Saved

Arguments: TypeAlias = dict[str, object]


def needs_spreading(spec: NodeSpec, arguments: Arguments) -> bool:
    """Whether a node is to be called otherwise than once with the arguments as they are."""
    return spec.any_list or any(type(value) is Many for value in arguments.values())


def spread(spec: NodeSpec, arguments: Arguments, raw: Collection[str] = ()) -> tuple[list[Arguments | None], bool]:
    """The arguments of each call (None: something in it is blocked), and whether the results are several.

    raw: arguments that are what they are, and no values of the graph.
    """
    lists = {
        name: _whole(value)
        for name, value in arguments.items()
        if name not in raw and (spec.takes_lists or ((given := spec.input(name)) is not None and given.takes_list))
    }
    several = {
        name: cast("Many[object]", value).items
        for name, value in arguments.items()
        if name not in lists and type(value) is Many
    }
    if not several:
        return [arguments | lists], False
    count = 0 if not all(several.values()) else max(map(len, several.values()))
    calls: list[Arguments | None] = []
    for i in range(count):
        items = {name: values[min(i, len(values) - 1)] for name, values in several.items()}
        blocked = any(type(item) is Blocked for item in items.values())
        calls.append(None if blocked else arguments | lists | items)
    return calls, True


def _whole(value: object) -> list[object]:
    items = cast("Many[object]", value).items if type(value) is Many else (value,)
    return [item for item in items if type(item) is not Blocked]


def joined(spec: NodeSpec, outcomes: Sequence[Outcome | None]) -> Outcome:
    """The outcomes of all calls (None: it was blocked) as one of several items; their `calls` are left aside."""
    columns: list[object] = []
    for number in range(len(spec.outputs)):
        items: list[object] = []
        for outcome in outcomes:
            value = outcome.values[number] if outcome is not None else Blocked()
            items += cast("Many[object]", value).items if type(value) is Many else (value,)
        columns.append(Many(tuple(items)))
    saved = [outcome.saved for outcome in outcomes if outcome is not None and outcome.saved is not None]
    return Outcome(tuple(columns), merged(saved) if saved else None)


def merged(saved: Sequence[Saved]) -> Saved:
    """What several calls saved and show, as one."""
    shown: dict[str, object] = {}
    for each in saved:
        for name, value in (each.shown or {}).items():
            before = shown.get(name)
            if isinstance(before, list) and isinstance(value, list):
                shown[name] = [*cast("list[object]", before), *cast("list[object]", value)]
            else:
                shown[name] = value
    return Saved(tuple([file for each in saved for file in each.files]), shown or None)


def with_full_ids(outcome: Outcome, prefix: str) -> Outcome:
    """An outcome whose new nodes have ids like no others: those of its own are put behind `prefix`."""
    calls = outcome.calls
    if calls is None or outcome.complete_ids:
        return outcome

    def full(value: object) -> object:
        if isinstance(value, Out):
            return replace(value, node=prefix + value.node) if value.node in calls else value
        if type(value) is Many:
            return Many(tuple([full(item) for item in cast("Many[object]", value).items]))
        return value

    renamed: Mapping[str, Call] = {
        prefix + name: replace(call, inputs={key: full(value) for key, value in call.inputs.items()})
        for name, call in calls.items()
    }
    return replace(outcome, values=tuple([full(value) for value in outcome.values]), calls=renamed, complete_ids=True)
