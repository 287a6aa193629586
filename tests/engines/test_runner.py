"""A worker's side: what it does with calls, and what it says when something is not there as the driver has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from nodegraph.context import Roots
from nodegraph.engines.contract import Buffer, Message
from nodegraph.engines.hello import Setup
from nodegraph.engines.messages import Facts, Step, call_message, read_failure, read_outcome
from nodegraph.engines.outcome import Reported
from nodegraph.engines.runner import Runner
from nodegraph.engines.work import Worked
from nodegraph.files import FileDigests
from nodegraph.graph.model import GraphNode
from nodegraph.node import node, spec_of
from nodegraph.registry import Registry
from nodegraph.sockets import Model, Patch
from nodegraph.workflow.document import NodeEntry
from tests.engines.support import registry

FACTS = Facts(Roots(), "auto", "auto", False)


@node(category="test")
def Path_of(model: Model, text: str = "") -> str:
    """Where the model's file lies."""
    return " ".join([model.path, *(patch.path for patch in model.patches)]) + text


@node(category="test")
def Twice(text: str) -> str:
    """The text twice."""
    return text * 2


def step(function: Callable[..., object], ident: str = "n", **more: Any) -> Step:
    """A step that calls a node's function."""
    spec = replace(spec_of(function), pack="test")
    given = {name: value for name, value in more.items() if name not in ("links", "key")}
    stub = GraphNode(ident, spec, {}, {}, NodeEntry(ident, spec.name))
    return Step(ident, stub, [given], links=more.get("links", {}), key=more.get("key"))


def specs(*functions: Callable[..., object]) -> Registry:
    return Registry().with_specs([spec_of(function) for function in functions])


def said(
    runner: Runner, *steps: Step, mentions: Sequence[Mapping[str, Sequence[str]]] = (), facts: Facts = FACTS
) -> Any:
    """What a worker says of a call."""
    data, buffers = call_message(1, steps, facts, {}, mentions or [{}] * len(steps))
    heard: list[tuple[Message, Sequence[Buffer]]] = []
    runner.run(cast("dict[str, Any]", data), buffers, lambda data, buffers: heard.append((data, buffers)))
    assert heard[-1][0]["say"] == "ended"
    return heard[:-1]


def outcome(heard: Any) -> Worked:
    (last,) = [each for each in heard if each[0]["say"] == "outcome"]
    return read_outcome(*last)


def failure(heard: Any) -> Reported:
    (last,) = heard
    told = read_failure(last[0])
    assert isinstance(told, Reported)
    return told


@pytest.fixture
def elsewhere(tmp_path: Path) -> tuple[Model, Path]:
    """A recipe of a file that is not where the driver has it, and the worker's folder of models."""
    mine, theirs = tmp_path / "driver", tmp_path / "worker" / "checkpoints"
    mine.mkdir()
    theirs.mkdir(parents=True)
    (mine / "a.safetensors").write_bytes(b"weights")
    (theirs / "renamed.safetensors").write_bytes(b"weights")
    (theirs / "other.safetensors").write_bytes(b"others")
    model = Model("file", str(mine / "a.safetensors"), FileDigests().digest(mine / "a.safetensors"), "unet")
    (mine / "a.safetensors").unlink()
    return model, theirs


def far(models: Path | None = None) -> Runner:
    setup = Setup(device="cpu", models=() if models is None else (str(models.parent),))
    return Runner(setup, specs(Path_of, Twice))


def test_a_file_is_found_by_what_it_holds_under_another_name(elsewhere: tuple[Model, Path]):
    model, theirs = elsewhere
    assert outcome(said(far(theirs), step(Path_of, model=model))).values == (str(theirs / "renamed.safetensors"),)
    patched = model.patched(Patch("lora", model.content, model.path))
    assert outcome(said(far(theirs), step(Path_of, model=patched))).values == (
        f"{theirs / 'renamed.safetensors'} {theirs / 'renamed.safetensors'}",
    )


