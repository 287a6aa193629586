"""Nodes of a swept workflow: each at every combination of positions of the axes that it varies along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from types import MappingProxyType
from typing import cast

from nodegraph.errors import Problem
from nodegraph.graph.axes import MAX_POSITIONS, Axis, positioned, swept_inputs
from nodegraph.graph.cells import Variants
from nodegraph.graph.draft import DraftNode
from nodegraph.graph.drafting import Draft, draft_node, note_params
from nodegraph.workflow.document import NodeEntry, Scalar


def draft_swept(draft: Draft, axes: Sequence[Axis], variants: dict[str, Variants]) -> dict[str, DraftNode | None]:
    """All nodes at the first position of every axis; those of the other positions go into `variants`.

    A node varies along the axes that name one of its inputs, or a parameter which it is seen to use.
    """
    by_node: dict[str, list[int]] = {}
    by_param: dict[str, int] = {}
    for number, axis in enumerate(axes):
        for target in axis.targets:
            if target.node is None:
                by_param[target.name] = number
            elif number not in by_node.setdefault(target.node, []):
                by_node[target.node].append(number)
    usual, used = draft.params, draft.used | by_param.keys()
    first = _params_at(usual, axes, dict.fromkeys(by_param.values(), 0))
    named = swept_inputs(draft.workflow)
    drafted: dict[str, DraftNode | None] = {}
    for name, entry in draft.workflow.nodes.items():
        mine = by_node.get(name, [])
        if name in named:
            entry = replace(entry, key_places=MappingProxyType({**named[name], **entry.key_places}))
        draft.params, draft.used = first, set[str]()
        node = drafted[name] = draft_node(draft, positioned(entry, axes, dict.fromkeys(mine, 0)))
        own = tuple(sorted({*mine, *(by_param[param] for param in draft.used & by_param.keys())}))
        if own and node is not None:
            variants[name] = Variants(own, _at_all_positions(draft, entry, node, axes, own, usual))
        used |= draft.used
        for value in entry.inputs.values():  # also what a sweep stands in for
            draft.used = used
            note_params(draft, value)
    draft.params, draft.used = usual, used
    return drafted


def _at_all_positions(
    draft: Draft,
    entry: NodeEntry,
    first: DraftNode,
    axes: Sequence[Axis],
    own: tuple[int, ...],
    params: Mapping[str, Scalar],
) -> dict[tuple[int, ...], DraftNode]:
    """The node at every combination of positions of its own axes; `first` is the one at the first position."""
    found = {(0,) * len(own): first}
    combinations = prod([len(axes[number].rows) for number in own])
    if combinations > MAX_POSITIONS:
        message = f"'{entry.id}' is swept over {combinations:,} combinations; {MAX_POSITIONS:,} are allowed"
        place = axes[own[0]].place
        draft.problems.append(Problem("too_large", message, place, entry.id, hint="sweep over fewer values"))
        return found
    for positions in product(*[range(len(axes[number].rows)) for number in own]):
        if positions not in found:
            at = dict(zip(own, positions, strict=True))
            draft.params = _params_at(params, axes, at)
            node = draft_node(draft, positioned(entry, axes, at))
            assert node is not None
            found[positions] = node
    return found


def _params_at(params: Mapping[str, Scalar], axes: Sequence[Axis], at: Mapping[int, int]) -> Mapping[str, Scalar]:
    """The parameters at a position (axis number → position) of the axes that vary them."""
    changed = dict(params)
    for number, position in at.items():
        for target, value in zip(axes[number].targets, axes[number].rows[position], strict=True):
            if target.node is None:
                changed[target.name] = cast(Scalar, value)
    return changed
