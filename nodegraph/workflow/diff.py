"""Two workflows compared as graphs: what was added, removed, renamed and changed.

Layout, comments, the order of keys and the format of the files do not count, nor does how something is written that
means the same: see `diff_outline`. How renamed nodes are found: see `diff_match`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from nodegraph.node import NodeSpec
from nodegraph.workflow.diff_match import match
from nodegraph.workflow.diff_outline import Given, Outline, Scope, is_place, shape_of
from nodegraph.workflow.difference import ABSENT, Absent, Change, Difference, NodeChange, ParamChange, Single
from nodegraph.workflow.document import NodeEntry, Param, Ref, Series, Slot, Span, Sweep, Template, Workflow
from nodegraph.workflow.sweeps import split_target
from nodegraph.workflow.texts import write_text
from nodegraph.workflow.write import Data, param_data

NO_TYPES: Final[Mapping[str, NodeSpec]] = MappingProxyType({})
#: Fields that are compared in a way of their own, or not at all; every other field of a document is a key that counts.
WORKFLOW_PARTS: Final = frozenset(
    ("nodes", "params", "outputs", "layout", "looks", "routes", "groups", "notes", "file", "folder", "text")
)
NODE_PARTS: Final = frozenset(("id", "uses", "inputs", "pack", "wanted"))
PARAM_PARTS: Final = frozenset(("name", "required", "broken"))
PARAM_KEYS: Final = {"minimum": "min", "maximum": "max"}


def diff(old: Workflow, new: Workflow, types: Mapping[str, NodeSpec] = NO_TYPES) -> Difference:
    """What differs between two workflows.

    Args:
        old, new: the workflows; they need not be without mistakes.
        types: node types by name, as far as they are known. An input of such a node that is left out and one that is
            given its default are the same.
    """
    both = Both(Scope(old, types), Scope(new, types))
    old_nodes = {name: both.old.node(entry) for name, entry in old.nodes.items()}
    new_nodes = {name: both.new.node(entry) for name, entry in new.nodes.items()}
    both.pairs.update(match(old_nodes, new_nodes))
    partners = set(both.pairs.values())
    pairs = [(name, both.pairs[name]) for name in old_nodes if name in both.pairs]
    nodes = [node_change(both, old_nodes[name], new_nodes[other], name, other) for name, other in pairs]
    params = [name for name in old.params if name in new.params]
    param_changes = [ParamChange(name, param_keys(both, old.params[name], new.params[name])) for name in params]
    return Difference(
        keys=key_changes(both, with_known_sweep(both), new, WORKFLOW_PARTS),
        params=(
            *(Change(name, param_data(param)) for name, param in old.params.items() if name not in new.params),
            *(Change(name, new=param_data(param)) for name, param in new.params.items() if name not in old.params),
        ),
        params_changed=tuple(change for change in param_changes if change.keys),
        added=tuple(single(entry) for name, entry in new.nodes.items() if name not in partners),
        removed=tuple(single(entry) for name, entry in old.nodes.items() if name not in both.pairs),
        nodes=tuple(change for change in nodes if change.is_renamed or change.is_changed),
        outputs=output_changes(both),
    )


@dataclass(frozen=True, slots=True)
class Both:
    """Both workflows, and which nodes are the same: old id → new id."""

    old: Scope
    new: Scope
    pairs: dict[str, str] = field(default_factory=dict[str, str])

    def same(self, before: Given, after: Given, old: object, new: object) -> bool:
        """Whether two values mean the same; `before` and `after` are the outlines of `old` and `new`."""
        if len(before.targets) != len(after.targets):
            return False
        targets = list(zip(before.targets, after.targets, strict=True))
        if any(self.pairs.get(a) != b for a, b in targets):
            return False
        olds, news = self.old.workflow.nodes, self.new.workflow.nodes
        if all(olds[a].uses == news[b].uses for a, b in targets):
            return before.shape == after.shape
        # The outputs of two types have nothing in common but their names.
        return as_written(old, self.old) == as_written(new, self.new)


def as_written(value: object, scope: Scope) -> Hashable:
    """A value to be compared by the names in it, whatever its type is known to be."""
    return shape_of(value, Scope(scope.workflow, NO_TYPES), [])


def node_change(both: Both, before: Outline, after: Outline, old: str, new: str) -> NodeChange:
    """What differs between two nodes that are the same."""
    old_entry, new_entry = both.old.workflow.nodes[old], both.new.workflow.nodes[new]
    inputs = input_changes(both, before, after, old_entry, new_entry)
    keys = key_changes(both, old_entry, new_entry, NODE_PARTS)
    return NodeChange(old, new, old_entry.uses, new_entry.uses, inputs, keys)


def input_changes(both: Both, before: Outline, after: Outline, old: NodeEntry, new: NodeEntry) -> tuple[Change, ...]:
    """The inputs that are given something else; an input that neither node is given is not among them."""
    changes: list[Change] = []
    for name in dict.fromkeys((*old.inputs, *new.inputs)):
        given, other = before.inputs.get(name), after.inputs.get(name)
        old_default, new_default = both.old.defaults(old.uses).get(name), both.new.defaults(new.uses).get(name)
        left, right = given or old_default, other or new_default
        old_value = old.inputs[name] if given else default_of(both.old, old.uses, name)
        new_value = new.inputs[name] if other else default_of(both.new, new.uses, name)
        if left is not None and right is not None and both.same(left, right, old_value, new_value):
            continue
        changes.append(change_of(name, old_value, new_value, implied_old=given is None, implied_new=other is None))
    return tuple(changes)


def change_of(
    name: str, old: object, new: object, *, implied_old: bool = False, implied_new: bool = False, escaped: bool = True
) -> Change:
    """A change, of which one side may be what is taken when nothing is written. Nothing counts as absent there."""
    old = ABSENT if implied_old and old is None else old
    new = ABSENT if implied_new and new is None else new
    implied: Literal["old", "new"] | None = None
    if implied_old and old is not ABSENT:
        implied = "old"
    elif implied_new and new is not ABSENT:
        implied = "new"
    return Change(name, written(old, escaped=escaped), written(new, escaped=escaped), implied)


def default_of(scope: Scope, uses: str, name: str) -> object:
    """What a node takes for an input that is left out; None too when that is unknown or nothing."""
    spec = scope.types.get(uses)
    given = spec.inputs_by_name.get(name) if spec is not None else None
    return given.default if given is not None and not given.required else None


def key_changes(both: Both, old: Any, new: Any, apart: frozenset[str]) -> tuple[Change, ...]:
    """The fields of two dataclasses of one type that differ, but for places and those in `apart`."""
    changes: list[Change] = []
    for spec in dataclasses.fields(old):
        before, after = getattr(old, spec.name), getattr(new, spec.name)
        if before is after or spec.name in apart or is_place(spec.name):
            continue
        if both.same(both.old.outline(before), both.new.outline(after), before, after):
            continue
        default = default_of_field(spec)
        first, second = key_name(spec.name, before, after), key_name(spec.name, after, before)
        parts = [(first, before, after)] if first == second else [(first, before, default), (second, default, after)]
        for name, left, right in parts:
            is_old, is_new = left == default, right == default
            left, right = (None if same and not default else value for same, value in ((is_old, left), (is_new, right)))
            changes.append(change_of(name, left, right, implied_old=is_old, implied_new=is_new, escaped=False))
    return tuple(changes)


def key_name(field_name: str, value: object, other: object = None) -> str:
    """Under which key a file has the value of a field; `other` is asked where the value does not tell."""
    sweep = value if isinstance(value, Sweep) else other
    return sweep.key if isinstance(sweep, Sweep) else PARAM_KEYS.get(field_name, field_name)


def default_of_field(spec: dataclasses.Field[Any]) -> object:
    """What a field is when nothing is said about it."""
    if spec.default is not dataclasses.MISSING:
        return spec.default
    return spec.default_factory() if spec.default_factory is not dataclasses.MISSING else None


def param_keys(both: Both, old: Param, new: Param) -> tuple[Change, ...]:
    """What differs in the declarations of a parameter."""
    changes = [
        change
        for change in key_changes(both, old, new, PARAM_PARTS | {"default"})
        # A bound is a number; whether it was written as 1 or 1.0 does not count.
        if change.name not in PARAM_KEYS.values() or change.old != change.new
    ]
    before = ABSENT if old.required else both.old.outline(old.default)
    after = ABSENT if new.required else both.new.outline(new.default)
    if before != after:
        left, right = (ABSENT if param.required else written(param.default) for param in (old, new))
        changes.insert(0, Change("default", left, right))
    return tuple(changes)


def single(entry: NodeEntry) -> Single:
    """A node that has no counterpart."""
    inputs = {name: plain(value, escaped=True) for name, value in entry.inputs.items()}
    specs = [spec for spec in dataclasses.fields(entry) if spec.name not in NODE_PARTS and not is_place(spec.name)]
    values = [(spec.name, getattr(entry, spec.name), default_of_field(spec)) for spec in specs]
    keys = {key_name(name, value): plain(value) for name, value, default in values if value != default}
    return Single(entry.id, entry.uses, MappingProxyType(inputs), MappingProxyType(keys))


def with_known_sweep(both: Both) -> Workflow:
    """The old workflow; if its sweep is that of the new one but for names of nodes, with that sweep instead."""
    old, new = both.old.workflow, both.new.workflow
    if old.sweep is None or new.sweep is None:
        return old
    values: dict[str, Series] = {}
    for name, series in old.sweep.values.items():
        target = split_target(old, name)
        values[name if target is None else f"{both.pairs.get(target[0], target[0])}.{target[1]}"] = series
    sweep = replace(old.sweep, values=MappingProxyType(values))
    same = both.same(both.old.outline(sweep), both.new.outline(new.sweep), sweep, new.sweep)
    return replace(old, sweep=new.sweep) if same else old


def output_changes(both: Both) -> tuple[Change, ...]:
    """The named outputs that differ."""
    olds, news = both.old.workflow.outputs, both.new.workflow.outputs
    changes: list[Change] = []
    for name in dict.fromkeys((*olds, *news)):
        old, new = olds.get(name), news.get(name)
        if old is not None and new is not None and both.same(both.old.outline(old), both.new.outline(new), old, new):
            continue
        changes.append(Change(name, written(old or ABSENT), written(new or ABSENT)))
    return tuple(changes)


def written(value: object, *, escaped: bool = True) -> Data | Absent:
    """A value as a file would have it."""
    return ABSENT if value is ABSENT else plain(value, escaped=escaped)


def plain(value: object, *, escaped: bool = False) -> Data:
    """Any value of a document as plain data. `escaped`: texts are such that `$` means something in them."""
    if isinstance(value, str):
        return write_text(value) if escaped else value
    if isinstance(value, Ref | Slot | Template):
        return write_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, Span):
        return str(value)
    if isinstance(value, Sweep):
        return plain(value.values)
    if isinstance(value, list | tuple):
        return [plain(item, escaped=True) for item in cast("tuple[object, ...]", value)]
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return {str(key): plain(item, escaped=True) for key, item in members.items()}
    if dataclasses.is_dataclass(value):
        fields = {spec.name: getattr(value, spec.name) for spec in dataclasses.fields(value)}
        return {name: plain(item, escaped=True) for name, item in fields.items() if not is_place(name)}
    return repr(value)