def test_a_file_of_that_name_that_holds_something_else_is_not_taken(elsewhere: tuple[Model, Path]):
    model, theirs = elsewhere
    (theirs / "a.safetensors").write_bytes(b"another")
    assert outcome(said(far(theirs), step(Path_of, model=model))).values == (str(theirs / "renamed.safetensors"),)


def test_a_file_that_a_worker_does_not_have_is_told(elsewhere: tuple[Model, Path]):
    model, theirs = elsewhere
    (theirs / "renamed.safetensors").unlink()
    problem = failure(said(far(theirs), step(Path_of, model=model))).problem
    assert problem.code == "model_missing"
    assert "a.safetensors" in problem.message
    assert problem.hint is not None and str(theirs.parent) in problem.hint


def test_a_model_in_a_folder_is_known_by_the_part_that_is_meant(tmp_path: Path):
    mine, theirs = tmp_path / "driver" / "sd", tmp_path / "worker" / "diffusers" / "sd"
    for home in (mine, theirs):
        (home / "unet").mkdir(parents=True)
        (home / "unet" / "config.json").write_text("{}")
    model = Model("diffusers", str(mine), FileDigests().digest(mine / "unet"), "unet")
    (mine / "unet" / "config.json").unlink()
    assert outcome(said(far(theirs.parent), step(Path_of, model=model))).values == (str(theirs),)


def test_steps_take_what_earlier_ones_give():
    first, second = step(Twice, "a", text="x"), step(Twice, "b", links={"text": ("a", 0)})
    heard = said(far(), first, second)
    assert [read_outcome(*each).values for each in heard] == [("xx",), ("xxxx",)]


def test_what_follows_a_failure_is_not_done():
    @node(category="test")
    def Bad() -> str:
        """Fails."""
        raise ValueError("no")

    runner = Runner(Setup(device="cpu"), specs(Bad, Twice))
    told = failure(said(runner, step(Bad, "a"), step(Twice, "b", links={"text": ("a", 0)})))
    assert told.problem.code == "node_failed"
    assert "'a' (Bad) failed: ValueError: no" in told.problem.message


def test_a_node_type_that_is_another_one_there_is_refused():
    runner = Runner(Setup(device="cpu"), specs(Twice))
    assert failure(said(runner, step(Path_of, model=Model("", "", "", "")))).problem.code == "worker_differs"

    def Changed(text: str) -> str:
        """The text thrice."""
        return text * 3

    Changed.__name__ = "Twice"
    problem = failure(said(runner, step(node(category="test")(Changed), text="a"))).problem
    assert problem.code == "worker_differs"
    assert "another version" in problem.message


def test_a_call_that_was_cancelled_before_it_came_does_nothing():
    runner = far()
    runner.control({"say": "cancel", "call": 1})
    (only,) = said(runner, step(Twice, text="a"))
    assert only[0]["cancelled"] is True
    assert outcome(said(runner, step(Twice, text="a"))).values == ("aa",)


def test_a_message_that_is_no_call_ends_the_call_with_a_problem():
    heard: list[Any] = []
    far().run({"call": 4, "say": "run", "structure": "[", "tensors": []}, [], lambda data, _: heard.append(data))
    assert [each["say"] for each in heard] == ["failed", "ended"]
    assert heard[0]["problem"]["code"] == "worker_differs"


def test_files_that_a_text_calls_have_to_be_the_drivers(tmp_path: Path):
    folder = tmp_path / "embeddings"
    folder.mkdir()
    (folder / "style.safetensors").write_bytes(b"what the driver has")
    spec = registry().specs["CLIPTextEncode"]
    stub = GraphNode("n", spec, {}, {}, NodeEntry("n", spec.name))
    text = Step("n", stub, [{"text": "embedding:style", "clip": Model("", "", "", "")}])
    runner = Runner(Setup(device="cpu"), registry())
    roots = FACTS._replace(roots=Roots(models=(tmp_path,)))
    told = failure(said(runner, text, mentions=[{"text": ["0" * 64]}], facts=roots)).problem
    assert (told.code, told.input) == ("model_missing", "text")
