"""Any graph comes to the same results on any engine, and to the same hits afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodegraph.cache.memory import MemoryStore
from nodegraph.engines.contract import Engine
from nodegraph.sockets.codecs import digest
from nodegraph.workflow.document import NodeEntry
from tests.engines.support import graph_of, local, processes, run
from tests.toys import entry

KINDS = ["Noise", "Strong", "Strong", "Blend", "Patched", "Items", "MaybeNothing", "Fails"]


@pytest.fixture(scope="module")
def remote() -> Iterator[Engine]:
    with closing(processes(2)) as engine:
        yield engine


@st.composite
def graphs(draw: st.DrawFn) -> list[NodeEntry]:
    """Nodes with models and without, that fail, give several items or none, join and part."""
    nodes = [entry("m0", "Recipe", name="a"), entry("m1", "Recipe", name="b", path="/nowhere/b")]
    models, latents = ["$m0", "$m1"], list[str]()
    for i in range(draw(st.integers(1, 9))):
        kind = draw(st.sampled_from(KINDS))
        name, one = f"n{i}", draw(st.sampled_from(latents)) if latents else None
        if kind == "Noise" or (one is None and kind in ("Strong", "Blend", "Fails")):
            nodes.append(entry(name, "Noise", seed=draw(st.integers(0, 3))))
        elif kind == "Strong":
            model, strength = draw(st.sampled_from(models)), draw(st.sampled_from([0.5, 2.0]))
            nodes.append(entry(name, "Strong", model=model, latent=one, strength=strength))
        elif kind == "Blend":
            nodes.append(entry(name, "Blend", a=one, b=draw(st.sampled_from(latents))))
        elif kind == "Patched":
            nodes.append(entry(name, "Patched", model=draw(st.sampled_from(models)), name=name))
            models.append(f"${name}")
            continue
        elif kind == "Items":
            nodes.append(entry(name, "Items", count=draw(st.integers(0, 2))))
        elif kind == "MaybeNothing":
            nodes.append(entry(name, "MaybeNothing", nothing=draw(st.booleans()), model=draw(st.sampled_from(models))))
        else:
            nodes.append(entry(name, "Fails", latent=one))
        latents.append(f"${name}")
    return nodes


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_any_graph_comes_to_the_same_anywhere(remote: Engine, nodes: list[NodeEntry]):
    graph, store = graph_of(*nodes), MemoryStore()
    with closing(local()) as engine:
        expected = run(engine, graph).result
    found = run(remote, graph, store=store).result
    assert found.status == expected.status
    assert {name: digest(each) for name, each in found.values.items()} == {
        name: digest(each) for name, each in expected.values.items()
    }
    for what in ("executed", "cached", "skipped"):
        assert sorted(getattr(found, what)) == sorted(getattr(expected, what))
    assert {problem.message for problem in found.problems} == {problem.message for problem in expected.problems}
    again = run(remote, graph, store=store).result
    always = {"MaybeNothing", "Fails"}
    assert {graph.nodes[graph.index[name]].spec.name for name in again.executed} <= always | {"Blend", "Strong"}
    assert again.values.keys() == expected.values.keys()
