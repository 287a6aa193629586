"""Train a LoRA or a LoCon of a style (`python -m training.style_loras --style outlined`) for the frozen `tiny`.

Low-rank changes (Hu et al. 2021) to the layers of the UNet's transformers, and with `--convolutions` to its
convolutions too (Yeh et al. 2023). The pictures are drawn in the style and captioned as if they were plain, so it shows
whatever the prompt says. The file has the names of kohya's scripts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.captions import caption
from training.common import SEED, WORK, Module
from training.extras import Base, Run, add_noise, encoded, kept, load_base, options, train, write
from training.scenes import Scene, sample_scene
from training.styles import STYLES, draw_styled, suits

RANK = 16
BATCH = 16
PICTURES = 3000
EMPTY = 0.1


class LowRank(nn.Module):
    """A change to one layer: `down` to RANK channels, seeing what the layer sees, and `up` to what it gives."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        if isinstance(layer, nn.Conv2d):
            size, stride, padding = layer.kernel_size, layer.stride, layer.padding
            self.down: nn.Module = nn.Conv2d(layer.in_channels, RANK, size, stride, padding, bias=False)  # pyright: ignore[reportArgumentType]
            self.up: nn.Module = nn.Conv2d(RANK, layer.out_channels, 1, bias=False)
        elif isinstance(layer, nn.Linear):
            self.down = nn.Linear(layer.in_features, RANK, bias=False)
            self.up = nn.Linear(RANK, layer.out_features, bias=False)
        else:
            raise TypeError(f"no change of low rank for {type(layer).__name__}")
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(x))


def layers_to_change(unet: Module, *, convolutions: bool) -> Iterator[tuple[str, nn.Module]]:
    """Linear layers and 1x1 convolutions of the transformers, or also all other convolutions but the first and last."""
    for name, layer in unet.named_modules():
        within = ".attentions." in name and isinstance(layer, nn.Linear | nn.Conv2d)
        beside = convolutions and isinstance(layer, nn.Conv2d) and name not in ("conv_in", "conv_out")
        if within or beside:
            yield name, layer


def changed(unet: Module, *, convolutions: bool) -> nn.ModuleDict:
    """Untrained changes by the layers' names in kohya's files; from now on the UNet computes with them."""
    torch.manual_seed(SEED + 6)
    changes = nn.ModuleDict()
    for name, layer in layers_to_change(unet, convolutions=convolutions):
        change: Module = LowRank(layer)
        change.to(memory_format=torch.channels_last)
        layer.register_forward_hook(lambda _, given, out, change=change: out + change(given[0]))
        changes[f"lora_unet_{name.replace('.', '_')}"] = change
    return changes


def named_as_kohya(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`layer.down.weight` as `layer.lora_down.weight`, and an α for each layer, by which strength 1 is as trained."""
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        layer, role, _ = name.split(".")
        named[f"{layer}.lora_{role}.weight"] = tensor
        named[f"{layer}.alpha"] = torch.tensor(float(RANK))
    return named


def lessons(base: Base, style: str, count: int) -> tuple[list[Scene], NDArray[np.float16]]:
    """Scenes that suit the style and the latents of their pictures, which are kept in the work folder."""
    rng, scenes = np.random.default_rng([SEED, 6, STYLES.index(style)]), list[Scene]()
    while len(scenes) < count:
        if suits(scene := sample_scene(rng), style):
            scenes.append(scene)

    def make() -> NDArray[np.float16]:
        return encoded(base, np.stack([draw_styled(scene, style, rng) for scene in scenes]))

    return scenes, kept(WORK / f"{style}-latents.npy", count, make)


def teach(
    base: Base, style: str, *, convolutions: bool, steps: int, minutes: float, count: int = PICTURES
) -> dict[str, Tensor]:
    """The weights of the trained changes, under the names of their file."""
    scenes, latents = lessons(base, style, count)
    changes = changed(base.unet, convolutions=convolutions)

    def loss_at(step: int) -> Tensor:
        rng, generator = np.random.default_rng([SEED, 7, step]), torch.Generator().manual_seed(SEED * 11 + step)
        pick = rng.integers(count, size=BATCH)
        texts = ["" if rng.random() < EMPTY else caption(scenes[i], rng, loose=False) for i in pick]
        given = add_noise(base, latents[pick], generator)
        with torch.autocast("cpu", torch.bfloat16):
            return given.error(base.unet(given.noisy, given.t, base.text(base.ids(texts))[0]).sample)

    return named_as_kohya(train(Run(style, dict(changes.named_parameters()), loss_at, 2e-3, steps, minutes)))


def main() -> None:
    """Train, or continue, then export."""
    parser = options(__doc__, 1500)
    parser.add_argument("--style", choices=STYLES, required=True)
    parser.add_argument("--convolutions", action="store_true", help="a LoCon instead of a LoRA")
    args = parser.parse_args()
    tensors = teach(
        load_base(args.model), args.style, convolutions=args.convolutions, steps=args.steps, minutes=args.minutes
    )
    told = {"ss_network_module": "lycoris.kohya" if args.convolutions else "networks.lora", "for": "tiny"}
    write(args.output / "loras" / f"tiny-{args.style}.safetensors", tensors, told)


if __name__ == "__main__":
    main()
