"""When memory runs out: idle models make room and the node is tried again; if it fails, the next size works."""

from __future__ import annotations

import asyncio
import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.cache.memory import MemoryStore
from nodegraph.cache.pool import LivePool
from nodegraph.context import NO_CONTEXT, Context
from nodegraph.engines.memory import bytes_asked_for, is_out_of_memory
from nodegraph.execution.result import RunResult
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.node import node, spec_of
from nodegraph.registry import load_registry
from nodegraph.sockets import Latent, Saved
from nodegraph.workflow.read import load_text
from tests.toys import entry, graph_of, run

GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 8 GiB")
CPU = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 3145728 bytes.")
WINDOWS = RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 3145728 bytes.")
ERRORS = [GPU, CPU, WINDOWS, MemoryError(), OSError(12, "Cannot allocate memory")]


class Weights:
    """Something large that can be seen to go."""


class Machine:
    """A machine with room for so many units, of which models take ten each, and a node takes what it is told to."""

    def __init__(self, room: int, error: BaseException = CPU) -> None:
        self.pool, self.room, self.error = LivePool(), room, error
        self.attempts: list[int] = []

    def model(self, name: str, pool: Any = None) -> weakref.ref[Weights]:
        return weakref.ref((pool or self.pool).get(name, Weights, lambda _: 10))

    def nodes(self) -> tuple[Any, ...]:
        @node(category="toys", numeric=False)
        def Draw(size: int, context: Context = NO_CONTEXT) -> int:
            self.model("own", context.pool)
            return self.take(size)

        @node(category="toys", numeric=False)
        async def DrawLater(size: int, context: Context = NO_CONTEXT) -> int:
            await asyncio.sleep(0)
            self.model("own", context.pool)
            return self.take(size)

        @node(category="toys", numeric=False)
        def Plain(size: int) -> int:
            return self.take(size)

        @node(category="toys", numeric=False, output_node=True)
        def Save(size: int) -> Saved:
            self.take(size)
            return Saved(shown={})

        return Draw, DrawLater, Plain, Save

    def take(self, size: int) -> int:
        self.attempts.append(size)
        if size + self.pool.used > self.room:
            raise self.error
        return size

    def run(self, size: int, uses: str = "Draw") -> RunResult:
        graph = graph_of([entry("big", uses, size=size)], *self.nodes())
        return run(graph, store=MemoryStore(), only=["big"], context=Context(pool=self.pool))


@pytest.mark.parametrize("error", ERRORS)
def test_idle_models_make_room_and_the_node_is_tried_once_more(error: BaseException):
    machine = Machine(50, error)
    others = [machine.model(name) for name in "abc"]
    result = machine.run(35)
    assert result.status == "done", result.problems
    assert machine.attempts == [35, 35]
    assert machine.pool.used == 10  # its own model stays
    gc.collect()
    assert [other() for other in others] == [None] * 3


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("uses", ["Draw", "DrawLater", "Plain"])
def test_a_node_without_room_fails_with_an_estimate_and_the_next_size_works(error: BaseException, uses: str):
    machine = Machine(50, error)
    machine.model("idle")
    failed = machine.run(1000, uses)
    (problem,) = failed.problems
    assert (failed.status, problem.code, problem.node) == ("failed", "out_of_memory", "big")
    assert problem.hint is not None and "smaller" in problem.hint
    if bytes_asked_for(str(error)) is not None:
        assert "it asked for 2.5 GiB more" in problem.message or "it asked for 3.0 MiB more" in problem.message
        assert ("models in use" in problem.message) == (uses != "Plain")
    assert machine.pool.used == 0
    assert machine.run(40, uses).status == "done"


def test_what_others_use_stays_in_the_pool():
    machine = Machine(50)
    with machine.pool.lease() as lease:
        held = machine.model("held", lease)
        machine.model("idle")
        assert machine.run(1000).problems[0].code == "out_of_memory"
        assert held() is not None and machine.pool.used == 10


def test_without_idle_models_there_is_no_second_attempt():
    machine = Machine(50)
    machine.run(1000)
    assert machine.attempts == [1000]


def test_a_node_that_saves_is_not_tried_twice():
    machine = Machine(50)
    machine.model("idle")
    assert machine.run(45, "Save").problems[0].code == "out_of_memory"
    assert machine.attempts == [45]
    assert machine.run(45, "Save").status == "done"


def test_another_failure_drops_no_model_and_is_not_tried_again():
    machine = Machine(50, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    machine.model("idle")
    assert machine.run(1000).problems[0].code == "node_failed"
    assert machine.attempts == [1000]
    assert machine.pool.used == 20


@pytest.mark.parametrize(
    ("message", "asked"),
    [
        (str(GPU), 5 << 29),
        (str(CPU), 3 << 20),
        ("Unable to allocate 8.00 EiB for an array with shape (1,)", 8 << 60),
        ("CUDA out of memory. Tried to allocate 20.00 MiB", 20 << 20),
        ("out of memory", None),
    ],
)
def test_how_much_was_asked_for_is_read_from_the_message(message: str, asked: int | None):
    assert bytes_asked_for(message) == asked


def test_errors_of_another_kind_are_told_apart():
    assert not is_out_of_memory(ValueError("not enough memory"))
    assert not is_out_of_memory(OSError(2, "No such file or directory"))
    assert not is_out_of_memory(RuntimeError("size mismatch"))


DOCUMENT = """
nodegraph: 1
params: {cells: 64}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a star}}
  canvas: {uses: Canvas, with: {cells: $cells}}
  latent:
    uses: KSampler
    with: {model: $model.model, positive: $positive, negative: $positive, latent_image: $canvas, steps: 1}
  save: {uses: SaveLatent, with: {samples: $latent}}
"""


@node(category="toys")
def Canvas(cells: int) -> Latent:
    """An empty latent of eight rows."""
    return {"samples": torch.zeros(1, 4, 8, cells // 8)}


def test_a_run_too_large_for_the_machine_leaves_the_session_fit_for_the_next(tmp_path: Path):
    workflow = load_text(DOCUMENT, file="w.yaml").workflow
    assert workflow is not None
    settings = Settings(output=tmp_path / "output", cache_dir=tmp_path / "cache", device="cpu", free_space=0)
    with Session(settings, registry=load_registry().with_specs([spec_of(Canvas)])) as session:
        assert session.run(workflow).status == "done"
        assert session.pool.used > 0
        failed = session.run(workflow, {"cells": 1 << 44})  # 256 TiB, more than programs can address
        assert [(each.code, each.node) for each in failed.problems] == [("out_of_memory", "canvas")]
        assert "262,144.0 GiB more" in failed.problems[0].message
        assert failed.skipped == ("latent", "save")
        assert session.pool.used == 0
        again = session.run(workflow, {"cells": 72})
        assert again.status == "done"
        assert "latent" in again.executed
