"""Find the vectors of a colour that `tiny` has no word for (`python -m training.inversion`): a textual inversion.

After Gal et al. 2022: nothing is trained but what two tokens of a prompt stand for, on pictures of objects in that
colour, teal, which lies between blue and green and was never drawn.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.captions import background_words
from training.common import MODEL, SEED, WORK
from training.extras import MODELS, Base, Run, add_noise, encoded, kept, load_base, train, write
from training.scenes import UNNAMED, Scene, draw, sample_scene

COLOUR = "teal"
VECTORS = 2
START = ("blue", "green")  # the words that the vectors begin as
PLACEHOLDER = "z"  # a letter, so a token of its own, that no caption has as a word
BATCH = 16
PICTURES = 800
FILE = "embeddings/tiny-teal.safetensors"


class Vectors(nn.Module):
    """The text encoder's table of tokens, in which the placeholder's places get the vectors in turn."""

    def __init__(self, table: nn.Embedding, token: int, start: Tensor) -> None:
        super().__init__()
        self.table, self.token = table, token
        self.vectors = nn.Parameter(start.clone())

    def forward(self, ids: Tensor) -> Tensor:
        places = ids == self.token
        turn = (places.cumsum(-1) - 1).clamp(min=0) % len(self.vectors)
        return torch.where(places[..., None], self.vectors[turn], self.table(ids))


def install(base: Base) -> Vectors:
    """Give the text encoder the vectors; from now on it learns nothing but them."""
    table: nn.Embedding = base.text.get_input_embeddings()
    (token,) = base.tokenizer(PLACEHOLDER, add_special_tokens=False).input_ids
    start = torch.stack([table.weight[base.tokenizer(w, add_special_tokens=False).input_ids[0]] for w in START])
    vectors = Vectors(table, token, start.detach())
    base.text.set_input_embeddings(vectors)
    return vectors


def words(scene: Scene, colour: str) -> str:
    """A caption with anything for the colour."""
    return f"a {colour} {scene.shape} {background_words(scene.background)[0]}"


def scenes_of_colour(rng: np.random.Generator, count: int) -> list[Scene]:
    """Scenes before backgrounds that teal stands out from."""
    scenes: list[Scene] = []
    while len(scenes) < count:
        found = sample_scene(rng)
        if found.background not in ("sea", "green", "blue"):
            scenes.append(Scene(found.shape, COLOUR, found.background, found.size, found.place))
    return scenes


def lessons(base: Base, count: int) -> tuple[list[Scene], NDArray[np.float16]]:
    """Scenes and the latents of their pictures, which are kept in the work folder."""
    rng = np.random.default_rng([SEED, 10])
    scenes = scenes_of_colour(rng, count)

    def make() -> NDArray[np.float16]:
        return encoded(base, np.stack([draw(scene, rng) for scene in scenes]))

    return scenes, kept(WORK / f"{COLOUR}-latents.npy", count, make)


def teach(base: Base, steps: int, minutes: float, count: int = PICTURES) -> Tensor:
    """The trained vectors, VECTORS x width."""
    scenes, latents = lessons(base, count)
    vectors = install(base)
    mark = " ".join([PLACEHOLDER] * VECTORS)

    def loss_at(step: int) -> Tensor:
        rng, generator = np.random.default_rng([SEED, 11, step]), torch.Generator().manual_seed(SEED * 17 + step)
        pick = rng.integers(count, size=BATCH)
        given = add_noise(base, latents[pick], generator)
        ids = base.ids([words(scenes[i], mark) for i in pick])
        with torch.autocast("cpu", torch.bfloat16):
            return given.error(base.unet(given.noisy, given.t, base.text(ids)[0]).sample)

    return train(Run(COLOUR, {"vectors": vectors.vectors}, loss_at, 5e-3, steps, minutes, keep=0.95))["vectors"]


def main() -> None:
    """Train, or continue, then export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--output", type=Path, default=MODELS)
    args = parser.parse_args()
    vectors = teach(load_base(args.model), args.steps, args.minutes)
    write(args.output / FILE, {"emb_params": vectors}, {"for": "tiny", "colour": str(UNNAMED[COLOUR])})


if __name__ == "__main__":
    main()
