"""What tests of meaning share: a workflow with everything open, pictures drawn in batches, and what they show.

Shares are of several pictures, from two seeds at least, so that no single picture decides a test. Beside each threshold
stands what was measured, on other seeds than the tests' own too: with the shipped weights, and with a later state of
their training that knows two objects. Thresholds lie well off, so that better weights of the same layout pass as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import nodegraph
from nodegraph import Session
from nodegraph.workflow.document import Workflow

ROOT = Path(__file__).resolve().parents[2]
SEEDS = (1, 2)
"""Each picture of a test is drawn from each of these."""

Picture = NDArray[np.uint8]

START = """
nodegraph: 1
params:
  {prompt: "", negative: "", seed: 0, batch: 4, steps: 8, cfg: 4.0, sampler: euler, scheduler: normal, denoise: 1.0,
   file: none.safetensors, strength: 1.0, begin: 0.0, end: 1.0, picture: none.png}
nodes:
  base: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $base.clip, text: $prompt}}
  against: {uses: CLIPTextEncode, with: {clip: $base.clip, text: $negative}}
  canvas: {uses: EmptyLatentImage, with: {width: 128, height: 128, batch_size: $batch}}
"""


def workflow(nodes: str = "", **inputs: str) -> Workflow:
    """A KSampler's picture (the node `drawn`), with more nodes, and with other inputs for the sampler."""
    given = {
        "model": "$base.model", "positive": "$positive", "negative": "$against", "latent_image": "$canvas",
        "seed": "$seed", "steps": "$steps", "cfg": "$cfg", "sampler_name": "$sampler", "scheduler": "$scheduler",
        "denoise": "$denoise",
    } | inputs  # fmt: skip
    sampler = ", ".join(f"{name}: {value}" for name, value in given.items())
    end = "  drawn: {uses: VAEDecode, with: {samples: $latent, vae: $base.vae}}"
    return nodegraph.loads(f"{START}{nodes}\n  latent: {{uses: KSampler, with: {{{sampler}}}}}\n{end}\n")


PLAIN = workflow()

#: The sampler begins with a picture, repeated as often as there are to be pictures.
REDRAWN = workflow(
    """
  original: {uses: LoadImage, with: {image: $picture}}
  encoded: {uses: VAEEncode, with: {pixels: $original.image, vae: $base.vae}}
  copies: {uses: RepeatLatentBatch, with: {samples: $encoded, amount: $batch}}
""",
    latent_image="$copies",
)


@dataclass(frozen=True, slots=True)
class Easel:
    """A session whose results stay in memory, and the folders that its workflows read pictures and models from."""

    session: Session
    pictures: Path
    models: Path

    def value(self, workflow: Workflow, node: str, **params: Any) -> Any:
        """What a node gives."""
        result = self.session.run(workflow, params, only=[node])
        assert (result.status, result.problems) == ("done", ())
        return result[node]

    def batch(self, workflow: Workflow = PLAIN, node: str = "drawn", **params: Any) -> list[Picture]:
        """The pictures that a node gives in one run."""
        drawn = self.value(workflow, node, **params)
        return list((drawn.clamp(0, 1) * 255).round().byte().numpy())

    def draw(self, workflow: Workflow = PLAIN, seeds: Sequence[int] | None = None, **params: Any) -> list[Picture]:
        """The pictures of several seeds, each a batch."""
        return [each for seed in seeds or SEEDS for each in self.batch(workflow, seed=seed, **params)]

    def keep(self, name: str, picture: Picture) -> str:
        """Put a picture where workflows find it; its name."""
        Image.fromarray(picture).save(self.pictures / name)
        return name


def share(pictures: Iterable[Picture], shows: Callable[[Picture], bool]) -> float:
    """In what part of the pictures that is so."""
    return float(np.mean([shows(picture) for picture in pictures]))


def apart(some: Sequence[Picture], others: Sequence[Picture]) -> float:
    """The mean difference of two rows of pictures, in levels of 255."""
    return float(np.mean([np.abs(a.astype(int) - b.astype(int)).mean() for a, b in zip(some, others, strict=True)]))


def same(some: Sequence[Picture], others: Sequence[Picture]) -> bool:
    """Whether two rows of pictures are the same to the bit."""
    return len(some) == len(others) and all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))
