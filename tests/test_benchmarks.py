"""The benchmarks run, and the ways that they compare come to the same values."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import canvas, checkpoint, convert, engine, executor, jobs, lora, remote, sampling, scale
from benchmarks.__main__ import main
from benchmarks.yaml_load import text_of
from nodegraph.workflow.read import load_text


def test_the_executor_is_compared_on_one_graph():
    measured = executor.measure_size(50)
    assert {"cold", "cached", "networkx, build and evaluate", "bare loop in order"} <= set(measured)


def test_two_workers_are_compared_with_one_that_draws_the_same(capsys: pytest.CaptureFixture[str]):
    engine.main(small=True)  # fails if their latents differ
    assert "two workers" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_rays_workers_are_compared_with_others(tmp_path: Path):
    done = subprocess.run(  # a process of its own: Ray keeps in mind which token it was once given
        [sys.executable, "-m", "benchmarks", "ray", "--small"],
        env={**os.environ, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"), "RAY_AUTH_MODE": "token"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "an empty call of an actor" in done.stdout


def test_jobs_are_done_by_a_service_and_without_one(capsys: pytest.CaptureFixture[str]):
    jobs.main(small=True)  # fails if a job does
    assert "its last event" in capsys.readouterr().out


def test_the_yaml_that_is_read_is_a_workflow():
    loaded = load_text(text_of(3))
    assert loaded.problems == ()
    assert loaded.workflow is not None
    assert len(loaded.workflow.nodes) == 3


def test_the_graph_that_the_canvas_shows_is_a_workflow():
    loaded = load_text(canvas.workflow(14))
    assert loaded.problems == ()
    assert loaded.workflow is not None
    assert len(loaded.workflow.nodes) == 14


def test_the_editor_file_that_is_converted_is_a_workflow(capsys: pytest.CaptureFixture[str]):
    convert.main(small=True)  # fails if the file has problems
    assert "1,003" in capsys.readouterr().out


def test_the_sampler_is_compared_with_a_loop_that_gives_the_same_picture(capsys: pytest.CaptureFixture[str]):
    sampling.main(small=True)  # fails if the two pictures differ
    assert "KSampler" in capsys.readouterr().out


def test_a_lora_is_compared_with_a_merge_that_gives_the_same_weights(capsys: pytest.CaptureFixture[str]):
    lora.main(small=True)  # fails if the two merges differ
    assert "another strength" in capsys.readouterr().out


def test_results_from_a_remote_cache_are_compared_with_bare_gets(capsys: pytest.CaptureFixture[str]):
    remote.main(small=True)  # fails if one is not a hit
    assert "file: hit, planned for" in capsys.readouterr().out


def test_many_workers_are_simulated_and_all_jobs_are_done(capsys: pytest.CaptureFixture[str]):
    scale.main(small=True)  # fails if a job is lost or done twice
    assert "first come, first served" in capsys.readouterr().out


def test_placement_loads_less_and_people_with_little_to_do_wait_less_than_first_come_first_served():
    outcomes, _ = scale.simulate(40, 2_000, 1.2)
    placed, first = outcomes["turns and placement"], outcomes["first come, first served"]
    assert placed.loads < first.loads / 2
    assert placed.ended < first.ended
    assert sum(placed.waits["few"]) < sum(first.waits["few"]) / 2


def test_a_benchmark_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["nothing"])
    assert "there is no benchmark" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # in a scheduler of diffusers
def test_a_checkpoint_is_compared_with_networks_that_give_the_same_values(capsys: pytest.CaptureFixture[str]):
    checkpoint.main(small=True)  # fails if the values differ
    printed = capsys.readouterr().out
    assert "one step" in printed
    assert "text encoder" in printed
