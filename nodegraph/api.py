"""The Python API: load, check and run workflows, and build them in code.

import nodegraph

workflow = nodegraph.load("workflows/hello.yaml")
result = nodegraph.run(workflow, {"seed": 8})
print(result.saved["save"].files[0].path)
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import ParamSpec, TypeVar, cast

from nodegraph.context import CancelToken, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.execution.config import user_settings
from nodegraph.execution.events import Listener
from nodegraph.execution.explain import Explained
from nodegraph.execution.result import RunResult
from nodegraph.execution.session import Session, registry_for
from nodegraph.execution.settings import Settings
from nodegraph.node import NodeSpec, spec_of
from nodegraph.registry import Registry
from nodegraph.workflow.difference import Difference
from nodegraph.workflow.document import NodeEntry, Param, Ref, Scalar, Value, Workflow
from nodegraph.workflow.param_values import type_of

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", str, int, float, bool)


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

    added = [spec for workflow in (old, new) if isinstance(workflow, Builder) for spec in workflow.specs]
    return compare(_document(old), _document(new), registry_for(user_settings()).with_specs(added).specs)


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


class Builder:
    """Builds a workflow in code, with an editor's completion and a type checker's eye on every call.

        graph = Builder()
        model, clip, vae = graph.add(CheckpointLoaderSimple, ckpt_name="tiny")
        positive = graph.add(CLIPTextEncode, "a red star", clip)

    `add` is typed as a call of the node's function, so what it returns may be passed on as the node's result; really
    it is a reference. Nothing runs before `nodegraph.run(graph)`.
    """

    def __init__(self, name: str | None = None, description: str = "") -> None:
        self._workflow = Workflow(MappingProxyType({}), name=name, description=description)
        self._entries: dict[str, NodeEntry] = {}
        self._params: dict[str, Param] = {}
        self._specs: dict[str, NodeSpec] = {}

    def param(self, name: str, default: S, description: str = "") -> S:
        """Declare a parameter, and use what is returned as its value."""
        self._claim(name)
        self._params[name] = Param(name, type_of(default), default, description=description)
        return cast(S, Ref(name))

    def add(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Add a node, named after its type (`clip_text_encode`, `clip_text_encode_2` …)."""
        stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", spec_of(function).name).lower()
        stem = re.sub(r"\W+", "_", stem)
        name, number = stem, 1
        while name in self._entries or name in self._params:
            number += 1
            name = f"{stem}_{number}"
        return self.node(name, function, *args, **kwargs)

    def node(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Add a node under a name of your choice. Raises TypeError for arguments that the node does not take."""
        self._claim(name)
        spec = spec_of(function)
        arguments = inspect.signature(function).bind(*args, **kwargs).arguments
        inputs = {key: _value(value) for key, value in arguments.items() if not isinstance(value, Context)}
        self._entries[name] = NodeEntry(name, spec.name, MappingProxyType(inputs))
        self._specs[spec.name] = spec
        if not spec.outputs:
            return cast(R, None)
        if not spec.several:
            return cast(R, Ref(name))
        refs = [Ref(name, output.name.lower()) for output in spec.outputs]
        result_type = inspect.signature(function, eval_str=True).return_annotation
        return cast(R, result_type._make(refs))

    def output(self, name: str, value: object) -> None:
        """Name a result, so that `RunResult.outputs` has it."""
        if not isinstance(value, Ref):
            raise TypeError("an output is what add() or node() returned")
        self._workflow = replace(self._workflow, outputs=MappingProxyType({**self._workflow.outputs, name: value}))

    def workflow(self) -> Workflow:
        """The workflow so far, as an immutable document."""
        return replace(
            self._workflow,
            nodes=MappingProxyType(dict(self._entries)),
            params=MappingProxyType(dict(self._params)),
        )

    @property
    def specs(self) -> Collection[NodeSpec]:
        """The node types used, which need not be in any pack."""
        return self._specs.values()

    def _claim(self, name: str) -> None:
        if name in self._entries or name in self._params:
            raise ValueError(f"the name {name!r} is taken")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", name):
            raise ValueError(f"{name!r} cannot be a name; use letters, digits, _ and -")


def _value(value: object) -> Value:
    if isinstance(value, Ref | Scalar):
        return value
    if isinstance(value, list | tuple):
        return tuple(_value(item) for item in cast("Sequence[object]", value))
    raise TypeError(f"a node's input is a value or what add() returned, not {type(value).__name__}")


def _document(workflow: Workflow | Builder) -> Workflow:
    return workflow.workflow() if isinstance(workflow, Builder) else workflow


def _registry_for(settings: Settings, workflow: Workflow | Builder) -> Registry:
    registry = registry_for(settings)
    return registry.with_specs(workflow.specs) if isinstance(workflow, Builder) else registry
