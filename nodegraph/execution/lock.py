"""Locks: what a workflow's pictures depend on beside the workflow, written down so that a run can insist on it.

A lock has the digests of the files that a workflow names, the versions of nodegraph and of the libraries that matter,
and for each node type used its pack and the digest of its code. The workflow itself is not part of it: prompts and
numbers may change, but another model, node type or library is another picture for the same file.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from nodegraph.context import Roots
from nodegraph.errors import Place, Problem
from nodegraph.execution.provenance import library_versions
from nodegraph.files import FileDigests
from nodegraph.graph.model import Graph, GraphNode
from nodegraph.registry import ENTRY_POINT_GROUP
from nodegraph.spec import Choices
from nodegraph.version import VERSION

FORMAT: Final = 1
SHOWN: Final = 12  # characters of a digest that messages show


class Code(NamedTuple):
    """A node type: the pack that it comes from, and the digest of its code."""

    pack: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Lock:
    """What is locked: versions of nodegraph and libraries, packs that are installed (`pack==1.0`), node types, and the
    digests of files, which are called by their folder and their name there (`loras/style.safetensors`).

    workflow: the version of the workflow's format. places: where in the lock's file each entry stands, by section and
    name.
    """

    versions: Mapping[str, str]
    packs: Mapping[str, str]
    nodes: Mapping[str, Code]
    files: Mapping[str, str]
    workflow: int = 1
    places: Mapping[tuple[str, str], Place] = field(default_factory=dict[tuple[str, str], Place], compare=False)
    file: str = ""

    def place(self, section: str, name: str) -> Place:
        """Where an entry stands."""
        return self.places.get((section, name), Place(self.file or None))


class Use(NamedTuple):
    """Where something is used: its place in the workflow, the node, the input if any; and where a file lies."""

    place: Place
    node: str
    input: str | None = None
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """What is here now: as a lock would have it, where it is used, and what keeps it from being locked."""

    lock: Lock
    uses: Mapping[tuple[str, str], Use]
    problems: tuple[Problem, ...] = ()


def present(graph: Graph, roots: Roots, files: FileDigests) -> Present:
    """All that a graph depends on here, in all cells of its sweeps."""
    nodes: dict[str, Code] = {}
    found: dict[str, str] = {}
    uses: dict[tuple[str, str], Use] = {}
    problems: dict[Problem, None] = {}
    for node in graph.nodes:
        name = node.spec.name
        nodes.setdefault(name, Code(node.spec.pack, node.spec.source_digest))
        uses.setdefault(("nodes", name), Use(node.entry.uses_place, node.entry.id))
        for called, use in _files(node, roots):
            if called in found:
                continue
            if use.path is None:
                problems.setdefault(_by_link(node, use))
                continue
            try:
                found[called] = files.digest(use.path)
            except OSError as error:
                message = f"{use.path} cannot be read: {error.strerror or error}"
                problems.setdefault(Problem("file_unreadable", message, use.place, use.node, use.input))
            uses[("files", called)] = use
    versions = {"nodegraph": VERSION, **library_versions()}
    lock = Lock(versions, _pack_versions({code.pack for code in nodes.values()}), nodes, found, _format(graph))
    return Present(lock, uses, tuple(problems))


def differences(lock: Lock, here: Present, command: str) -> tuple[Problem, ...]:
    """A problem for each difference between a lock and what is here; `command` is what locks anew."""
    remedy = f"lock it anew with '{command}'"
    return (
        *here.problems,
        *_format_difference(lock, here, remedy),
        *_version_differences(lock, here, remedy),
        *_node_differences(lock, here, remedy),
        *_file_differences(lock, here, remedy),
    )


def dump_lock(lock: Lock, workflow: str) -> str:
    """A lock as the text of its file; `workflow` is the name of the file that it is for."""
    data = {
        "nodegraph-lock": FORMAT,
        "workflow": {"file": workflow, "format": lock.workflow},
        "versions": dict(sorted(lock.versions.items())),
        "packs": dict(sorted(lock.packs.items())),
        "nodes": {name: code._asdict() for name, code in sorted(lock.nodes.items())},
        "files": {name: {"sha256": digest} for name, digest in sorted(lock.files.items())},
    }
    return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _files(node: GraphNode, roots: Roots) -> Iterator[tuple[str, Use]]:
    """The files that a node's values name, as locks call them; a path of None where a link decides."""
    spec, entry = node.spec, node.entry
    for given in spec.inputs:
        use = Use(entry.places.get(given.name, entry.place), entry.id, given.name)
        value = node.values.get(given.name)
        if given.name in spec.file_inputs:
            assert isinstance(given.choices, Choices)
            folder = given.choices.folder or "input"
            if given.name in node.links:
                yield f"{entry.id}.{given.name}", use
            elif isinstance(value, str) and (path := spec.file_inputs[given.name](value, roots)) is not None:
                yield f"{folder}/{value}", use._replace(path=path)
        elif given.mentions is not None:
            paths = given.mentions.find(value, roots) if isinstance(value, str) else given.mentions.all(roots)
            for path in paths:
                yield _called(path, roots), use._replace(path=path)


