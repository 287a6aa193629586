"""A workflow in the words of another format, as far as that has them, with what it could not say."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from nodegraph.errors import Problem, ProblemError
from nodegraph.graph.modes import settle_modes
from nodegraph.graph.python_script import dump_python
from nodegraph.graph.seeds import with_random_seeds
from nodegraph.registry import Registry
from nodegraph.workflow.api_writer import api_data
from nodegraph.workflow.document import NodeEntry, Ref, Scalar, Value, Workflow
from nodegraph.workflow.naming import readable
from nodegraph.workflow.params import resolve_params
from nodegraph.workflow.parts import inline_parts, is_part
from nodegraph.workflow.ui_writer import ui_data
from nodegraph.workflow.write import dump_json, dump_yaml


@dataclass(frozen=True, slots=True)
class Converted:
    """The text of a file, the workflow that it says, and what it could not say."""

    text: str
    workflow: Workflow
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where the new file will lie, if that is known, and the folders of packs that a program has to look into."""

    folder: Path | None = None
    nodes: Sequence[str] = ()
    custom_nodes: Sequence[str] = ()


NOWHERE: Final = Target()


def to_yaml(workflow: Workflow, registry: Registry, target: Target = NOWHERE) -> Converted:
    """The workflow as YAML with readable names."""
    moved, problems = _movable(workflow, target.folder)
    named = readable(moved, registry.specs)
    return Converted(dump_yaml(named), named, problems)


def to_json(workflow: Workflow, registry: Registry, target: Target = NOWHERE) -> Converted:
    """The same document as JSON."""
    moved, problems = _movable(workflow, target.folder)
    named = readable(moved, registry.specs)
    return Converted(dump_json(named), named, problems)


def to_api(workflow: Workflow, registry: Registry, target: Target = NOWHERE) -> Converted:
    """The workflow as ComfyUI's server takes it."""
    drawn = with_random_seeds(workflow, registry)
    flat, problems = _flat(drawn, registry, "ComfyUI's API format")
    params, missing = resolve_params(flat, {})
    settled, wrong = settle_modes(flat, registry)
    data, unsaid = api_data(settled, registry.specs, params)
    return Converted(_compact(data), settled, (*problems, *missing, *wrong, *unsaid))


def to_ui(workflow: Workflow, registry: Registry, target: Target = NOWHERE) -> Converted:
    """The workflow as ComfyUI's editor opens it."""
    flat, problems = _flat(workflow, registry, "ComfyUI's editor format")
    params, missing = resolve_params(flat, {})
    data, unsaid = ui_data(flat, registry.specs, params)
    return Converted(_compact(data), flat, (*problems, *missing, *unsaid))


def to_python(workflow: Workflow, registry: Registry, target: Target = NOWHERE) -> Converted:
    """The workflow as a Python program."""
    named = readable(workflow, registry.specs)
    try:
        return Converted(dump_python(named, registry, target.nodes, target.custom_nodes), named)
    except ProblemError as error:
        return Converted("", named, error.problems)


#: How each format is written.
WRITERS: Final[Mapping[str, Callable[[Workflow, Registry, Target], Converted]]] = MappingProxyType(
    {"yaml": to_yaml, "api": to_api, "ui": to_ui, "nodegraph": to_json, "python": to_python}
)
#: The formats that go with the end of a file's name; the first one is meant where nothing else is said.
SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {".yaml": ("yaml",), ".yml": ("yaml",), ".json": ("api", "ui", "nodegraph"), ".py": ("python",)}
)


def _compact(data: Mapping[str, object]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _movable(workflow: Workflow, folder: Path | None) -> tuple[Workflow, tuple[Problem, ...]]:
    """The workflow so that it may lie in another folder: sub-workflows, which are found beside it, become its nodes."""
    if not any(is_part(entry.uses) for entry in workflow.nodes.values()):
        return workflow, ()
    here = Path(workflow.file).resolve().parent if workflow.file else Path.cwd()
    return (workflow, ()) if folder is None or folder.resolve() == here else inline_parts(workflow)


def _flat(workflow: Workflow, registry: Registry, format_: str) -> tuple[Workflow, tuple[Problem, ...]]:
    """The workflow without what ComfyUI's formats have no words for; conditions that are known become modes."""
    flat, problems = inline_parts(workflow)
    told = list(problems)
    swept = [(name, entry.sweep) for name, entry in flat.nodes.items() if entry.sweep is not None]
    for name, sweep in [*swept, *([(None, flat.sweep)] if flat.sweep is not None else [])]:
        what = f"the node '{name}'" if name else "the workflow"
        message = f"{what} is swept ('{sweep.key}'), and {format_} has no sweeps"
        hint = "take the sweep out first, or write it as .yaml"
        told.append(Problem("not_in_format", message, sweep.place, name, hint=hint))
    params, _ = resolve_params(flat, {})
    nodes = {name: _unconditional(entry, params, format_, told) for name, entry in flat.nodes.items()}
    return replace(flat, nodes=MappingProxyType(nodes), sweep=None), tuple(told)


def _unconditional(entry: NodeEntry, params: Mapping[str, Scalar], format_: str, told: list[Problem]) -> NodeEntry:
    """A node without `when` and without a sweep."""
    if entry.sweep is not None:
        entry = replace(entry, sweep=None)
    if entry.when is None:
        return entry
    parts: tuple[Value, ...] = entry.when if isinstance(entry.when, tuple) else (entry.when,)
    known = [params.get(part.name) if isinstance(part, Ref) and part.output is None else part for part in parts]
    if any(not isinstance(part, bool) for part in known):
        message = f"whether the node '{entry.id}' runs depends on another node, and {format_} has no 'when'"
        told.append(Problem("not_in_format", message, entry.when_place, entry.id, hint="take 'when' out first"))
    silent = entry.mode == "run" and any(part is False for part in known)
    return replace(entry, when=None, mode="muted" if silent else entry.mode)
