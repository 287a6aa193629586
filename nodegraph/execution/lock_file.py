"""Reading the file of a lock, with the places of what it says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.execution.lock import FORMAT, Code, Lock
from nodegraph.workflow.read import read_bytes, read_document
from nodegraph.workflow.tree import Located, Report

DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def read_lock(path: Path, command: str) -> Lock:
    """The lock in a file; `command` is what writes it. Raises ProblemError with all that is wrong with it."""
    file = os.fspath(path)
    if not path.exists():
        raise ProblemError(Problem("lock_unusable", "there is no lock", Place(file), hint=f"write it with '{command}'"))

    def build(root: Located, report: Report) -> Lock:
        return _read(root, report, file)

    lock, problems = read_document(read_bytes(path), build, file=file, format="json")
    if lock is None or problems:
        raise ProblemError(
            Problem(
                "lock_unusable",
                f"the lock is damaged: {problem.message}",
                problem.place,
                hint=f"write it anew with '{command}'",
            )
            for problem in problems
        )
    return lock


def _read(root: Located, report: Report, file: str) -> Lock:
    members = _members(root, report)
    version = members.get("nodegraph-lock")
    if version is None or version.value != FORMAT:
        message = f"'nodegraph-lock' is {FORMAT} in locks that this version of nodegraph can read"
        raise ProblemError(Problem("lock_unusable", message, report.at(version or root)))
    places: dict[tuple[str, str], Place] = {}
    sections = {name: dict(_section(members, name, report, places)) for name in ("versions", "packs", "nodes", "files")}
    workflow = _members(members["workflow"], report) if "workflow" in members else {}
    told = workflow.get("format")
    places[("workflow", "format")] = report.at(told or root)
    nodes: dict[str, Code] = {}
    for name, entry in sections["nodes"].items():
        said = _members(entry, report)
        nodes[name] = Code(_text(said.get("pack"), entry, report), _digest(said.get("sha256"), entry, report))
    return Lock(
        {name: _text(entry, entry, report) for name, entry in sections["versions"].items()},
        {name: _text(entry, entry, report) for name, entry in sections["packs"].items()},
        nodes,
        {name: _digest(_members(e, report).get("sha256"), e, report) for name, e in sections["files"].items()},
        _number(told, root, report),
        places,
        file,
    )


def _section(
    members: dict[str, Located], name: str, report: Report, places: dict[tuple[str, str], Place]
) -> Iterator[tuple[str, Located]]:
    if name not in members:
        report.add("lock_unusable", f"'{name}' is missing", report.source.place(0, 0))
        return
    for key, entry in _members(members[name], report).items():
        places[(name, key)] = report.at_key(entry)
        yield key, entry


def _members(entry: Located, report: Report) -> dict[str, Located]:
    if isinstance(entry.value, dict):
        return entry.value
    report.add("lock_unusable", "a mapping is expected here", report.at(entry))
    return {}


def _text(entry: Located | None, around: Located, report: Report) -> str:
    if entry is not None and isinstance(entry.value, str):
        return entry.value
    report.add("lock_unusable", "a text is expected here", report.at(entry or around))
    return ""


def _digest(entry: Located | None, around: Located, report: Report) -> str:
    if entry is not None and isinstance(entry.value, str) and DIGEST.fullmatch(entry.value):
        return entry.value
    report.add("lock_unusable", "a SHA-256 digest ('sha256', 64 digits) is expected here", report.at(entry or around))
    return ""


def _number(entry: Located | None, around: Located, report: Report) -> int:
    if entry is not None and type(entry.value) is int:
        return entry.value
    report.add("lock_unusable", "the workflow's format, a whole number, is expected here", report.at(entry or around))
    return 0
