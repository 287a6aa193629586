"""A sampler node that is killed or cancelled goes on where it stopped, to the very same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.context import Cancelled, CancelToken
from nodegraph.sockets import Latent
from nodes.sampling import KSampler, KSamplerAdvanced
from tests.helpers import digest_of
from tests.nodes.conftest import Tiny

ROOT = Path(__file__).resolve().parents[2]
KEY, OTHER = b"k" * 32, b"o" * 32
STEPS = 5

PROCESS = """
import pathlib, sys, torch
from dataclasses import replace
from nodegraph.cache.checkpoints import Checkpoints
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.prompt import CLIPTextEncode
from nodes.sampling import KSampler
from tests.helpers import context_in

folder, sampler, threads = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)

def progress(value, total):
    print("step", int(value), flush=True)
    if value == 4:
        sys.stdin.read()  # until killed

context = context_in(folder)
model, clip, _ = CheckpointLoaderSimple("tiny", context)
prompts = [CLIPTextEncode(text, clip, context) for text in ("a red star at night", "")]
context = replace(context, on_progress=progress, checkpoint=Checkpoints(folder / "kept", 0.0).of(b"k" * 32))
blank = {"samples": torch.zeros(1, 4, 8, 8)}
KSampler(model, 1, 5, 4.0, sampler, positive=prompts[0], negative=prompts[1], latent_image=blank, context=context)
"""


class Kept:
    """A folder of checkpoints, and sampler nodes that use it."""

    def __init__(self, folder: Path, tiny: Tiny) -> None:
        self.folder, self.tiny = folder, tiny
        self.steps: list[float] = []
        self.warnings: list[str] = []

    def file(self, key: bytes = KEY) -> Path:
        return self.folder / f"{key.hex()}.safetensors"

    def draw(self, stop_at: int | None = None, key: bytes = KEY, keep: bool = True, **changes: Any) -> Latent:
        """Draw with a checkpoint after every step; the run is cancelled once it told of step `stop_at`."""
        token = CancelToken()
        self.steps = []

        def progress(value: float, total: float) -> None:
            self.steps.append(value)
            if value == stop_at:
                token.cancel()

        context = replace(self.tiny.context, token=token, on_progress=progress)
        if keep:
            checkpoint = Checkpoints(self.folder, 0.0, self.warnings.append).of(key)
            context = replace(context, checkpoint=checkpoint)
        settings: dict[str, Any] = {
            "steps": STEPS,
            "cfg": 4.0,
            "positive": self.tiny.positive,
            "negative": self.tiny.negative,
            "latent_image": self.tiny.canvas(),
            "context": context,
        }
        node = KSamplerAdvanced if changes.keys() & {"add_noise", "start_at_step", "end_at_step"} else KSampler
        settings["noise_seed" if node is KSamplerAdvanced else "seed"] = 1
        return node(self.tiny.checkpoint.MODEL, **(settings | changes))

    def cancelled(self, at: int, **changes: Any) -> None:
        with pytest.raises(Cancelled):
            self.draw(at, **changes)


@pytest.fixture
def kept(tiny: Tiny, tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept", tiny)


@pytest.mark.parametrize("sampler", ["dpmpp_3m_sde", "euler_ancestral"])
def test_a_killed_process_is_gone_on_from_in_another(kept: Kept, tmp_path: Path, sampler: str) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path), sampler, str(torch.get_num_threads())]
    killed = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    for line in killed.stdout:
        if line == "step 4\n":
            os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    found = kept.draw(sampler_name=sampler)
    assert kept.steps == [3, 4, 5]
    assert digest_of(found) == digest_of(kept.draw(sampler_name=sampler, keep=False))


def stage(tiny: Tiny) -> Latent:
    return KSampler(
        tiny.checkpoint.MODEL,
        9,
        2,
        positive=tiny.positive,
        negative=tiny.negative,
        latent_image=tiny.canvas(),
        context=tiny.context,
    )


CASES: dict[str, dict[str, Any]] = {
    "euler": {},
    "dpmpp_2m karras": {"sampler_name": "dpmpp_2m", "scheduler": "karras"},
    "uni_pc": {"sampler_name": "uni_pc"},
    "lms": {"sampler_name": "lms"},
    "dpm_adaptive": {"sampler_name": "dpm_adaptive"},
    "sa_solver": {"sampler_name": "sa_solver"},
    "seeds_3": {"sampler_name": "seeds_3"},
    "res_multistep_cfg_pp": {"sampler_name": "res_multistep_cfg_pp"},
    "heun, image to image": {"sampler_name": "heun", "denoise": 0.6},
    "ddpm, masked": {"sampler_name": "ddpm", "mask": True},
    "dpmpp_2m_sde, a later stage": {"sampler_name": "dpmpp_2m_sde", "add_noise": "disable", "start_at_step": 1},
    "lcm, an earlier stage": {"sampler_name": "lcm", "end_at_step": 4},
}


@pytest.mark.parametrize("case", CASES)
def test_a_cancelled_run_goes_on_with_the_step_it_was_in(kept: Kept, case: str) -> None:
    changes = dict(CASES[case])
    if changes.keys() & {"denoise", "mask", "add_noise"}:
        changes["latent_image"] = stage(kept.tiny)
    if changes.pop("mask", False):
        changes["latent_image"]["noise_mask"] = torch.eye(64)[None]
    whole = kept.draw(keep=False, **changes)
    steps = len(kept.steps)
    kept.cancelled(2, **changes)
    kept.cancelled(3, **changes)
    assert kept.steps == [3]
    found = kept.draw(**changes)
    assert kept.steps == list(range(4, steps + 1))
    assert torch.equal(found["samples"], whole["samples"])


def test_a_run_that_was_done_but_not_stored_is_soon_done_again(kept: Kept) -> None:
    first = kept.draw()
    assert digest_of(kept.draw()) == digest_of(first)
    assert kept.steps == [STEPS]


def test_a_seed_of_its_own_begins_at_the_beginning(kept: Kept) -> None:
    kept.cancelled(3)
    found = kept.draw(seed=2)
    assert kept.steps[0] == 1
    assert digest_of(found) == digest_of(kept.draw(seed=2, keep=False))


@pytest.mark.parametrize("damage", ["truncated", "another key's", "flipped", "empty"])
def test_a_file_that_is_no_checkpoint_costs_only_time(kept: Kept, damage: str) -> None:
    kept.cancelled(3)
    if damage == "another key's":
        kept.cancelled(3, key=OTHER, seed=5)
        shutil.copy(kept.file(OTHER), kept.file())
    else:
        data = bytearray(kept.file().read_bytes())
        data[-10] ^= 1
        kept.file().write_bytes({"truncated": data[:-100], "flipped": data, "empty": b""}[damage])
    found = kept.draw()
    assert kept.steps[0] == 1
    assert len(kept.warnings) == 1
    assert digest_of(found) == digest_of(kept.draw(keep=False))


def test_where_nothing_can_be_kept_the_run_is_the_same(kept: Kept) -> None:
    kept.folder.touch()
    assert digest_of(kept.draw()) == digest_of(kept.draw(keep=False))
    assert len(kept.warnings) == 1


def test_global_chance_plays_no_part_in_going_on(kept: Kept) -> None:
    whole = kept.draw(sampler_name="euler_ancestral", keep=False)
    kept.cancelled(3, sampler_name="euler_ancestral")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        assert digest_of(kept.draw(sampler_name="euler_ancestral")) == digest_of(whole)
