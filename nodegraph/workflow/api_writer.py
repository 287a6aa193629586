"""Workflows in ComfyUI's API format, which its server runs: every input by name, links as `[node, output number]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from nodegraph.errors import Problem, shorten
from nodegraph.spec import NodeSpec
from nodegraph.workflow.document import NodeEntry, Ref, Scalar, Slot, Template, Workflow
from nodegraph.workflow.texts import filled_in, name_fault

Specs = Mapping[str, NodeSpec]

#: Stands for a value that is not known, which has been told of.
UNKNOWN: Final = object()


@dataclass(slots=True)
class Filling:
    """Values with their parameters filled in, and links by number; what cannot be is noted once."""

    workflow: Workflow
    specs: Specs
    params: Mapping[str, Scalar]
    problems: list[Problem] = field(default_factory=list[Problem])

    def value(self, value: object) -> object:
        """A literal as plain data; UNKNOWN if a parameter in it has no value."""
        if isinstance(value, Ref):
            return self.params.get(value.name, UNKNOWN)
        if isinstance(value, Template):
            parts = [part if isinstance(part, str) else self.params.get(part.name, UNKNOWN) for part in value.parts]
            return UNKNOWN if UNKNOWN in parts else "".join([filled_in(cast(Scalar, part)) for part in parts])
        if isinstance(value, tuple):
            items = [self.value(item) for item in cast("tuple[object, ...]", value)]
            return UNKNOWN if UNKNOWN in items else items
        if isinstance(value, Mapping):
            members = {key: self.value(item) for key, item in cast("Mapping[str, object]", value).items()}
            return UNKNOWN if UNKNOWN in members.values() else members
        return value

    def link(self, entry: NodeEntry, name: str, value: object) -> tuple[str, int] | None:
        """Node and number of the output that a value links to; None if it is no link."""
        if not isinstance(value, Ref | Slot) or value.name not in self.workflow.nodes:
            return None
        if isinstance(value, Slot):
            return value.name, value.index
        source = self.workflow.nodes[value.name]
        spec = self.specs.get(source.uses)
        if value.output is None and (spec is None or len(spec.outputs) == 1):
            return value.name, 0
        number = spec.output_index(value.output) if spec is not None and value.output is not None else None
        if number is None:
            place = entry.places.get(name, entry.place)
            message = f"the number of the output {value} is not known, since the type {shorten(source.uses)} is not"
            if spec is not None:
                message = f"{value} names no output of '{value.name}' ({source.uses})"
            hint = f"write ${value.name}.0 for its first output"
            self.problems.append(Problem("unknown_output", message, place, entry.id, name, str(value), hint=hint))
        return value.name, number or 0


def api_data(
    workflow: Workflow, specs: Specs, params: Mapping[str, Scalar]
) -> tuple[dict[str, object], tuple[Problem, ...]]:
    """A workflow without sub-workflows, sweeps and nodes that do not run, as a prompt; and what that could not say."""
    filling = Filling(workflow, specs, params)
    prompt: dict[str, object] = {}
    for name, entry in workflow.nodes.items():
        spec = specs.get(entry.uses)
        values: dict[str, object] = dict(entry.inputs)
        if spec is not None:
            values = {**{given.name: None if given.required else given.default for given in spec.inputs}, **values}
        inputs: dict[str, object] = {}
        for key, value in values.items():
            link = filling.link(entry, key, value)
            if link is not None:
                inputs[key] = list(link)
            elif (plain := filling.value(value)) is not None and plain is not UNKNOWN:
                # A plain list would read as a link.
                inputs[key] = {"__value__": plain} if isinstance(plain, list) else plain
        title = entry.title or (name if not name_fault(name) or spec is None else spec.display_name)
        prompt[name] = {"class_type": entry.uses, "inputs": inputs, "_meta": {"title": title}}
    return prompt, tuple(filling.problems)
