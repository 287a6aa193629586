"""Order and cycles against networkx, and graphs far deeper than Python may recurse."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.execution.plan import plan
from nodegraph.graph import check
from nodegraph.graph.cycles import find_cycles
from nodegraph.graph.order import topological_order
from nodegraph.node import node
from nodegraph.workflow.document import NodeEntry, Ref, Workflow
from tests.toys import check_yaml, graph_of, registry

Links = dict[str, list[str]]


@node(category="toys", light=True)
def Join(a: int = 0, b: int = 0, c: int = 0) -> int:
    """A node with three inputs."""
    return a + b + c


@st.composite
def any_links(draw: st.DrawFn) -> Links:
    """name → up to three names that it takes from, cycles and doubles included."""
    size = draw(st.integers(1, 12))
    numbers = st.integers(0, size - 1)
    return {f"n{i}": [f"n{j}" for j in draw(st.lists(numbers, max_size=3))] for i in range(size)}


@st.composite
def acyclic_links(draw: st.DrawFn) -> Links:
    size = draw(st.integers(1, 20))
    order = draw(st.permutations(range(size)))
    links = {
        f"n{order[i]}": [f"n{order[j]}" for j in draw(st.lists(st.integers(0, i - 1), max_size=3))] if i else []
        for i in range(size)
    }
    return {name: links[name] for name in draw(st.permutations(list(links)))}


def oracle(links: Links) -> nx.DiGraph:
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(links)
    graph.add_edges_from((source, name) for name, sources in links.items() for source in sources)
    return graph


def document(links: Links) -> Workflow:
    nodes = {
        name: NodeEntry(name, "Join", dict(zip("abc", map(Ref, sources), strict=False)))
        for name, sources in links.items()
    }
    return Workflow(nodes)


@given(any_links())
def test_the_order_holds_exactly_the_nodes_that_no_cycle_is_upstream_of(links: Links):
    order = topological_order(links)
    graph = oracle(links)
    on_cycle = {name for knot in nx.strongly_connected_components(graph) if len(knot) > 1 for name in knot}
    on_cycle |= set(nx.nodes_with_selfloops(graph))
    behind = {name for start in on_cycle for name in nx.descendants(graph, start)}
    assert sorted(order) == sorted(set(links) - on_cycle - behind)
    position = {name: i for i, name in enumerate(order)}
    assert all(position[source] < position[name] for name in order for source in links[name])


@given(any_links())
def test_one_real_cycle_is_told_for_each_knot(links: Links):
    graph = oracle(links)
    cycles = find_cycles(links, set(links))
    knots = [
        knot
        for knot in nx.strongly_connected_components(graph)
        if len(knot) > 1 or any(name in links[name] for name in knot)
    ]
    assert len(cycles) == len(knots)
    for cycle in cycles:
        assert len(set(cycle)) == len(cycle)
        assert all(graph.has_edge(a, b) for a, b in zip(cycle, cycle[1:] + cycle[:1], strict=True))
        knot = next(knot for knot in knots if cycle[0] in knot)
        assert knot.issuperset(cycle)
        knots.remove(knot)


@given(any_links())
def test_a_workflow_has_a_graph_exactly_when_it_has_no_cycle(links: Links):
    checked = check(document(links), registry(Join))
    assert (checked.graph is not None) == nx.is_directed_acyclic_graph(oracle(links))
    assert {problem.code for problem in checked.errors} <= {"cycle"}


@given(acyclic_links(), st.data())
def test_a_plan_is_the_targets_and_their_ancestors_in_order(links: Links, data: st.DataObject):
    graph = graph_of(document(links), Join)
    targets = data.draw(st.lists(st.sampled_from(sorted(links)), min_size=1, max_size=3))
    todo = plan(graph, only=targets)
    network = oracle(links)
    wanted = set(targets).union(*(nx.ancestors(network, target) for target in targets))
    order = [graph.nodes[i].id for i in todo.order]
    assert sorted(order) == sorted(wanted)
    position = {name: i for i, name in enumerate(order)}
    assert all(position[source] < position[name] for name in order for source in links[name])


def test_a_node_that_depends_on_itself():
    problems = check_yaml("nodes:\n  a: {uses: Add, with: {left: $a}}\n  s: {uses: Show, with: {value: $a}}\n").problems
    assert [(problem.code, problem.message) for problem in problems] == [("cycle", "node 'a' depends on itself")]
    assert problems[0].place.line == 3


def test_two_nodes_that_depend_on_each_other():
    problems = check_yaml("""
nodes:
  s: {uses: Show, with: {value: $b}}
  a: {uses: Add, with: {left: $b}}
  b: {uses: Add, with: {left: $a}}
""").problems
    assert [problem.code for problem in problems] == ["cycle"]
    assert "a -> b -> a" in problems[0].message
    assert problems[0].node == "a"


def test_a_cycle_of_a_thousand_nodes_is_told_whole():
    links = {f"n{i}": [f"n{(i - 1) % 1000}"] for i in range(1000)}
    (problem,) = check(document(links), registry(Join)).errors
    assert problem.got == " -> ".join([f"n{i}" for i in range(1000)] + ["n0"])
    assert "1000 nodes depend on each other" in problem.message
    assert len(problem.message) < 1000


def test_two_knots_are_both_told_though_one_leads_to_the_other():
    links = {"a": ["b", "c"], "b": ["a"], "c": ["d"], "d": ["c"]}
    problems = check(document(links), registry(Join)).errors
    assert [problem.got for problem in problems] == ["a -> b -> a", "c -> d -> c"]


def test_wrong_types_behind_a_cycle_are_told_too():
    problems = check_yaml("""
nodes:
  a: {uses: Add, with: {left: $a}}
  b: {uses: Carve, with: {wood: $a}}
  c: {uses: Split, with: {text: $b}}
""").errors
    assert [(problem.code, problem.node) for problem in problems] == [
        ("cycle", "a"),
        ("type_mismatch", "b"),
        ("type_mismatch", "c"),
    ]
