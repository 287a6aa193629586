"""A request read and checked, as a run would: all its problems, and the graph if none of them is an error."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from nodegraph.errors import Problem
from nodegraph.execution.plan import unknown_target
from nodegraph.execution.settings import Settings
from nodegraph.graph.build import check
from nodegraph.graph.cells import numbers_of
from nodegraph.graph.model import Graph
from nodegraph.graph.seeds import RANDOM, with_random_seeds
from nodegraph.jobs.model import CheckReport, Request
from nodegraph.registry import Registry
from nodegraph.workflow.document import Loaded, NodeEntry, Workflow
from nodegraph.workflow.parts import is_part
from nodegraph.workflow.read import load_text

REMEMBERED: Final = 16  # workflows whose texts need not be read again
REMEMBERED_SIZE: Final = 4 << 20  # characters of the longest text that is remembered


@dataclass(frozen=True, slots=True)
class Examined:
    """What a request comes to. nodes: id → type."""

    graph: Graph | None
    problems: tuple[Problem, ...]
    nodes: Mapping[str, str]

    @property
    def outputs(self) -> Sequence[str]:
        """The nodes that something is wanted from."""
        return [self.graph.nodes[i].id for i in self.graph.output_nodes()] if self.graph is not None else ()

    def report(self, request: Request) -> CheckReport:
        """The same for whoever asked for a check."""
        problems = tuple(problem.to_json() for problem in self.problems)
        outputs = request.only or self.outputs
        return CheckReport(problems, self.graph is not None and bool(outputs), tuple(outputs), self.nodes)


@dataclass(slots=True)
class Reader:
    """Reads the texts of requests; what was read lately is remembered, since a text always says the same.

    Several threads may use it: a job is checked on one before it runs on another.
    """

    registry: Registry
    known: OrderedDict[tuple[str, str | None], Loaded] = field(
        default_factory=OrderedDict[tuple[str, str | None], Loaded]
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, text: str, file: str | None) -> Loaded:
        """The workflow of a text."""
        key = (text, file)
        with self.lock:
            found = self.known.get(key)
            if found is not None:
                self.known.move_to_end(key)
                return found
        loaded = load_text(text, file=file, specs=lambda: self.registry.specs)
        if len(text) <= REMEMBERED_SIZE:
            with self.lock:
                self.known[key] = loaded
                if len(self.known) > REMEMBERED:
                    self.known.popitem(last=False)
        return loaded


def examine(request: Request, reader: Reader, settings: Settings) -> Examined:
    """Read and check a request."""
    loaded = reader.load(request.text, request.file)
    workflow = loaded.workflow
    if workflow is None:
        return Examined(None, tuple(loaded.problems), {})
    workflow = replace(workflow, folder=request.folder)
    if strange := refuse_strange(workflow, request):
        return Examined(None, (*loaded.problems, *strange), {})
    registry, params = reader.registry, request.params
    anew = [name for name, value in params.items() if value == RANDOM]
    workflow = with_random_seeds(workflow, registry, again=anew)
    drawn = {name for name in anew if name in workflow.params and workflow.params[name].type == "INT"}
    given = {name: value for name, value in params.items() if name not in drawn}
    checked = check(workflow, registry, roots=settings.roots(workflow), overrides=given)
    problems = list(dict.fromkeys((*loaded.problems, *checked.problems)))
    graph = checked.graph
    if graph is not None:
        problems += [unknown_target(graph, name) for name in request.only if not numbers_of(graph, name)]
    if graph is not None:
        nodes = {node.id: node.spec.name for node in graph.nodes}
    else:
        nodes = {name: entry.uses or "" for name, entry in workflow.nodes.items()}
    if any(problem.severity == "error" for problem in problems):
        graph = None
    return Examined(graph, tuple(problems), nodes)


def refuse_strange(workflow: Workflow, request: Request) -> list[Problem]:
    """A problem for each sub-workflow of a text that lies nowhere."""
    if request.file is not None:
        return []
    return [homeless(entry) for entry in workflow.nodes.values() if is_part(entry.uses)]


def homeless(entry: NodeEntry) -> Problem:
    """The answer to a sub-workflow of a text that lies nowhere: a client must not have any file of the server read."""
    message = f"{entry.uses} cannot be found: this workflow came as a text, and lies in no folder"
    hint = "send it as 'nodegraph submit' does, which puts sub-workflows into their places first"
    return Problem("file_not_found", message, entry.uses_place, node=entry.id, got=entry.uses, hint=hint)
