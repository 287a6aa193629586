"""What holds of every engine: the same results, events and errors wherever nodes run."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cache.memory import MemoryStore
from nodegraph.context import CancelToken
from nodegraph.engines.contract import Engine
from nodegraph.execution import events
from nodegraph.sockets.codecs import digest
from tests.engines.support import ENGINES, graph_of, pipe, run
from tests.toys import entry, names


@pytest.fixture(scope="module", params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = ENGINES[request.param]()
    yield made
    made.close()


@pytest.fixture
def here() -> Iterator[Engine]:
    """The engine of this process, to compare with."""
    made = ENGINES["local"]()
    yield made
    made.close()


def diamond() -> Any:
    return graph_of(
        entry("model", "Recipe"),
        entry("a", "Noise", seed=1, dtype="bfloat16"),
        entry("b", "Noise", seed=2, dtype="float16"),
        entry("mixed", "Blend", a="$a", b="$b", by=0.25),
        entry("strong", "Strong", model="$model", latent="$mixed", strength=1.5),
        entry("all", "Everything", latent="$strong", text="x", number=0.1),
        entry("again", "Strong", model="$model", latent="$all.latent", strength=0.1),
    )


def test_results_are_the_same_to_the_bit_wherever_nodes_run(engine: Engine, here: Engine):
    there, expected = run(engine, diamond()).result, run(here, diamond()).result
    assert there.status == expected.status == "done"
    assert set(there.executed) == set(expected.executed)
    assert len(there.values) == 7
    assert {name: digest(values) for name, values in there.values.items()} == {
        name: digest(values) for name, values in expected.values.items()
    }
    assert there.trace is not None and expected.trace is not None
    assert there.trace.keys == expected.trace.keys


def test_what_one_engine_has_done_another_one_knows(engine: Engine, here: Engine):
    store = MemoryStore()
    assert run(here, diamond(), store=store, want=()).result.status == "done"
    again = run(engine, diamond(), store=store, want=()).result
    assert again.status == "done"
    assert again.executed == ()


def test_only_what_is_missing_runs(engine: Engine, tmp_path: Path):
    def graph(by: float) -> Any:
        return graph_of(
            entry("a", "Noise", seed=1, folder=str(tmp_path)),
            entry("b", "Noise", seed=2, folder=str(tmp_path)),
            entry("mixed", "Blend", a="$a", b="$b", by=by, folder=str(tmp_path)),
        )

    store = MemoryStore()
    run(engine, graph(0.25), store=store)
    assert run(engine, graph(0.75), store=store).result.executed == ("mixed",)
    assert sorted((tmp_path / "notes").read_text().split("\n")) == ["", "Blend", "Blend", "Noise 1", "Noise 2"]


def test_a_node_upstream_that_runs_to_the_same_bytes_stops_there(engine: Engine, tmp_path: Path):
    def graph(extra: str) -> Any:
        return graph_of(
            entry("model", "Recipe"),
            entry("a", "Noise", seed=1, folder=extra),
            entry("strong", "Strong", model="$model", latent="$a"),
            entry("more", "Strong", model="$model", latent="$strong"),
        )

    store = MemoryStore()
    run(engine, graph(""), store=store)
    second = run(engine, graph(str(tmp_path)), store=store).result
    assert second.executed == ("a",)
    assert set(second.cached) == {"model", "strong", "more"}


def test_what_nodes_say_arrives_between_their_beginning_and_their_end(engine: Engine):
    graph = graph_of(entry("model", "Recipe"), entry("says", "Says", steps=3), entry("w", "Where", model="$model"))
    told = run(engine, graph).events
    about = [type(event).__name__ for event in told if getattr(event, "node", None) == "says"]
    assert about[0] == "Started"
    assert about[-1] == "Finished"
    assert about.count("Progress") == 3
    assert "Warned" in about
    shown = [event.image for event in told if isinstance(event, events.Preview)]
    assert shown[-1].size == (4, 2)
    assert shown[-1].getpixel((0, 0)) == (2, 20, 30)
    last = [event for event in told if isinstance(event, events.Progress)][-1]
    assert (last.value, last.total) == (3, 3)


@pytest.mark.parametrize(
    ("kind", "code"), [("plain", "node_failed"), ("memory", "out_of_memory"), ("problem", "bad_value")]
)
def test_a_failure_is_told_in_the_same_words(engine: Engine, here: Engine, kind: str, code: str):
    graph = graph_of(
        entry("a", "Noise"),
        entry("bad", "Fails", kind=kind, latent="$a"),
        entry("after", "Blend", a="$bad", b="$a"),
        entry("other", "Noise", seed=9),
    )
    there, expected = run(engine, graph), run(here, graph)
    assert there.result.problems == expected.result.problems
    (problem,) = there.result.problems
    assert problem.code == code
    assert there.result.skipped == ("after",)
    assert set(there.result.executed) == {"a", "other"}
    (failed,) = [event for event in there.events if isinstance(event, events.Failed)]
    assert "errands_pack.py" in failed.details
    assert "raise" in failed.details


def test_several_items_and_no_value_at_all_steer_the_run_in_the_same_way(engine: Engine):
    graph = graph_of(
        entry("model", "Recipe"),
        entry("items", "Items", count=3),
        entry("each", "Strong", model="$model", latent="$items", strength=2.0),
        entry("nothing", "MaybeNothing", model="$model", nothing=True),
        entry("skipped", "Strong", model="$model", latent="$nothing"),
        entry("something", "MaybeNothing", model="$model", nothing=False),
        entry("run", "Strong", model="$model", latent="$something"),
    )
    result = run(engine, graph).result
    assert result.status == "done"
    each: Any = result["each"]
    assert [latent["samples"].max().item() for latent in each] == [0.0, 2.0, 4.0]
    assert result.skipped == ("skipped",)
    assert "run" in result.executed


def test_two_nodes_of_one_action_for_which_no_value_comes_do_not_wait_for_each_other(engine: Engine):
    graph = graph_of(
        entry("model", "Recipe"),
        entry("nothing", "MaybeNothing", model="$model", nothing=True),
        entry("one", "Strong", model="$model", latent="$nothing"),
        entry("two", "Strong", model="$model", latent="$nothing"),
    )
    assert set(run(engine, graph).result.skipped) == {"one", "two"}


def test_nodes_may_add_others(engine: Engine, here: Engine):
    graph = graph_of(entry("grown", "Grown"), entry("after", "Blend", a="$grown", b="$grown"))
    there, expected = run(engine, graph).result, run(here, graph).result
    assert there.status == "done"
    assert digest(there["after"]) == digest(expected["after"])


def test_a_cancelled_run_ends_at_the_next_step_and_the_next_one_works(engine: Engine, tmp_path: Path):
    token, begun = CancelToken(), pipe(tmp_path, "begun")

    def stop() -> None:
        Path(begun).read_text()
        token.cancel()

    thread = threading.Thread(target=stop)
    thread.start()
    result = run(engine, graph_of(entry("w", "Waits", pipe=begun)), token=token).result
    thread.join()
    assert result.status == "cancelled"
    assert result.skipped == ("w",)
    assert run(engine, diamond()).result.status == "done"


def test_nodes_that_are_the_drivers_stay_with_it(engine: Engine):
    graph = graph_of(
        entry("light", "WhereLight"),
        entry("async", "WhereAsync"),
        entry("lazy", "WhereLazy", value="$light"),
        entry("saved", "WhereSaved", value="$light"),
    )
    done = run(engine, graph)
    assert {done.result[name] for name in ("light", "async", "lazy")} == {os.getpid()}
    (saved,) = [e.saved for e in done.events if isinstance(e, events.Finished) and e.node == "saved"]
    assert saved is not None and saved.shown == {"text": [os.getpid()]}
    assert names(done.events, events.Started) == ["light", "async", "lazy", "saved"]
