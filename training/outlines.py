"""Train a ControlNet for outlines (`python -m training.outlines`) for the frozen `tiny`.

A ControlNet (Zhang et al. 2023) is a copy of the UNet's encoder that sees a picture too. With the UNet's transformers
it would have 2.2 M parameters and 4.4 MB; without, as here, 1 M and 2 MB: what an outline says of a place needs no
prompt. Objects lie, turn and stretch as they never do in the UNet's own pictures, and half of the captions do not name
the shape, so that only the outline tells where to draw what.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import ControlNetModel
from numpy.typing import NDArray
from torch import Tensor

from training.captions import background_words, with_article
from training.common import SEED, WORK, Module, to_tensor
from training.extras import Base, Run, add_noise, encoded, kept, load_base, options, train, write
from training.scenes import SIDE, Floats, Pose, Scene, draw_background, draw_object, sample_scene, silhouette

BATCH = 16
PICTURES = 3000
EMPTY = 0.1
UNNAMED = 0.5  # the share of captions without the shape
FILE = "controlnet/tiny-outline.safetensors"


@dataclass(frozen=True, slots=True)
class Outlined:
    """A scene, its picture, and which pixels the object covers."""

    scene: Scene
    picture: NDArray[np.uint8]
    cover: Floats


def draw_outlined(rng: np.random.Generator, *, held_out: bool = False) -> Outlined:
    """A random scene with its object anywhere, in any size, and turned up to a quarter of a right angle."""
    scene = sample_scene(rng, held_out=held_out)
    half = SIDE * rng.uniform(0.15, 0.33)
    low, high = half + 4, SIDE - half - 4
    pose = Pose(
        x=rng.uniform(low, high),
        y=rng.uniform(low, high),
        half=half,
        turn=rng.uniform(-0.4, 0.4),
        mirrored=rng.random() < 0.5,
    )
    picture = draw_object(draw_background(scene.background, rng), scene, pose)
    return Outlined(scene, np.clip(picture + 0.5, 0, 255).astype(np.uint8), silhouette(scene.shape, pose))


def edges(cover: Floats) -> NDArray[np.uint8]:
    """The outline of what is covered, white on black, SIDExSIDEx3: as the node Canny draws it of a silhouette."""
    from nodes.diffusion.canny import canny

    lines = canny(torch.from_numpy((cover * 255).round().astype(np.int32)), 100, 200).numpy()
    return np.repeat((lines * 255).astype(np.uint8)[..., None], 3, axis=-1)


def words(scene: Scene, *, shape: bool = True) -> str:
    """What to draw, not where; without its `shape` it is just a shape."""
    thing = with_article(f"{scene.colour} {scene.shape if shape else 'shape'}")
    return f"{thing} {background_words(scene.background)[0]}"


def build_net(base: Base) -> Module:
    """The untrained ControlNet: the UNet's own weights where it has the same layers, and silent at first."""
    torch.manual_seed(SEED + 8)
    config = base.unet.config
    make: Module = ControlNetModel
    net = make(
        in_channels=config.in_channels,
        block_out_channels=config.block_out_channels,
        down_block_types=("DownBlock2D",) * len(config.block_out_channels),
        mid_block_type="UNetMidBlock2D",
        layers_per_block=config.layers_per_block,
        norm_num_groups=config.norm_num_groups,
        conditioning_embedding_out_channels=(8, 16, 32, 48),
    )
    known, own = base.unet.state_dict(), net.state_dict()
    net.load_state_dict({name: known.get(name, tensor) for name, tensor in own.items()})
    return net.to(memory_format=torch.channels_last)


def lessons(base: Base, count: int) -> tuple[list[Scene], NDArray[np.float16], NDArray[np.uint8]]:
    """Scenes, their latents, and their outlines as bits; arrays are kept in the work folder."""
    rng = np.random.default_rng([SEED, 8])
    drawn = [draw_outlined(rng) for _ in range(count)]

    def pictures() -> NDArray[np.float16]:
        return encoded(base, np.stack([each.picture for each in drawn]))

    def lines() -> NDArray[np.uint8]:
        return np.packbits(np.stack([edges(each.cover)[..., 0] > 127 for each in drawn]), axis=-1)

    latents = kept(WORK / "outline-latents.npy", count, pictures)
    return [each.scene for each in drawn], latents, kept(WORK / "outline-edges.npy", count, lines)


def teach(base: Base, steps: int, minutes: float, count: int = PICTURES) -> Module:
    """The trained ControlNet."""
    scenes, latents, lines = lessons(base, count)
    net = build_net(base)

    def loss_at(step: int) -> Tensor:
        rng, generator = np.random.default_rng([SEED, 9, step]), torch.Generator().manual_seed(SEED * 13 + step)
        pick = rng.integers(count, size=BATCH)
        texts = ["" if rng.random() < EMPTY else words(scenes[i], shape=rng.random() > UNNAMED) for i in pick]
        given = add_noise(base, latents[pick], generator)
        shown = np.unpackbits(lines[pick], axis=-1)[..., None] * np.uint8(255)
        hint = (to_tensor(shown).expand(-1, 3, -1, -1) + 1) / 2
        with torch.autocast("cpu", torch.bfloat16):
            context = base.text(base.ids(texts))[0]
            down, middle = net(given.noisy, given.t, context, hint, return_dict=False)
            return given.error(
                base.unet(
                    given.noisy, given.t, context,
                    down_block_additional_residuals=down, mid_block_additional_residual=middle,
                ).sample
            )  # fmt: skip

    run = Run("outline", dict(net.named_parameters()), loss_at, 1e-3, steps, minutes, weight_decay=0.01)
    net.load_state_dict(train(run), strict=False)
    return net.eval()


def main() -> None:
    """Train, or continue, then export."""
    args = options(__doc__, 3000).parse_args()
    net = teach(load_base(args.model), args.steps, args.minutes)
    write(args.output / FILE, net.state_dict(), {"for": "tiny"})


if __name__ == "__main__":
    main()
