"""The Python API: load, check and run workflows, build them in code, keep results in a session."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Annotated, NamedTuple

import pytest

import nodegraph
from nodegraph import Builder, CancelToken, Context, ProblemError, Session, Settings
from nodegraph.context import NO_CONTEXT
from nodegraph.execution import events
from nodegraph.node import Range, node
from nodegraph.registry import load_registry
from nodegraph.sockets import Saved
from nodes.image_sizes import ImageScale
from nodes.images import LoadImage
from nodes.latents import EmptyLatentImage, LatentUpscale


class Divided(NamedTuple):
    quotient: int
    rest: int


@node(category="test")
def Divide(dividend: int, divisor: Annotated[int, Range(1, 1000)] = 2) -> Divided:
    """Two outputs."""
    return Divided(*divmod(dividend, divisor))


@node(category="test")
def Add(left: int, right: int = 1) -> int:
    """One output."""
    return left + right


@node(category="test")
def Fail(value: int) -> int:
    """Always fails."""
    raise RuntimeError(f"no {value} today")


@node(category="test")
def Wait(value: int, context: Context = NO_CONTEXT) -> int:
    """Goes on until it is cancelled."""
    while True:
        context.progress(0, 1)


@node(category="test", output_node=True)
def Tell(value: int) -> Saved:
    """Shows a number."""
    return Saved(shown={"value": value})


LATENT = """
nodegraph: 1
params: {width: 64}
nodes:
  canvas: {uses: EmptyLatentImage, with: {width: $width, height: 64}}
  larger: {uses: LatentUpscale, with: {samples: $canvas, width: 128, height: 0}}
outputs: {latent: $larger}
"""


def small() -> tuple[Builder, int]:
    graph = Builder("small")
    first = graph.param("first", 17)
    quotient, rest = graph.node("divide", Divide, first, 5)
    total = graph.add(Add, quotient, rest)
    graph.output("total", total)
    graph.add(Tell, total)
    return graph, total


# --- files and texts


def test_a_workflow_is_loaded_checked_and_run_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(LATENT)
    workflow = nodegraph.load(tmp_path / "a.yaml")
    assert nodegraph.check(workflow) == ()
    result = nodegraph.run(workflow, {"width": 32}, settings=Settings(output=tmp_path), only=["larger"])
    assert result.status == "done"
    assert result["larger"]["samples"].shape == (1, 4, 32, 16)  # pyright: ignore[reportIndexIssue]
    assert result.outputs["latent"] is result["larger"]


def test_a_text_is_a_workflow_as_well() -> None:
    assert nodegraph.loads(LATENT).nodes.keys() == {"canvas", "larger"}
    assert nodegraph.loads(nodegraph.loads(LATENT).text or "").nodes.keys() == {"canvas", "larger"}


def test_a_file_that_is_missing_or_unreadable_raises_its_problems(tmp_path: Path) -> None:
    with pytest.raises(ProblemError) as caught:
        nodegraph.load(tmp_path / "missing.yaml")
    assert [problem.code for problem in caught.value.problems] == ["file_not_found"]
    with pytest.raises(ProblemError) as caught:
        nodegraph.loads("nodegraph: 1\nnodes: {a: {uses: X}, a: {uses: Y}}\n")
    assert "duplicate_key" in [problem.code for problem in caught.value.problems]


def test_check_tells_all_problems_and_run_raises_them_before_anything_runs(tmp_path: Path) -> None:
    text = LATENT.replace("width: 128", "widht: 128").replace("EmptyLatentImage", "EmptyLatentImge")
    workflow = nodegraph.loads(text)
    problems = nodegraph.check(workflow)
    assert {"unknown_node", "unknown_input"} <= {problem.code for problem in problems}
    assert all(problem.place.line for problem in problems)
    with pytest.raises(ProblemError) as caught:
        nodegraph.run(workflow, settings=Settings(output=tmp_path / "output"))
    assert set(caught.value.problems) <= set(problems)
    assert "did you mean" in str(caught.value)
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"seed": -1}, "out_of_range"), ({"seed": 2**64}, "bad_number"), ({"seed": 1.5}, "type_mismatch"),
        ({"seed": "7"}, "type_mismatch"), ({"seed": True}, "type_mismatch"), ({"steps": 0}, "out_of_range"),
        ({"steps": 10**9}, "out_of_range"), ({"denoise": 1.0001}, "out_of_range"),
        ({"cfg": float("nan")}, "bad_number"), ({"sampler_name": "eular"}, "not_a_choice"),
    ],
)  # fmt: skip
def test_impossible_numbers_are_refused_before_anything_runs(inputs: dict[str, object], code: str) -> None:
    values = "".join(f", {name}: {value!r}" for name, value in inputs.items()).replace("nan", ".nan")
    values = values.replace("True", "true")
    text = f"""
nodegraph: 1
nodes:
  m: {{uses: CheckpointLoaderSimple, with: {{ckpt_name: tiny}}}}
  p: {{uses: CLIPTextEncode, with: {{clip: $m.clip, text: ''}}}}
  c: {{uses: EmptyLatentImage}}
  s: {{uses: KSampler, with: {{model: $m.model, positive: $p, negative: $p, latent_image: $c{values}}}}}
