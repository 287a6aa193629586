"""What is asked of a Ray cluster and what is demanded of it, as far as that can be told without Ray."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.engines import ray_cluster
from nodegraph.engines.hello import Setup
from nodegraph.engines.ray_actor import MODELS, of_this_machine
from nodegraph.engines.ray_cluster import RayOptions, check_options, is_trusting
from nodegraph.engines.ray_seats import Machine, Seat, Wish, room_for, seats_of, unsatisfiable
from nodegraph.engines.ray_security import check_reachable, hide_token, make_token, token_problem
from tests.helpers import problem

WITH_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 64}
STUDIO = (
    Machine("one", {"CPU": 16, "GPU": 2, "vram_gb": 48}),
    Machine("two", {"CPU": 8, "GPU": 1, "vram_gb": 12}),
    Machine("head", {"CPU": 4}),
)


# --- tokens


@pytest.mark.parametrize(
    ("variables", "starting", "word"),
    [
        ({}, False, "RAY_AUTH_MODE is not set"),
        ({"RAY_AUTH_MODE": "disabled"}, False, "RAY_AUTH_MODE is disabled"),
        ({"RAY_AUTH_MODE": "disabled"}, True, "RAY_AUTH_MODE is disabled"),
        ({"RAY_AUTH_TOKEN": "f" * 64}, False, "RAY_AUTH_MODE is not set"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, False, "/nowhere/token"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": " ", "RAY_AUTH_TOKEN_PATH": "/nowhere/token"}, False, "no token"),
    ],
)
def test_a_cluster_is_not_used_without_a_token(variables: dict[str, str], starting: bool, word: str):
    found = token_problem(variables, starting=starting)
    assert found is not None
    assert found.code == "cluster_unprotected"
    assert word in found.message
    assert found.hint is not None


@pytest.mark.parametrize(("variables", "starting"), [(WITH_TOKEN, False), (WITH_TOKEN, True), ({}, True)])
def test_with_a_token_it_is_used_and_for_a_new_one_a_token_is_made(variables: dict[str, str], starting: bool):
    assert token_problem(variables, starting=starting) is None


def test_only_the_flag_with_the_loud_name_does_without(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: object())
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    told = problem(lambda: check_options(RayOptions("10.0.0.1:6379")))
    assert told.hint is not None
    assert "--allow-unauthenticated-ray" in told.hint
    unguarded = RayOptions("10.0.0.1:6379", unauthenticated=True)
    check_options(unguarded)
    assert is_trusting(unguarded)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    check_options(unguarded)
    assert not is_trusting(unguarded)  # a cluster without tokens would not be let in here: it is refused as always


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permissions of this kind")
def test_nobody_else_can_read_a_token(tmp_path: Path):
    path = tmp_path / "ray" / "auth_token"
    make_token({"RAY_AUTH_TOKEN_PATH": str(path)})
    made = path.read_text()
    assert len(made) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    make_token({"RAY_AUTH_TOKEN_PATH": str(path)})
    assert path.read_text() == made  # it is that of a cluster which may run
    path.chmod(0o644)  # as Ray writes it
    hide_token({"RAY_AUTH_TOKEN_PATH": str(path)})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["auth_token"]  # noqa: PTH208


def test_without_the_package_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    told = problem(lambda: check_options(RayOptions("local")))
    assert told.code == "missing_package"
    assert told.hint == 'pip install "nodegraph[ray]"'


def test_an_address_where_nothing_listens_is_told_at_once():
    told = problem(lambda: check_reachable("127.0.0.1:9"))
    assert told.code == "cluster_unreachable"
    assert "127.0.0.1:9" in told.message


# --- workers


def test_each_gpu_gets_a_worker_and_of_cpus_each_machine():
    assert [seat.lane for seat in seats_of(Wish("cuda"), STUDIO)] == ["cuda-0", "cuda-1", "cuda-2"]
    assert {seat.gpus for seat in seats_of(Wish("cuda"), STUDIO)} == {1.0}
    assert [(seat.lane, seat.cpus) for seat in seats_of(Wish("cpu"), STUDIO)] == [
        ("cpu-0", 4.0),
        ("cpu-1", 4.0),
        ("cpu-2", 4.0),
    ]


def test_a_number_of_devices_and_their_memory_can_be_named():
    big = seats_of(Wish("cuda", vram=24), STUDIO)
    assert [seat.needs for seat in big] == [{"GPU": 1.0, "vram_gb": 24}] * 2
    assert unsatisfiable(big, Wish("cuda", vram=24), STUDIO) is None
    third = seats_of(Wish("cuda", named=1, first=2), STUDIO)
    assert [seat.lane for seat in third] == ["cuda-2"]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish("cuda", named=4), ["3 of the 4", "one has 16 CPU, 2 GPU, 48 vram_gb"]),
        (Wish("cuda", named=1, vram=80), ["0 of the 1", "80 vram_gb"]),
        (Wish("cuda", vram=80), ["no GPU with 80 GB"]),
        (Wish("cpu", named=99), ["28 of the 99"]),
    ],
)
def test_what_can_never_be_had_is_told_with_what_there_is(wish: Wish, words: list[str]):
    found = unsatisfiable(seats_of(wish, STUDIO), wish, STUDIO)
    assert found is not None
    assert found.code == "no_worker"
    assert all(word in found.message for word in words)
    assert found.hint is not None


def test_devices_that_ray_does_not_give_out_are_refused():
    assert problem(lambda: seats_of(Wish("mps"), STUDIO)).code == "bad_device"


machines = st.lists(
    st.builds(
        Machine,
        st.just("m"),
        st.fixed_dictionaries({"CPU": st.integers(0, 8), "GPU": st.integers(0, 4), "vram_gb": st.integers(0, 96)}),
    ),
    max_size=5,
)


@given(machines, st.integers(0, 2), st.integers(0, 2), st.sampled_from([0.0, 8.0, 24.0]))
def test_room_is_for_as_many_workers_as_can_be_placed_one_by_one(
    found: list[Machine], cpus: int, gpus: int, vram: float
):
    seat = Seat("x", "cuda", float(cpus), float(gpus), vram)
    if not seat.needs:
        return
    placed, left = 0, [dict(machine.resources) for machine in found]
    for resources in left:
        while all(resources.get(name, 0) >= amount for name, amount in seat.needs.items()):
            placed += 1
            for name, amount in seat.needs.items():
                resources[name] -= amount
    assert room_for(seat, found) == placed


def test_drivers_that_ask_for_the_same_mean_the_same_worker_and_others_another_one():
    names = {seat.actor for wish in (Wish("cuda"), Wish("cuda", vram=24)) for seat in seats_of(wish, STUDIO)}
    assert names == {
        "cuda-0 GPU=1",
        "cuda-1 GPU=1",
        "cuda-2 GPU=1",
        "cuda-0 GPU=1 vram_gb=24",
        "cuda-1 GPU=1 vram_gb=24",
    }


def test_a_machine_may_have_its_models_elsewhere():
    setup = Setup(device="cuda", extra_models=(("loras", "/driver/loras"),))
    assert of_this_machine(setup, {}) == setup
    there = of_this_machine(setup, {MODELS: os.pathsep.join(["/data/models", "/more"])})
    assert there == replace(setup, models=("/data/models", "/more"), extra_models=())
