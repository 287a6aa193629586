"""A session: results, models and threads that runs share."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cache.pool import LivePool
from nodegraph.context import NO_CONTEXT, CancelToken, Context
from nodegraph.errors import ProblemError
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.node import node
from nodegraph.workflow.document import Param, Ref, Workflow
from tests.toys import entry, registry, workflow

SUM = Workflow(
    {"a": entry("a", "Number", value="$n"), "b": entry("b", "Add", left="$a"), "s": entry("s", "Show", value="$b")},
    params={"n": Param("n", "INT", default=4)},
    outputs={"total": Ref("b")},
)


def loading() -> tuple[list[str], Any]:
    loaded: list[str] = []

    def load(name: str) -> str:
        loaded.append(name)
        return name

    @node(category="toys")
    def UseModel(name: str, prompt: str = "", context: Context = NO_CONTEXT) -> str:
        return context.pool.get(name, lambda: load(name), lambda _: 100) + prompt

    return loaded, UseModel


def test_parameters_change_from_run_to_run():
    with Session(registry=registry()) as session:
        assert session.run(SUM).outputs == {"total": 5}
        assert session.run(SUM, {"n": 6}).outputs == {"total": 7}
        assert session.run(SUM, {"n": 4}).executed == ()
        assert session.run(SUM, want=["a"]).values == {"a": (4,)}


def test_results_are_not_reused_when_that_is_switched_off():
    with Session(Settings(cache="off"), registry()) as session:
        session.run(SUM)
        assert len(session.run(SUM).executed) == 3


def test_errors_are_told_before_anything_runs():
    with Session(registry=registry()) as session:
        with pytest.raises(ProblemError) as caught:
            session.run(workflow(entry("a", "Add"), entry("b", "Nummer"), entry("s", "Show", value="$a")))
        assert [problem.code for problem in caught.value.problems] == ["missing_input", "unknown_node"]
        for wrong in ({"only": ["zz"]}, {"want": ["zz"]}):
            with pytest.raises(ProblemError) as caught:
                session.run(SUM, **wrong)  # type: ignore[arg-type]
            assert [problem.code for problem in caught.value.problems] == ["unknown_target"]


def test_a_run_works_inside_a_running_event_loop():
    async def notebook() -> object:
        with Session(registry=registry()) as session:
            direct = session.run(SUM)
            awaited = await session.run_async(SUM, {"n": 5})
            return direct["b"] if "b" in direct.values else direct.outputs, awaited.outputs

    assert asyncio.run(notebook()) == (5, {"total": 6})


def test_an_error_crosses_from_the_thread_of_a_notebooks_run():
    async def notebook() -> None:
        with Session(registry=registry()) as session:
            session.run(workflow(entry("a", "Nummer")))

    with pytest.raises(ProblemError):
        asyncio.run(notebook())


def test_runs_share_models_through_the_pool():
    loaded, use = loading()
    document = Workflow(
        {"u": entry("u", "UseModel", name="big", prompt="$p"), "s": entry("s", "Show", value="$u")},
        params={"p": Param("p", "STRING", default="")},
    )
    with Session(registry=registry(use)) as session:
        for prompt in ("one", "two", "three"):
            assert session.run(document, {"p": prompt}).saved["s"].shown == {"value": "big" + prompt}
    assert loaded == ["big"]


def test_the_pool_of_a_session_keeps_to_its_bytes():
    loaded, use = loading()
    with Session(registry=registry(use), pool=LivePool(budget=250)) as session:
        for i, name in enumerate(["a", "b", "a", "c", "a", "b"]):
            session.run(workflow(entry("u", "UseModel", name=name, prompt=str(i)), entry("s", "Show", value="$u")))
            assert session.pool.used <= 250
        assert loaded == ["a", "b", "c", "b"]
    assert session.pool.used == 0


def test_two_runs_at_once_share_results_and_come_to_the_right_values():
    with Session(registry=registry()) as session:

        async def both() -> list[object]:
            runs = [session.run_async(SUM, {"n": n}) for n in (1, 2, 1, 3)]
            return [result.outputs["total"] for result in await asyncio.gather(*runs)]

        assert asyncio.run(both()) == [2, 3, 2, 4]


def test_a_session_can_be_used_from_several_threads():
    results: dict[int, object] = {}
    with Session(registry=registry()) as session:

        def work(n: int) -> None:
            results[n] = session.run(SUM, {"n": n}).outputs["total"]

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == {n: n + 1 for n in range(6)}


def test_cancelling_from_another_thread():
    started = threading.Event()
    token = CancelToken()

    @node(category="toys")
    def Long(context: Context = NO_CONTEXT) -> int:
        started.set()
        while True:
            context.check_cancelled()

    def cancel() -> None:
        started.wait()
        token.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    with Session(registry=registry(Long)) as session:
        result = session.run(workflow(entry("a", "Long"), entry("s", "Show", value="$a")), token=token)
    thread.join()
    assert (result.status, result.skipped) == ("cancelled", ("a", "s"))


def test_pictures_know_the_workflow_they_come_from(tmp_path: Path):
    seen: list[Context] = []

    @node(category="toys", output_node=True)
    def Keep(value: int, context: Context = NO_CONTEXT) -> None:
        seen.append(context)

    document = Workflow(
        {"a": entry("a", "Number", value="$n"), "k": entry("k", "Keep", value="$a")},
        params={"n": Param("n", "INT", default=4)},
    )
    with Session(Settings(output=tmp_path), registry(Keep)) as session:
        session.run(document, {"n": 9})
    (context,) = seen
    assert context.roots.output == tmp_path
    assert context.provenance.workflow is not None
    assert '"n": 9' in context.provenance.workflow
    assert context.provenance.prompt is not None
    assert '"class_type": "Keep"' in context.provenance.prompt
    assert "nodegraph" in context.provenance.facts
