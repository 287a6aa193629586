"""What a workflow needs that is not there: node types with the packs they come from, model files, input files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nodegraph.context import Roots
from nodegraph.errors import Problem, listing
from nodegraph.graph.modes import settle_modes
from nodegraph.registry import Registry
from nodegraph.spec import Choices
from nodegraph.workflow.document import NodeEntry, Ref, Wanted, Workflow
from nodegraph.workflow.parts import inline_parts

INPUT_FOLDER = "input"
EMBEDDINGS = "embeddings"


@dataclass(frozen=True, slots=True)
class MissingType:
    """A node type that no pack here has, and the nodes that use it."""

    type: str
    pack: str | None
    nodes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The same as JSON data."""
        return {"type": self.type, "pack": self.pack, "count": len(self.nodes), "nodes": list(self.nodes)}

    def describe(self) -> str:
        """One line."""
        pack = f" from the pack {self.pack}" if self.pack else ""
        return f"node type {self.type}{pack}, {_times(self.nodes)}"


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that is not there: its name, its folder below the models' (or `input`), and where it can be had."""

    name: str
    folder: str
    url: str
    nodes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The same as JSON data."""
        return {"name": self.name, "folder": self.folder, "url": self.url or None, "nodes": list(self.nodes)}

    def describe(self) -> str:
        """One line."""
        kind = "input file" if self.folder == INPUT_FOLDER else "model file"
        name = f"{self.folder}/{self.name}" if self.folder else self.name
        return f"{kind} {name}, {_times(self.nodes)}" + (f", from {self.url}" if self.url else "")


@dataclass(frozen=True, slots=True)
class Missing:
    """All that is not there."""

    types: tuple[MissingType, ...] = ()
    models: tuple[MissingFile, ...] = ()
    inputs: tuple[MissingFile, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.types or self.models or self.inputs)

    def to_json(self) -> dict[str, object]:
        """The same as JSON data."""
        parts = {"nodes": self.types, "models": self.models, "inputs": self.inputs}
        return {key: [each.to_json() for each in found] for key, found in parts.items()}

    def lines(self) -> list[str]:
        """The list for people, one line each."""
        return [each.describe() for each in (*self.types, *self.models, *self.inputs)]


def _times(nodes: tuple[str, ...]) -> str:
    return f"for {'node' if len(nodes) == 1 else f'{len(nodes)} nodes:'} {listing(nodes, limit=6)}"


@dataclass(slots=True)
class _Finding:
    workflow: Workflow
    registry: Registry
    roots: Roots
    wanted: dict[str, Wanted] = field(default_factory=dict[str, Wanted])
    files: dict[tuple[str, str], dict[str, None]] = field(default_factory=dict[tuple[str, str], dict[str, None]])

    def note(self, folder: str, name: str, node: str) -> None:
        """A node needs a file."""
        self.files.setdefault((folder, name), {})[node] = None


def missing_of(workflow: Workflow, problems: Iterable[Problem], registry: Registry, roots: Roots) -> Missing:
    """What is missing, from the problems that the check of a workflow gave and the model files that its nodes name."""
    settled, _ = settle_modes(inline_parts(workflow)[0], registry)
    finding = _Finding(settled, registry, roots)
    types: dict[str, list[str]] = {}
    for problem in problems:
        entry = settled.nodes.get(problem.node or "")
        if problem.code == "unknown_node" and problem.got and problem.node:
            types.setdefault(problem.got, []).append(problem.node)
        elif problem.code == "not_a_choice" and entry is not None and problem.input:
            _note_choice(finding, entry, problem.input, problem.got or "")
    for entry in settled.nodes.values():
        _note_wanted(finding, entry)
    packs = {entry.uses: entry.pack for entry in settled.nodes.values() if entry.pack}
    files = [_file(finding, *key, tuple(nodes)) for key, nodes in finding.files.items()]
    return Missing(
        tuple([MissingType(type_, packs.get(type_), tuple(dict.fromkeys(nodes))) for type_, nodes in types.items()]),
        tuple([file for file in files if file.folder != INPUT_FOLDER]),
        tuple([file for file in files if file.folder == INPUT_FOLDER]),
    )


def _note_choice(finding: _Finding, entry: NodeEntry, name: str, got: str) -> None:
    """A value that is not among the choices, if those are files; or a textual inversion that a prompt asks for."""
    spec = finding.registry.get(entry.uses)
    given = spec.inputs_by_name.get(name) if spec is not None else None
    if given is not None and given.mentions is not None:
        finding.note(EMBEDDINGS, got.rstrip(","), entry.id)
        return
    choices = given.choices if given is not None else None
    value = entry.inputs.get(name, given.default if given is not None else None)
    if isinstance(value, Ref) and value.name in finding.workflow.params:
        value = finding.workflow.params[value.name].default
    if isinstance(choices, Choices) and choices.path is not None and isinstance(value, str):
        finding.note(INPUT_FOLDER if choices.upload else choices.folder, value, entry.id)


def _note_wanted(finding: _Finding, entry: NodeEntry) -> None:
    """The model files that a node's file says it needs, as far as they are not there.

    Of a node whose type is known the values count, and what is written beside them only if one of them names it, or
    none names a file: such lists often are of an earlier choice.
    """
    spec = finding.registry.get(entry.uses)
    named = _named_files(entry, spec.file_inputs) if spec is not None else {}
    for wanted in entry.wanted:
        finding.wanted.setdefault(wanted.name, wanted)
        if not named and finding.roots.find_model(wanted.folder, wanted.name) is None:
            finding.note(wanted.folder, wanted.name, entry.id)


def _file(finding: _Finding, folder: str, name: str, nodes: tuple[str, ...]) -> MissingFile:
    """A missing file, with the folder and address that the workflow's file has for it."""
    wanted = finding.wanted.get(name.replace("\\", "/").rpartition("/")[2])
    if wanted is None or folder == INPUT_FOLDER:
        return MissingFile(name, folder, "", nodes)
    return MissingFile(name, wanted.folder or folder, wanted.url, nodes)


def _named_files(entry: NodeEntry, inputs: Mapping[str, object]) -> dict[str, None]:
    """The files that the values of a node name."""
    return {value: None for name in inputs if isinstance(value := entry.inputs.get(name), str)}
