"""Readable names for the nodes of files that number them, and links written by the names of outputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from nodegraph.spec import NodeSpec
from nodegraph.workflow.arrangement import arranged
from nodegraph.workflow.document import NodeEntry, Ref, Series, Slot, Span, Sweep, Value, Workflow
from nodegraph.workflow.sweeps import split_target
from nodegraph.workflow.texts import REFERENCE, name_fault
from nodegraph.workflow.ui_placing import depths

#: Inputs whose name says what arrives there, better than the type of the node that gives it.
ROLES: Final = frozenset(("positive", "negative"))
WORD_ENDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z]{2})(?=[A-Z][a-z])")
MAX_NAME: Final = 40

Specs = Mapping[str, NodeSpec]


def readable(workflow: Workflow, specs: Specs) -> Workflow:
    """The workflow with a name for each node whose id YAML cannot have, and with links by name where that can be.

    Names are made from titles that somebody gave, else from what the node is for (`positive`), else from its type.
    """
    names = readable_names(workflow, specs)
    outputs = {uses: output_names(specs.get(uses)) for uses in {entry.uses for entry in workflow.nodes.values()}}

    def rename(value: Value) -> Value:
        if isinstance(value, Slot) and value.name in names:
            return linked(Slot(names[value.name], value.index), outputs[workflow.nodes[value.name].uses])
        if isinstance(value, Ref) and value.name in names:
            return Ref(names[value.name], value.output)
        if isinstance(value, tuple):
            return tuple([rename(item) for item in value])
        return value

    def renamed(entry: NodeEntry) -> NodeEntry:
        spec = specs.get(entry.uses)
        usual = {entry.uses, entry.id, names[entry.id], spec.display_name if spec is not None else entry.uses}
        return replace(
            entry,
            id=names[entry.id],
            inputs=MappingProxyType({name: rename(value) for name, value in entry.inputs.items()}),
            title=None if entry.title in usual else entry.title,
            when=rename(entry.when),
            sweep=None if entry.sweep is None else swept(entry.sweep),
        )

    def swept(sweep: Sweep) -> Sweep:
        values: dict[str, Series] = {
            name: series if isinstance(series, Span) else tuple([rename(value) for value in series])
            for name, series in sweep.values.items()
        }
        return replace(sweep, values=MappingProxyType(values))

    def swept_whole(sweep: Sweep) -> Sweep:
        targets = {name: split_target(workflow, name) for name in sweep.values}
        keys = {name: name if target is None else f"{names[target[0]]}.{target[1]}" for name, target in targets.items()}
        series = swept(sweep).values
        return replace(sweep, values=MappingProxyType({keys[name]: value for name, value in series.items()}))

    order = list(workflow.nodes)
    if any(name_fault(name) for name in order):  # an editor lists nodes as they were made
        deep = depths(workflow)
        order.sort(key=lambda name: deep[name])
    renamed_workflow = replace(
        workflow,
        nodes=MappingProxyType({names[name]: renamed(workflow.nodes[name]) for name in order}),
        outputs=MappingProxyType(
            {name: Ref(names.get(ref.name, ref.name), ref.output) for name, ref in workflow.outputs.items()}
        ),
        sweep=None if workflow.sweep is None else swept_whole(workflow.sweep),
        text=None,
    )
    return arranged(renamed_workflow, workflow, names.get)


def readable_names(workflow: Workflow, specs: Specs) -> dict[str, str]:
    """The name of each node; those that can stay do."""
    taken = {*workflow.params, *(name for name in workflow.nodes if not name_fault(name))}
    roles = roles_of(workflow)
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for id_, entry in workflow.nodes.items():
        if not name_fault(id_):
            names[id_] = id_
            continue
        spec = specs.get(entry.uses)
        title = entry.title if entry.title and entry.title not in (entry.uses, spec and spec.display_name) else ""
        role = roles.get(id_)
        stem = plain_name(title) or (role if role in ROLES else "") or plain_name(snake(entry.uses)) or "node"
        number, name = counts.get(stem, 0), stem
        while name in taken:
            number += 1
            name = f"{stem}_{number + 1}"
        counts[stem] = number
        taken.add(name)
        names[id_] = name
    return names


def roles_of(workflow: Workflow) -> dict[str, str | None]:
    """For each node that others take from, the name of the inputs that it feeds, if it is always the same."""
    roles: dict[str, str | None] = {}
    for entry in workflow.nodes.values():
        for name, value in entry.inputs.items():
            if isinstance(value, Ref | Slot):
                roles[value.name] = name if roles.get(value.name, name) == name else None
    return roles


def snake(name: str) -> str:
    """`CLIPTextEncode` → `clip_text_encode`; one capital before a word belongs to it (`KSampler` → `ksampler`)."""
    return WORD_ENDS.sub("_", name).lower()


def plain_name(text: str) -> str:
    """A text as a name; empty if nothing of it can stand in one."""
    name = re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_")[:MAX_NAME].strip("_")
    name = f"n{name}" if name[:1].isdigit() else name
    return "" if name_fault(name) else name


def output_names(spec: NodeSpec | None) -> list[str | None]:
    """How each output of a type is written after the dot; None where only its number would do, '' where nothing need
    be."""
    if spec is None:
        return []
    if len(spec.outputs) == 1:
        return [""]
    names = [output.name.lower() for output in spec.outputs]
    plain = [bool(REFERENCE.fullmatch(f"$n.{name}")) and not name.isdigit() for name in names]
    return [name if fine and names.count(name) == 1 else None for name, fine in zip(names, plain, strict=True)]


def linked(slot: Slot, names: list[str | None]) -> Ref | Slot:
    """A link by the name of the output, or by its number where there is no name."""
    name = names[slot.index] if slot.index < len(names) else None
    return slot if name is None else Ref(slot.name, name or None)
