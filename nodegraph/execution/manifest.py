"""The record of a run: what ran and why, with which keys, versions and files. One JSON file a run."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from nodegraph.execution.explain import Explained
from nodegraph.execution.provenance import library_versions
from nodegraph.execution.result import RunResult, Trace
from nodegraph.execution.states import DONE, HIT, OFF, UNUSED
from nodegraph.sockets.values import Saved
from nodegraph.version import VERSION

FORMAT: Final = 1
MAX_KEPT: Final = 1000  # manifests in the folder of the cache


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of a run, as its file has it."""

    run: str
    status: str
    seconds: float
    workflow: str
    workflow_digest: str
    file: str | None
    params: Mapping[str, object]
    only: Sequence[str]
    versions: Mapping[str, str]
    environment: str
    nodes: Mapping[str, Mapping[str, Any]]
    format: int = FORMAT
    began: str = ""
    problems: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


def new_run_id() -> str:
    """A name for a run that sorts by time: 20261124T101500-1a2b3c4d."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def manifest_of(
    run: str, result: RunResult, trace: Trace, explained: Sequence[Explained], text: str, only: Sequence[str] = ()
) -> Manifest:
    """What is to be kept of a run. `explained` says why the nodes ran that did; `text` is the workflow's YAML."""
    graph = trace.plan.graph
    why = {each.node: each for each in explained}
    nodes = {graph.nodes[i].id: _node(trace, i, why.get(graph.nodes[i].id)) for i in trace.plan.order}
    workflow = graph.workflow
    began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=result.seconds)
    return Manifest(
        run=run,
        status=result.status,
        seconds=round(result.seconds, 6),
        workflow=text,
        workflow_digest=hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        file=workflow.path if workflow is not None else None,
        params=dict(graph.params),
        only=tuple(only),
        versions={"nodegraph": VERSION, "python": platform.python_version(), **library_versions()},
        environment=trace.plan.environment.decode(),
        nodes=nodes,
        began=began.isoformat(timespec="milliseconds"),
        problems=[problem.to_json() for problem in result.problems],
    )


STATES: Final = {HIT: "hit", DONE: "run", OFF: "off"}


def _node(trace: Trace, i: int, why: Explained | None) -> dict[str, object]:
    node, key, record = trace.plan.graph.nodes[i], trace.keys[i], trace.records[i]
    state = trace.states[i]
    action = "hit" if i in trace.reused else STATES.get(state, "not run") if state != UNUSED else "not run"
    data: dict[str, object] = {"type": node.spec.name, "version": node.spec.version, "action": action}
    if key is not None:
        data["key"] = key.hex()
    if why is not None and why.cause is not None and action == "run":
        data |= {name: value for name, value in why.cause.to_json().items() if name != "node"}
        if why.root is not None and why.root.node != node.id:
            data["root"] = why.root.to_json()
    if record is not None and action != "not run":
        data["seconds"] = round(record.seconds, 6)
        data["outputs"] = [digest.hex() for digest in record.digests]
        if record.saved is not None:
            data["files"] = _files(record.saved)
    if i in trace.sizes:
        data["bytes"] = trace.sizes[i]
    if i in trace.plan.read_files:
        data["reads"] = {name: {"digest": digest} for name, (_, digest) in trace.plan.read_files[i].items()}
    return data


def _files(saved: Saved) -> list[dict[str, object]]:
    return [{"path": file.path, "digest": file.digest} for file in saved.files]


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as file:
            file.write(json.dumps(manifest.to_json(), ensure_ascii=False, separators=(",", ":"), default=str))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def keep_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write a manifest below `folder`, where the newest ones are kept. Raises OSError."""
    path = folder / f"{manifest.run}.json"
    write_manifest(manifest, path)
    if manifest.run.endswith(("0", "8")):  # looking at the folder each time would be waste
        for old in sorted(folder.glob("*.json"))[:-MAX_KEPT]:
            old.unlink(missing_ok=True)
    return path


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file. Raises OSError, and ValueError for what is none."""
    data: object = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ValueError("it is not a manifest")
    fields = cast("dict[str, Any]", data)
    if fields.get("format") != FORMAT:
        raise ValueError("it is not a manifest, or one of another version")
    try:
        manifest = Manifest(**fields)
    except TypeError as error:
        raise ValueError("it is not a manifest") from error
    if not isinstance(manifest.nodes, dict) or not isinstance(manifest.workflow, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError("it is not a manifest")
    return manifest
