"""Random graphs, edited at random: the values are right, and only what a change reached was run."""

from __future__ import annotations

from dataclasses import dataclass, replace

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache.memory import MemoryStore
from nodegraph.node import node
from nodegraph.workflow.document import NodeEntry, Ref, Workflow
from tests.toys import graph_of, run

MODULUS = 7  # small, so that results often come out the same and stop there


@node(category="toys", light=True, numeric=False)
def Mix(a: int = 0, b: int = 0, plus: int = 0) -> int:
    """A number from two others, by a rule in which order matters."""
    return (a + 2 * b + plus) % MODULUS


@node(category="toys", numeric=False)
def Heavy(a: int = 0, b: int = 0, plus: int = 0) -> int:
    """The same, off the event loop."""
    return (a + 2 * b + plus) % MODULUS


@node(category="toys", numeric=False)
async def Late(a: int = 0, b: int = 0, plus: int = 0) -> int:
    """The same, asynchronously."""
    return (a + 2 * b + plus) % MODULUS


@dataclass(frozen=True)
class Item:
    """A node: its type, the numbers of the nodes it takes `a` and `b` from, and a literal."""

    uses: str
    a: int | None
    b: int | None
    plus: int


@st.composite
def items(draw: st.DrawFn, i: int) -> Item:
    source = st.none() | st.integers(0, i - 1) if i else st.none()
    uses = draw(st.sampled_from(["Mix", "Mix", "Heavy", "Late"]))
    return Item(uses, draw(source), draw(source), draw(st.integers(0, 2)))


@st.composite
def histories(draw: st.DrawFn) -> list[list[Item]]:
    """A graph, and what it was after each of a few edits."""
    graph = [draw(items(i)) for i in range(draw(st.integers(1, 12)))]
    history = [graph]
    for _ in range(draw(st.integers(1, 4))):
        graph = list(graph)
        for _ in range(draw(st.integers(0, 2))):
            i = draw(st.integers(0, len(graph) - 1))
            graph[i] = draw(items(i))
        history.append(graph)
    return history


def document(graph: list[Item]) -> Workflow:
    nodes: dict[str, NodeEntry] = {}
    for i, item in enumerate(graph):
        links = {name: Ref(f"n{j}") for name, j in (("a", item.a), ("b", item.b)) if j is not None}
        nodes[f"n{i}"] = NodeEntry(f"n{i}", item.uses, {"plus": item.plus, **links})
    return Workflow(nodes)


def values_of(graph: list[Item]) -> list[int]:
    values: list[int] = []
    for item in graph:
        a, b = (0 if j is None else values[j] for j in (item.a, item.b))
        values.append((a + 2 * b + item.plus) % MODULUS)
    return values


def reached(before: list[Item], after: list[Item]) -> set[int]:
    """The nodes that were edited, and all that take from them."""
    network: nx.DiGraph = nx.DiGraph()
    network.add_nodes_from(range(len(after)))
    network.add_edges_from((j, i) for i, item in enumerate(after) for j in (item.a, item.b) if j is not None)
    edited = {i for i, (old, new) in enumerate(zip(before, after, strict=True)) if old != new}
    return edited.union(*(nx.descendants(network, i) for i in edited))


@settings(deadline=None, max_examples=40)
@given(histories(), st.data())
def test_values_are_right_and_only_what_changed_is_run(history: list[list[Item]], data: st.DataObject):
    store = MemoryStore()
    names = [f"n{i}" for i in range(len(history[0]))]
    seen: set[tuple[object, ...]] = set()  # actions that ran: type, then the values that went in
    before: list[Item] | None = None
    for graph in history:
        only = names if before is None else data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        values = values_of(graph)
        result = run(graph_of(document(graph), Mix, Heavy, Late), store=store, only=only, workers=2)
        assert result.status == "done"
        assert result.values == {name: (values[int(name[1:])],) for name in only}
        actions: dict[str, tuple[object, ...]] = {
            name: (
                graph[i].uses,
                *(0 if j is None else values[j] for j in (graph[i].a, graph[i].b)),
                graph[i].plus,
            )
            for i, name in enumerate(names)
        }
        ran = [linked(graph, actions, name) for name in result.executed]
        assert len(set(ran)) == len(ran), "the same action ran twice in one run"
        for name in result.executed:
            if before is not None and only_same_links(before, graph):
                assert int(name[1:]) in reached(before, graph)
            assert linked(graph, actions, name) not in seen, "the same action ran twice"
        seen.update(linked(graph, actions, name) for name in (*result.executed, *result.cached))
        if set(only) == set(names):
            before = graph


def only_same_links(before: list[Item], after: list[Item]) -> bool:
    """Whether the two graphs differ in literals and types alone; then what a change reaches is the same in both."""
    return all(
        replace(old, uses="", plus=0) == replace(new, uses="", plus=0) for old, new in zip(before, after, strict=True)
    )


def linked(graph: list[Item], actions: dict[str, tuple[object, ...]], name: str) -> tuple[object, ...]:
    item = graph[int(name[1:])]
    return (*actions[name], item.a is None, item.b is None)


@settings(deadline=None, max_examples=40)
@given(histories(), st.integers(0, 400))
def test_values_are_right_however_little_is_kept(history: list[list[Item]], budget: int):
    store = MemoryStore(budget)
    for graph in history:
        names = [f"n{i}" for i in range(len(graph))]
        result = run(graph_of(document(graph), Mix, Heavy, Late), store=store, only=names[-1:], want=names[-1:])
        assert result.values == {names[-1]: (values_of(graph)[-1],)}
        assert store.used <= budget