outputs: {{latent: $s}}
"""
    with pytest.raises(ProblemError) as caught:
        nodegraph.run(nodegraph.loads(text))
    (found,) = caught.value.problems
    assert (found.code, found.place.line) == (code, 7)
    if code != "bad_number":  # which no input could take, so that the reader refuses it already
        assert found.input == next(iter(inputs))


# --- graphs built in code


def test_a_graph_built_in_code_runs_and_gives_named_outputs() -> None:
    graph, _ = small()
    assert nodegraph.check(graph) == ()
    result = nodegraph.run(graph)
    assert result.outputs == {"total": 3 + 2}
    assert result.saved["tell"].shown == {"value": 5}
    assert nodegraph.run(graph, {"first": 29}).outputs == {"total": 5 + 4}


def test_the_values_of_any_node_may_be_asked_for() -> None:
    graph, _ = small()
    result = nodegraph.run(graph, want=["divide", "add"])
    assert result["divide"] == (3, 2)
    assert result["add"] == 5
    with pytest.raises(KeyError):
        _ = result["tell"]


def test_nodes_are_named_after_their_type_or_as_one_likes() -> None:
    graph = Builder()
    graph.add(EmptyLatentImage)
    graph.add(EmptyLatentImage)
    graph.node("mine", EmptyLatentImage)
    assert list(graph.workflow().nodes) == ["empty_latent_image", "empty_latent_image_2", "mine"]
    for name in ("mine", "a b", "", "1"):
        with pytest.raises(ValueError, match="name"):
            graph.node(name, EmptyLatentImage)


def test_a_call_that_the_node_does_not_take_fails_where_it_is_written() -> None:
    graph = Builder()
    with pytest.raises(TypeError, match="widht"):
        graph.add(EmptyLatentImage, widht=64)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="argument"):
        graph.add(LatentUpscale)  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="not a node"):
        graph.add(print, 1)
    with pytest.raises(TypeError, match="output"):
        graph.output("x", 5)


def test_what_no_document_can_hold_is_refused_with_its_place() -> None:
    graph = Builder()
    graph.node("sum", Add, object())  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"input 'left' of 'sum'.* not object"):
        nodegraph.check(graph)


def test_a_graph_built_in_code_is_checked_like_a_file() -> None:
    graph = Builder()
    canvas = graph.add(EmptyLatentImage, 7, 64)
    graph.output("picture", graph.add(ImageScale, canvas))  # pyright: ignore[reportArgumentType]
    graph.output("other", graph.add(LoadImage, "nothing.png").IMAGE)
    assert {problem.code for problem in nodegraph.check(graph)} >= {"out_of_range", "type_mismatch", "not_a_choice"}


def test_a_failing_node_is_told_in_the_result_and_the_rest_runs() -> None:
    graph = Builder()
    graph.output("lost", graph.node("after", Add, graph.node("fails", Fail, 3)))
    graph.output("kept", graph.node("fine", Add, 1))
    result = nodegraph.run(graph)
    assert result.status == "failed"
    assert [(problem.code, problem.node) for problem in result.problems] == [("node_failed", "fails")]
    assert "no 3 today" in result.problems[0].message
    assert result.skipped == ("after",)
    assert result.outputs == {"kept": 2}


def test_a_device_that_is_not_there_is_a_problem_of_the_node_that_wants_it(tmp_path: Path) -> None:
    text = """
nodegraph: 1
nodes:
  m: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  p: {uses: CLIPTextEncode, with: {clip: $m.clip, text: hi}}
outputs: {p: $p}
"""
    result = nodegraph.run(nodegraph.loads(text), settings=Settings(output=tmp_path, device="warp9"), only=["p"])
    assert [(problem.code, problem.node) for problem in result.problems] == [("bad_device", "p")]


# --- sessions


def test_a_session_computes_only_what_changed() -> None:
    graph, _ = small()
    with Session(registry=load_registry().with_specs(graph.specs)) as session:
        assert set(session.run(graph.workflow()).executed) == {"divide", "add", "tell"}
        assert session.run(graph.workflow()).executed == ()
        changed = session.run(graph.workflow(), {"first": 13})  # 13 = 2 · 5 + 3: another division, the same sum
        assert changed.executed == ("divide", "add")
        assert changed.outputs == {"total": 5}


def test_events_arrive_in_order(tmp_path: Path) -> None:
    graph, _ = small()
    seen: list[events.Event] = []
    nodegraph.run(graph, on_event=seen.append)
    kinds = [type(event).__name__ for event in seen]
    assert kinds[0] == "Planned"
    assert kinds[-1] == "RunFinished"
    assert kinds.count("Started") == kinds.count("Finished") == 3


def test_a_run_is_cancelled_from_another_thread() -> None:
    graph = Builder()
    graph.output("never", graph.add(Wait, 1))
    token = CancelToken()

    def on_event(event: events.Event) -> None:
        if isinstance(event, events.Progress):
            threading.Thread(target=token.cancel).start()

    result = nodegraph.run(graph, on_event=on_event, token=token)
    assert result.status == "cancelled"
    assert result.outputs == {}


def test_a_run_inside_an_event_loop_works_as_well() -> None:
    async def notebook() -> object:
        return nodegraph.run(small()[0]).outputs["total"]

    assert asyncio.run(notebook()) == 5


def test_a_run_can_be_awaited() -> None:
    graph, _ = small()
    with Session(registry=load_registry().with_specs(graph.specs)) as session:
        assert asyncio.run(session.run_async(graph.workflow())).outputs == {"total": 5}


def test_all_that_is_promised_can_be_imported_by_name() -> None:
    assert all(hasattr(nodegraph, name) for name in nodegraph.__all__)
    with pytest.raises(AttributeError, match="no attribute"):
        _ = nodegraph.nonsense  # pyright: ignore[reportAttributeAccessIssue]
