"""A sweep from a form: the request's workflow, run for several values, with sheets of all its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.settings import Settings
from nodegraph.graph.build import check
from nodegraph.graph.model import Graph
from nodegraph.graph.over import values_over
from nodegraph.graph.sheets import with_sheets
from nodegraph.jobs.examine import Reader, refuse_strange
from nodegraph.jobs.model import Request
from nodegraph.registry import Registry
from nodegraph.workflow.document import Workflow
from nodegraph.workflow.sweeps import with_sweep
from nodegraph.workflow.write import dump_yaml

SAVER: Final = "SaveImage"
PREFIX: Final = "sweep"

#: Names of parameters or inputs → their values, or a text such as `1..4`.
Over = Mapping[str, str | Sequence[str | int | float | bool]]


def sweep(
    request: Request, over: Over, reader: Reader, settings: Settings, *, zipped: bool, grid: bool
) -> dict[str, object]:
    """The workflow of a sweep: {text, params, sheets}; sheets are the nodes that save one. Raises ProblemError."""
    loaded = reader.load(request.text, request.file)
    if loaded.workflow is None or any(problem.severity == "error" for problem in loaded.problems):
        raise ProblemError(loaded.problems)
    workflow = replace(loaded.workflow, folder=request.folder)
    if strange := refuse_strange(workflow, request):
        raise ProblemError(strange)
    values, problems = values_over(workflow, reader.registry, over)
    if problems:
        raise ProblemError(problems)
    document = with_sweep(workflow, values, zipped=zipped)
    if isinstance(document, Problem):
        raise ProblemError(document)
    params = {name: value for name, value in request.params.items() if name not in values}
    graph = _graph_of(document, reader.registry, settings, params)
    sheets: dict[str, str] = {}
    if grid:
        document, sheets = with_sheets(document, reader.registry, graph, SAVER, {"filename_prefix": PREFIX})
    return {"text": dump_yaml(document), "params": params, "sheets": list(sheets)}


def _graph_of(workflow: Workflow, registry: Registry, settings: Settings, params: Mapping[str, object]) -> Graph:
    found = check(workflow, registry, roots=settings.roots(workflow), overrides=params)
    if found.graph is None:
        raise ProblemError(found.problems)
    return found.graph