def _called(path: Path, roots: Roots) -> str:
    """A file by its folder and name, wherever the folders of models are."""
    folders = [*roots.models, *(folder.parent for _, folder in roots.extra_models), *roots.input]
    real = [folder.resolve() for folder in folders]
    below = next((folder for folder in real if path.is_relative_to(folder)), path.parent.parent)
    return path.relative_to(below).as_posix()


def _by_link(node: GraphNode, use: Use) -> Problem:
    message = f"which file '{use.input}' of '{use.node}' names is known only in a run, so that it cannot be locked"
    hint = "write its name there, or use a parameter"
    return Problem("lock_differs", message, use.place, use.node, use.input, hint=hint)


def _format(graph: Graph) -> int:
    return graph.workflow.version if graph.workflow is not None else 1


def _pack_versions(packs: set[str]) -> dict[str, str]:
    """The versions of packs that are installed distributions; nodegraph's own has nodegraph's."""
    found: dict[str, str] = {}
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if entry_point.name in packs and entry_point.dist is not None and entry_point.dist.name != "nodegraph":
            found[entry_point.name] = f"{entry_point.dist.name}=={entry_point.dist.version}"
    return found


def _format_difference(lock: Lock, here: Present, remedy: str) -> Iterator[Problem]:
    if lock.workflow != here.lock.workflow:
        message = f"a workflow of format {lock.workflow} was locked, and this one is of format {here.lock.workflow}"
        yield Problem("lock_differs", message, lock.place("workflow", "format"), hint=remedy)


def _version_differences(lock: Lock, here: Present, remedy: str) -> Iterator[Problem]:
    """Libraries, and those of the packs used that the lock knows: of others each node is told of."""
    for name in sorted({*lock.versions, *here.lock.versions}):
        old, new = lock.versions.get(name), here.lock.versions.get(name)
        yield from _version(name, old, new, f"{name}=={old}", lock.place("versions", name), remedy)
    known = {code.pack for code in lock.nodes.values()} & {code.pack for code in here.lock.nodes.values()}
    for name in sorted(known):
        old, new = lock.packs.get(name), here.lock.packs.get(name)
        yield from _version(f"node pack '{name}'", old, new, old or "", lock.place("packs", name), remedy)


def _version(
    what: str, old: str | None, new: str | None, requirement: str, place: Place, remedy: str
) -> Iterator[Problem]:
    if old == new:
        return
    message = f"{what}: {old or 'none'} was locked, and {new or 'none'} is here"
    hint = f"install {requirement}, or {remedy}" if old is not None else remedy
    yield Problem("lock_differs", message, place, got=new, expected=old, hint=hint)


def _node_differences(lock: Lock, here: Present, remedy: str) -> Iterator[Problem]:
    for name, code in here.lock.nodes.items():
        use, old = here.uses[("nodes", name)], lock.nodes.get(name)
        if old is None:
            message = f"node type '{name}' is not in the lock"
        elif old.pack != code.pack:
            message = (
                f"node type '{name}' was locked as that of pack '{old.pack}', and here it is that of '{code.pack}'"
            )
        elif old.sha256 != code.sha256:
            message = (
                f"the code of node type '{name}' (pack '{code.pack}') is not what was locked: "
                f"{old.sha256[:SHOWN]}… was, {code.sha256[:SHOWN]}… is here"
            )
        else:
            continue
        hint = remedy if old is None else f"use the version of the pack that was locked, or {remedy}"
        expected = old.sha256 if old is not None else None
        yield Problem("lock_differs", message, use.place, use.node, got=code.sha256, expected=expected, hint=hint)


def _file_differences(lock: Lock, here: Present, remedy: str) -> Iterator[Problem]:
    for name, digest in here.lock.files.items():
        use, old = here.uses[("files", name)], lock.files.get(name)
        if old == digest:
            continue
        if old is None:
            message, hint = f"the file '{name}' is not in the lock", remedy
        else:
            message = (
                f"the file '{name}' is not the one that was locked: {old[:SHOWN]}… was, {digest[:SHOWN]}… is here, "
                f"at {use.path}"
            )
            hint = f"put the file that was locked there, or {remedy}"
        yield Problem("lock_differs", message, use.place, use.node, use.input, got=digest, expected=old, hint=hint)
