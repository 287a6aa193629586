"""A checkpoint of Stable Diffusion 1.5's size: steps, decoding, whole pictures, loading, and memory.

Beside nodegraph, in the same run, by turns and with the very same modules: diffusers' networks in a hand-written loop,
and its StableDiffusionPipeline. `python -m benchmarks checkpoint [FILE]`; without a file one with random weights is
written first.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmarks.digests import Known
from benchmarks.random_checkpoint import kept_checkpoint, write_checkpoint
from benchmarks.sampling import CFG, bare_loop
from benchmarks.table import print_table
from nodegraph.api import loads
from nodegraph.context import Context
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.models import module_of, tokenizer_of
from nodes.sampling import KSampler
from nodes.vae import VAEDecode

if TYPE_CHECKING:
    from torch import Tensor

    from nodegraph.sockets import Conditioning, Latent
    from nodegraph.workflow.document import Workflow

PROMPTS = "a photo of a cat on a mat, highly detailed", "blurry, low quality"
WORKFLOW = """
nodegraph: 1
params: {{seed: 0}}
nodes:
  model: {{uses: CheckpointLoaderSimple, with: {{ckpt_name: "{file}"}}}}
  positive: {{uses: CLIPTextEncode, with: {{clip: $model.clip, text: "{positive}"}}}}
  negative: {{uses: CLIPTextEncode, with: {{clip: $model.clip, text: "{negative}"}}}}
  canvas: {{uses: EmptyLatentImage, with: {{width: {pixels}, height: {pixels}}}}}
  latent:
    uses: KSampler
    with:
      model: $model.model
      positive: $positive
      negative: $negative
      latent_image: $canvas
      seed: $seed
      steps: {steps}
      cfg: {cfg}
  picture: {{uses: VAEDecode, with: {{samples: $latent, vae: $model.vae}}}}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """How large the pictures are, and how often what is done."""

    pixels: int
    steps: int
    rounds: int
    decodings: int


