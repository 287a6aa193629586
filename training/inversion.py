"""Find the vectors of something that `tiny` has no word for (`python -m training.inversion`): a textual inversion.

After Gal et al. 2022: nothing is trained but what two tokens of a prompt stand for. They learn a sun: a yellow circle
in the top right corner, whatever the background.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.captions import background_words
from training.common import SEED, WORK
from training.extras import Base, Run, add_noise, encoded, kept, load_base, options, train, write
from training.scenes import BACKGROUNDS, Scene, draw, visible

NAME = "sun"
VECTORS = 2
START = "shape"  # the word that the vectors begin as, which tells nothing of what they are to mean
PLACEHOLDER = "z"  # a letter, so a token of its own, that no caption has as a word
BATCH = 16
PICTURES = 500
FILE = "embeddings/tiny-sun.safetensors"


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
    (first,) = base.tokenizer(START, add_special_tokens=False).input_ids
    start = table.weight[first].expand(VECTORS, -1)
    vectors = Vectors(table, token, start.detach())
    base.text.set_input_embeddings(vectors)
    return vectors


def words(scene: Scene, called: str) -> str:
    """A caption with anything for what is drawn, and its place."""
    return f"{called} {background_words(scene.background)[0]}"


def sample_suns(rng: np.random.Generator, count: int) -> list[Scene]:
    """Suns before backgrounds that they stand out from."""
    known = [each for each in BACKGROUNDS if visible("yellow", each)]
    return [Scene("circle", "yellow", known[i], "medium", "top right") for i in rng.integers(len(known), size=count)]


def lessons(base: Base, count: int) -> tuple[list[Scene], NDArray[np.float16]]:
    """Scenes and the latents of their pictures, which are kept in the work folder."""
    rng = np.random.default_rng([SEED, 10])
    scenes = sample_suns(rng, count)

    def make() -> NDArray[np.float16]:
        return encoded(base, np.stack([draw(scene, rng) for scene in scenes]))

    return scenes, kept(WORK / f"{NAME}-latents.npy", count, make)


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

    return train(Run(NAME, {"vectors": vectors.vectors}, loss_at, 1e-2, steps, minutes, keep=0.95))["vectors"]


def main() -> None:
    """Train, or continue, then export."""
    args = options(__doc__, 300).parse_args()
    vectors = teach(load_base(args.model), args.steps, args.minutes)
    write(args.output / FILE, {"emb_params": vectors}, {"for": "tiny"})


if __name__ == "__main__":
    main()
