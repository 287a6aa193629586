"""The Python API: load, check and run workflows, and build them in code.

import nodegraph

workflow = nodegraph.load("workflows/hello.yaml")
result = nodegraph.run(workflow, {"seed": 8})
print(result.saved["save"].files[0].path)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nodegraph.builder import Builder
from nodegraph.context import CancelToken
from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.config import user_settings
from nodegraph.execution.events import Listener
from nodegraph.execution.explain import Explained
from nodegraph.execution.result import RunResult
from nodegraph.execution.session import Session, registry_for
from nodegraph.execution.settings import Settings
from nodegraph.registry import Registry
from nodegraph.workflow.difference import Difference
from nodegraph.workflow.document import Workflow


def load(path: str | os.PathLike[str]) -> Workflow:
    """Read a workflow from YAML, JSON or a PNG that contains one. Raises ProblemError with all its problems."""
    from nodegraph.workflow.read import load_file

    loaded = load_file(path)
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    if errors or loaded.workflow is None:
        raise ProblemError(errors or loaded.problems)
    return loaded.workflow


def loads(text: str) -> Workflow:
    """Read a workflow from a text, YAML or JSON. Raises ProblemError with all its problems."""
    from nodegraph.workflow.read import load_text

    loaded = load_text(text)
    errors = [problem for problem in loaded.problems if problem.severity == "error"]
    if errors or loaded.workflow is None:
        raise ProblemError(errors or loaded.problems)
    return loaded.workflow


def check(
    workflow: Workflow | Builder,
    params: Mapping[str, object] | None = None,
    *,
    settings: Settings | None = None,
) -> tuple[Problem, ...]:
    """All problems of a workflow, errors and warnings, without running anything; empty when it is fine."""
    settings = settings or user_settings()
    session = Session(settings=settings, registry=_registry_for(settings, workflow))
    try:
        return session.check(_document(workflow), params).problems
    finally:
        session.close()


def diff(old: Workflow | Builder, new: Workflow | Builder) -> Difference:
    """What differs between two workflows as graphs; false when nothing does. Layout and order do not count."""
    from nodegraph.workflow.diff import diff as compare

    return compare(_document(old), _document(new), _registry_for(user_settings(), old, new).specs)


def explain(
    workflow: Workflow | Builder,
    params: Mapping[str, object] | None = None,
    *,
    only: Sequence[str] = (),
    settings: Settings | None = None,
) -> tuple[Explained, ...]:
    """Say of each node that `run` would ask for whether it would run, and why; runs nothing. Raises ProblemError."""
    settings = settings or user_settings()
    with Session(settings=settings, registry=_registry_for(settings, workflow)) as session:
        return session.explain(_document(workflow), params, only=only)


def run(
    workflow: Workflow | Builder,
    params: Mapping[str, object] | None = None,
    *,
    only: Sequence[str] = (),
    want: Collection[str] | None = None,
    settings: Settings | None = None,
    on_event: Listener | None = None,
    token: CancelToken | None = None,
) -> RunResult:
    """Check a workflow and run it once; see `Session.run`. To run several and keep results between them, use a Session.

    Raises ProblemError for a workflow with errors, before anything runs.
    """
    settings = settings or user_settings()
    with Session(settings=settings, registry=_registry_for(settings, workflow)) as session:
        return session.run(_document(workflow), params, only=only, want=want, on_event=on_event, token=token)


def _document(workflow: Workflow | Builder) -> Workflow:
    return workflow.workflow() if isinstance(workflow, Builder) else workflow


def _registry_for(settings: Settings, *workflows: Workflow | Builder) -> Registry:
    """The node types of all packs, and those that are used in graphs built in code."""
    builders = [each for each in workflows if isinstance(each, Builder)]
    custom = [Path(folder) for each in builders for folder in each.custom_nodes]
    settings = replace(settings, custom_nodes=tuple(dict.fromkeys((*custom, *settings.custom_nodes))))
    registry = registry_for(settings, [Path(folder) for each in builders for folder in each.nodes])
    return registry.with_specs([spec for each in builders for spec in each.specs])