FULL = Size(pixels=256, steps=4, rounds=3, decodings=6)
SMALL = Size(pixels=128, steps=2, rounds=2, decodings=2)


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of both ways of doing the same, round by round: on the clock and of processor time."""

    ours: list[tuple[float, float]]
    theirs: list[tuple[float, float]]

    def row(self, name: str) -> list[str]:
        """A row of the table."""
        least = [min(wall for wall, _ in each) for each in (self.ours, self.theirs)]
        ratios = [
            statistics.median(ours[i] / theirs[i] for ours, theirs in zip(self.ours, self.theirs, strict=True))
            for i in (0, 1)
        ]
        return [
            name,
            *(f"{seconds:.3f}" for seconds in least),
            f"{least[0] / least[1]:.3f}",
            *map("{:.3f}".format, ratios),
        ]


def by_turns(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> Pair:
    """Time both in each round; who goes first changes from round to round."""
    pair = Pair([], [])
    for i in range(rounds):
        works = [(ours, pair.ours), (theirs, pair.theirs)]
        for work, seconds in works if i % 2 == 0 else reversed(works):
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    return pair


class Compared:
    """One checkpoint, opened once by a session, and its modules given to diffusers as well."""

    def __init__(self, path: Path, size: Size, cache: Path) -> None:
        import torch

        self.size = size
        self.session = Session(
            Settings(
                output=cache / "output", models=(), extra_models=(("checkpoints", path.parent),),
                device="cpu", dtype="fp32", cache_dir=cache,
            )
        )  # fmt: skip
        text = WORKFLOW.format(
            file=path.name, positive=PROMPTS[0], negative=PROMPTS[1], pixels=size.pixels, steps=size.steps, cfg=CFG
        )
        self.workflow: Workflow = loads(text)
        settings = self.session.settings
        self.context = Context(
            roots=settings.roots(None), device="cpu", dtype="fp32", pool=self.session.pool,
            digest_file=self.session.files.digest,
        )  # fmt: skip
        self.model, self.clip, self.vae = CheckpointLoaderSimple(path.name, self.context)
        self.unet: Any = module_of(self.model, self.context)
        self.autoencoder: Any = module_of(self.vae, self.context)
        self.pipeline = self._pipeline()
        self.seeds = count(100)
        first = self.session.run(
            self.workflow,
            {"seed": 0},
            only=["positive", "negative", "picture"],
            want=["positive", "negative", "latent"],
        )
        self.positive: Conditioning = cast(Any, first["positive"])
        self.negative: Conditioning = cast(Any, first["negative"])
        found: Any = first["latent"]
        self.latent: Tensor = found["samples"]
        self.empty: Latent = {"samples": torch.zeros_like(self.latent)}

    def _pipeline(self) -> Any:
        from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline

        scheduler = EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="linspace",
            steps_offset=1,
        )
        make: Any = StableDiffusionPipeline  # which takes less than its signature says
        pipeline = make(
            vae=self.autoencoder, unet=self.unet, scheduler=scheduler, feature_extractor=None,
            text_encoder=module_of(self.clip, self.context), tokenizer=tokenizer_of(self.clip, self.context),
            safety_checker=None, requires_safety_checker=False,
        )  # fmt: skip
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def sampled(self, steps: int = 1) -> Tensor:
        """A latent by the KSampler node."""
        sampler: Any = KSampler
        return sampler(
            self.model, 7, steps, CFG, "euler", "normal", positive=self.positive, negative=self.negative,
            latent_image=self.empty, context=self.context,
        )["samples"]  # fmt: skip

    def bare(self, steps: int = 1) -> Tensor:
        """The same by the network in a loop."""
        import torch

        from nodes.diffusion.noise import initial_noise
        from nodes.diffusion.schedules import schedule
        from nodes.diffusion.sigmas import ModelSigmas

        levels = ModelSigmas.stable_diffusion()
        sigmas = schedule("normal", levels, steps, 1.0)
        prompts = torch.cat([self.positive[0][0], self.negative[0][0]])
        noise = initial_noise(7, tuple(self.latent.shape))
        return bare_loop(self.unet, sigmas, levels.timestep(sigmas[:-1]), noise, prompts)

    def decoded(self) -> Tensor:
        """A picture by the VAEDecode node."""
        return VAEDecode({"samples": self.latent}, self.vae, self.context)

    def bare_decoded(self) -> Tensor:
        """The same by the module."""
        import torch

        with torch.no_grad():
            picture = self.autoencoder.decode(self.latent, return_dict=False)[0]
        return (picture / 2 + 0.5).clamp(0, 1).movedim(1, -1)

    def whole(self, seed: int | None = None) -> Tensor:
        """A whole run of the workflow with a seed that it has not seen; the prompts' encodings are there."""
        seed = next(self.seeds) if seed is None else seed
        result = self.session.run(self.workflow, {"seed": seed}, only=["picture"])
        assert result.executed == ("latent", "picture"), f"{result.executed} ran"
        picture: Any = result["picture"]
        return picture

    def pipelined(self, seed: int = 7) -> Tensor:
        """The same by StableDiffusionPipeline, from the same noise."""
        from nodes.diffusion.noise import initial_noise

        top = 14.6146  # which this scheduler begins with, where nodegraph has the root of 1 + its square
        noise = initial_noise(seed, tuple(self.latent.shape)) * ((1 + top**2) ** 0.5 / top)
        picture: Any = self.pipeline(
            PROMPTS[0], negative_prompt=PROMPTS[1], num_inference_steps=self.size.steps, guidance_scale=CFG,
            height=self.size.pixels, width=self.size.pixels, latents=noise, output_type="pt",
        ).images  # fmt: skip
        return picture.movedim(1, -1)


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference as a part of the largest value."""
    return float((found - wanted).abs().max() / wanted.abs().max())


def print_speed(path: Path, size: Size, small: bool) -> None:
    """The table of steps, decodings and pictures."""
    import torch

    with tempfile.TemporaryDirectory() as cache:
        compared = Compared(path, size, Path(cache))
        errors = [
            difference(compared.sampled(), compared.bare()),
            difference(compared.decoded(), compared.bare_decoded()),
            difference(compared.whole(7), compared.pipelined(7)),
        ]
        assert max(errors[:2]) < 1e-3, f"the ways of computing give different values ({errors})"
        assert errors[2] < 0.05, f"the pipeline gives another picture ({errors[2]:.1e})"
        rows = [
            by_turns(compared.sampled, compared.bare, size.rounds).row("one step"),
            by_turns(compared.decoded, compared.bare_decoded, size.decodings).row("decoding"),
            by_turns(compared.whole, compared.pipelined, size.rounds).row(f"a picture of {size.steps} steps, new seed"),
        ]
        compared.session.close()
    print_table(
        f"{path.name}, {size.pixels}×{size.pixels}, fp32, cfg {CFG} in one batch, Euler",
        ["", "nodegraph s", "peer s", "ratio of least", "median ratio of pairs", "the same in cpu time"],
        rows,
        f"{size.rounds} rounds by turns ({size.decodings} of decoding), {torch.get_num_threads()} threads. The peer is "
        "the bare modules; of a picture, StableDiffusionPipeline, which encodes the prompts each time. The values "
        f"differ by {', '.join(f'{error:.0e}' for error in errors)} of their range"
        + ("." if small else " (targets: 1.02, 1.00 and 0.97)."),
    )


def print_fresh(path: Path, size: Size, small: bool) -> None:
    """The tables of loading and memory in a new process."""
    began = time.perf_counter()
    known = Known().text(path)
    digested = time.perf_counter() - began
    command = [sys.executable, "-m", "benchmarks.fresh", str(path), str(size.pixels // 8)]
    output = subprocess.run(command, input=known, text=True, check=True, stdout=subprocess.PIPE).stdout
    told: dict[str, float] = json.loads(output)
    gib, parts = 1 << 30, ("recipe", "unet", "vae", "text encoder")
    loading = sum(told[f"{part} s"] for part in parts)
    grown = {part: told[f"{part} bytes"] - told["import bytes"] for part in parts[1:]}
    weights = told["weights bytes"]
    print_table(
        f"{path.name} in a new process: {weights / gib:.2f} GiB of weights",
        ["", "s", "peak GiB", "of that above imports"],
        [
            ["importing torch, diffusers, transformers", told["import s"], told["import bytes"] / gib, 0.0],
            ["the recipe, its digest known", told["recipe s"], "", ""],
            *([part, told[f"{part} s"], told[f"{part} bytes"] / gib, grown[part] / gib] for part in parts[1:]),
            ["all of these but the imports", loading, told["text encoder bytes"] / gib, grown["text encoder"] / gib],
            ["first picture, 1 step", told["picture s"], told["picture bytes"] / gib,
             (told["picture bytes"] - told["import bytes"]) / gib],
        ],
        f"The digest, which is computed once for a file, took {digested:.1f} s. Peak by the weights in use: "
        f"{told['picture bytes'] / weights:.3f}, without the imports "
        f"{(told['picture bytes'] - told['import bytes']) / weights:.3f}"
        + ("." if small else " (targets: 1 s and 0.7 GiB before first use, 1.1 of the weights)."),
    )  # fmt: skip


def main(small: bool = False, file: Path | None = None) -> None:
    """Print the tables."""
    size = SMALL if small else FULL
    with tempfile.TemporaryDirectory() as folder:
        if file is None:
            file = write_checkpoint(Path(folder), small=True) if small else kept_checkpoint()
        print_fresh(file, size, small)
        print_speed(file, size, small)
