"""A pack of small real nodes, and short ways to write, check and run workflows of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypeVar

from nodegraph.cache.memory import MemoryStore
from nodegraph.cache.records import ResultStore
from nodegraph.context import CancelToken, Context, Roots
from nodegraph.engines.local import LocalEngine
from nodegraph.execution.events import Event
from nodegraph.execution.executor import execute
from nodegraph.execution.plan import plan
from nodegraph.execution.result import RunResult
from nodegraph.graph import Checked, Graph, check
from nodegraph.node import Range, node, spec_of
from nodegraph.registry import Registry
from nodegraph.sockets import Saved, socket
from nodegraph.workflow.document import CachePolicy, NodeEntry, Workflow
from nodegraph.workflow.read import load_text
from nodegraph.workflow.texts import BadReference, parse_text

T = TypeVar("T")
Wood = NewType("Wood", object)
Stone = NewType("Stone", object)
socket(Wood, "WOOD")
socket(Stone, "STONE")


class Halves(NamedTuple):
    first: str
    rest: str


@node(category="toys", light=True, numeric=False)
def Number(value: int = 0) -> int:
    """A whole number."""
    return value


@node(category="toys", light=True, numeric=False)
def Add(left: int, right: int = 1) -> int:
    """The sum of two whole numbers."""
    return left + right


@node(category="toys", light=True, numeric=False)
def Scale(value: float, by: Annotated[float, Range(0, 10)] = 2.0) -> float:
    """A number times another."""
    assert type(value) is float
    assert type(by) is float
    return value * by


@node(category="toys", light=True, numeric=False)
def Words(text: str = "", style: Literal["plain", "loud"] = "plain") -> str:
    """A text, plain or loud."""
    return text.upper() if style == "loud" else text


@node(category="toys", light=True, numeric=False)
def Split(text: str) -> Halves:
    """The first letter of a text, and the rest of it."""
    return Halves(text[:1], text[1:])


@node(category="toys", light=True, numeric=False)
def Pass(value: T) -> T:
    """What comes in goes out."""
    return value


@node(category="toys", light=True, numeric=False)
def Pick(yes: T, no: T, which: bool = True) -> T:
    """One of two values of the same type."""
    return yes if which else no


@node(category="toys", light=True, numeric=False)
def Fell() -> Wood:
    """Wood."""
    return Wood("wood")


@node(category="toys", light=True, numeric=False)
def Quarry() -> Stone:
    """Stone."""
    return Stone("stone")


@node(category="toys", light=True, numeric=False)
def Carve(wood: Wood, deep: int | None = None) -> Wood:
    """Carved wood."""
    return wood


@node(category="toys", light=True, numeric=False)
def Build(material: Wood | Stone) -> str:
    """Something of wood or stone."""
    return f"a house of {material}"


@node(category="toys", light=True, numeric=False)
def Anything(value: Any) -> Any:
    """Whatever it is given."""
    return value


@node(category="toys", light=True, numeric=False, output_node=True)
def Show(value: Any) -> Saved:
    """Shows a value."""
    return Saved(shown={"value": value})


PACK = (Number, Add, Scale, Words, Split, Pass, Pick, Fell, Quarry, Carve, Build, Anything, Show)


def registry(*more: Callable[..., object]) -> Registry:
    """The toys, and more nodes."""
    return Registry().with_specs([spec_of(function) for function in (*PACK, *more)])


def entry(name: str, uses: str, cache: CachePolicy = "auto", /, **inputs: Any) -> NodeEntry:
    """A node's entry; texts are read as a file's would be."""
    values: dict[str, Any] = {}
    for key, value in inputs.items():
        values[key] = parse_text(value) if isinstance(value, str) else value
        assert not isinstance(values[key], BadReference)
    return NodeEntry(name, uses, values, cache=cache)


def workflow(*entries: NodeEntry) -> Workflow:
    return Workflow({node.id: node for node in entries})


def check_yaml(text: str, *more: Callable[..., object], roots: Roots | None = None) -> Checked:
    """Check the nodes of a YAML document, given without its head."""
    loaded = load_text("nodegraph: 1\n" + text, file="w.yaml")
    assert [problem.describe() for problem in loaded.problems] == []
    assert loaded.workflow is not None
    return check(loaded.workflow, registry(*more), roots=roots)


def graph_of(document: Workflow | Sequence[NodeEntry], *more: Callable[..., object]) -> Graph:
    """The graph of a workflow without errors."""
    checked = check(document if isinstance(document, Workflow) else workflow(*document), registry(*more))
    assert checked.graph is not None, [problem.describe() for problem in checked.problems]
    return checked.graph


def run(
    graph: Graph,
    *,
    store: ResultStore | None = None,
    only: Sequence[str] = (),
    want: Sequence[str] | None = None,
    events: list[Event] | None = None,
    on_event: Callable[[Event], None] | None = None,
    token: CancelToken | None = None,
    context: Context | None = None,
    roots: Roots | None = None,
    workers: int = 1,
    types: Registry | None = None,
) -> RunResult:
    """Plan and run a graph in this process."""
    engine = LocalEngine(workers)
    try:
        todo = plan(graph, only=only, roots=roots)
        return asyncio.run(
            execute(
                todo,
                store=store if store is not None else MemoryStore(),
                engine=engine,
                context=context or Context(roots=roots or Roots()),
                on_event=events.append if events is not None else on_event,
                token=token,
                want=[graph.index[name] for name in want] if want is not None else todo.targets,
                registry=types,
            )
        )
    finally:
        engine.close()


def names(events: Sequence[Event], kind: type) -> list[str]:
    """The nodes that events of one kind are about, in order."""
    return [event.node for event in events if isinstance(event, kind)]  # type: ignore[union-attr]


def by_code(checked: Checked) -> Mapping[str, list[str]]:
    """code → the nodes with a problem of that code."""
    found: dict[str, list[str]] = {}
    for problem in checked.problems:
        found.setdefault(problem.code, []).append(problem.node or "")
    return found
