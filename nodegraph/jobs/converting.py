"""A workflow in another format, for whoever asks the service. Of the disk only the request's folder is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, cast

from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.settings import Settings
from nodegraph.graph.build import check
from nodegraph.graph.converting import NOWHERE, WRITERS
from nodegraph.graph.missing import missing_of
from nodegraph.jobs.examine import refuse_strange
from nodegraph.jobs.model import Request
from nodegraph.registry import Registry
from nodegraph.workflow.document import Loaded, Workflow
from nodegraph.workflow.pictures import workflow_in_texts
from nodegraph.workflow.read import load_text

#: What a client calls a format → what `nodegraph convert` calls it.
FORMATS: Final[Mapping[str, str]] = {"yaml": "yaml", "json": "nodegraph", "api": "api", "ui": "ui"}
#: Formats that have no words for sub-workflows, whose nodes must be known then.
FLAT: Final = ("api", "ui")


def convert(request: Request, to: str, registry: Registry, settings: Settings, *, picture: bool) -> dict[str, object]:
    """The text of a request in another format. picture: it is the texts of a picture by their keys, as JSON.

    Gives {text, nodes, problems, missing}: what could not be read, and what a run here would miss. Raises ProblemError
    if there is no workflow, or the format cannot say what it says.
    """
    loaded = _load(request, registry, picture=picture)
    workflow = loaded.workflow
    if workflow is None:
        raise ProblemError(loaded.problems)
    workflow = replace(workflow, file=request.file, folder=request.folder)
    if to in FLAT and (strange := refuse_strange(workflow, request)):
        raise ProblemError((*strange, *loaded.problems))
    converted = WRITERS[FORMATS[to]](workflow, registry, NOWHERE)
    problems = (*loaded.problems, *converted.problems)
    if any(problem.severity == "error" for problem in converted.problems):
        raise ProblemError(problems)
    return {
        "text": converted.text,
        "nodes": len(converted.workflow.nodes),
        "problems": [problem.to_json() for problem in problems],
        "missing": _missing(converted.workflow, request, registry, settings),
    }


def _load(request: Request, registry: Registry, *, picture: bool) -> Loaded:
    if not picture:
        return load_text(request.text, file=request.file, specs=lambda: registry.specs)
    texts = cast("Mapping[str, str]", json.loads(request.text))
    return workflow_in_texts(texts, request.file or "picture", specs=lambda: registry.specs)


def _missing(workflow: Workflow, request: Request, registry: Registry, settings: Settings) -> dict[str, object]:
    """What is not here; nothing is known of a workflow whose sub-workflows cannot be read."""
    if refuse_strange(workflow, request):
        return {"nodes": [], "models": [], "inputs": []}
    roots = settings.roots(workflow)
    problems: tuple[Problem, ...] = tuple(check(workflow, registry, roots=roots).problems)
    return missing_of(workflow, problems, registry, roots).to_json()
