"""A workflow in another format, for whoever asks the service: nothing is read from this machine's disk meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, cast

from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.settings import Settings
from nodegraph.graph.build import check
from nodegraph.graph.converting import NOWHERE, WRITERS
from nodegraph.graph.missing import missing_of
from nodegraph.jobs.examine import homeless
from nodegraph.jobs.model import Request
from nodegraph.registry import Registry
from nodegraph.workflow.document import Loaded, Workflow
from nodegraph.workflow.parts import is_part
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
    strange = tuple(homeless(entry) for entry in workflow.nodes.values() if is_part(entry.uses)) if to in FLAT else ()
    if strange:
        raise ProblemError((*strange, *loaded.problems))
    converted = WRITERS[FORMATS[to]](workflow, registry, NOWHERE)
    problems = (*loaded.problems, *converted.problems)
    if any(problem.severity == "error" for problem in converted.problems):
        raise ProblemError(problems)
    return {
        "text": converted.text,
        "nodes": len(converted.workflow.nodes),
        "problems": [problem.to_json() for problem in problems],
        "missing": _missing(converted.workflow, registry, settings),
    }


def _load(request: Request, registry: Registry, *, picture: bool) -> Loaded:
    if not picture:
        return load_text(request.text, file=request.file, specs=lambda: registry.specs)
    texts = cast("Mapping[str, str]", json.loads(request.text))
    return workflow_in_texts(texts, request.file or "picture", specs=lambda: registry.specs)


def _missing(workflow: Workflow, registry: Registry, settings: Settings) -> dict[str, object]:
    """What is not here, except beside the workflow, which lies nowhere; nothing is known while it has sub-workflows."""
    if any(is_part(entry.uses) for entry in workflow.nodes.values()):
        return {"nodes": [], "models": [], "inputs": []}
    roots = settings.roots(None)
    problems: tuple[Problem, ...] = tuple(check(workflow, registry, roots=roots).problems)
    return missing_of(workflow, problems, registry, roots).to_json()
