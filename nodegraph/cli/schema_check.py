"""A workflow's text against the published JSON Schema, with the places of what does not fit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jsonschema import Draft202012Validator

from nodegraph.errors import Place, Problem
from nodegraph.registry import Registry
from nodegraph.workflow.api_format import is_api_format
from nodegraph.workflow.document import Workflow
from nodegraph.workflow.read import read_document
from nodegraph.workflow.schema import json_schema
from nodegraph.workflow.tree import UNREADABLE, Located, Report
from nodegraph.workflow.ui_reader import is_ui_format


def schema_problems(workflow: Workflow, registry: Registry) -> list[Problem]:
    """What the schema objects to. A workflow without a text, or in a format of ComfyUI's, has no schema."""
    if workflow.text is None:
        return []
    problems: list[Problem] = []

    def compare(root: Located, report: Report) -> None:
        if not is_api_format(root) and not is_ui_format(root):
            validator: Any = Draft202012Validator(json_schema(registry))
            for error in validator.iter_errors(plain(root)):
                path: list[str | int] = list(error.absolute_path)
                problems.append(objection(str(error.message), path, place_of(root, path, report)))

    read_document(workflow.text, compare, file=workflow.file)
    return problems


def objection(message: str, path: list[str | int], place: Place) -> Problem:
    """What the schema says, at its place."""
    where = ".".join(map(str, path)) or "the document"
    said = message if len(message) <= 200 else message[:200] + "…"
    node = str(path[1]) if path[:1] == ["nodes"] and len(path) > 1 else None
    return Problem("schema_mismatch", f"{where} does not fit the JSON Schema: {said}", place, node)


def plain(located: Located) -> object:
    """The value without its places. The reader's limit on depth bounds the recursion."""
    value = located.value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return None if value is UNREADABLE else value


def place_of(root: Located, path: Iterable[str | int], report: Report) -> Place:
    """Where the value at `path` stands."""
    here = root
    for step in path:
        if isinstance(here.value, dict) and isinstance(step, str):
            here = here.value[step]
        if isinstance(here.value, list) and isinstance(step, int):
            here = here.value[step]
    return report.at(here)
