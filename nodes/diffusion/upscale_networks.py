"""Networks that enlarge pictures, read from their weights: ESRGAN's and the compact one of Real-ESRGAN.

Sizes and numbers of blocks are not written in such files; they are seen from the names and shapes of the weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# What training scripts put before the names of all weights.
WRAPPERS = ("params_ema.", "params-ema.", "params.", "module.", "netG.", "model_state_dict.", "state_dict.")
SLOPE = 0.2  # of the leaky rectifiers of ESRGAN
RESIDUAL = 0.2  # how much of a block is added to what goes past it


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what went into the block and the results of all before it."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for i in range(5):
            width = growth if i < 4 else features
            self.add_module(f"conv{i + 1}", nn.Conv2d(features + i * growth, width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, features, H, W] to the same."""
        seen, out = x, x
        for i, convolution in enumerate(self.children()):
            out = convolution(seen)
            if i < 4:
                out = functional.leaky_relu(out, SLOPE)
                seen = torch.cat([seen, out], dim=1)
        return x + RESIDUAL * out


class ResidualBlock(nn.Module):
    """Three dense blocks with a way past them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (DenseBlock(features, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """[B, features, H, W] to the same."""
        return x + RESIDUAL * self.rdb3(self.rdb2(self.rdb1(x)))


@dataclass(frozen=True, slots=True)
class EsrganShape:
    """How an ESRGAN network is built. `doublings`: how often it doubles the size; `unshuffle`: by how much it makes
    the picture smaller first, its pixels becoming channels."""

    channels: int
    out_channels: int
    features: int
    growth: int
    blocks: int
    doublings: int
    unshuffle: int = 1

    @property
    def scale(self) -> float:
        return 2**self.doublings / self.unshuffle


class Esrgan(nn.Module):
    """RRDBNet, the network of ESRGAN (Wang et al. 2018) and Real-ESRGAN (Wang et al. 2021)."""

    def __init__(self, shape: EsrganShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.features
        self.conv_first = nn.Conv2d(shape.channels, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(width, shape.growth) for _ in range(shape.blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        for i in range(shape.doublings):
            self.add_module(f"conv_up{i + 1}", nn.Conv2d(width, width, 3, padding=1))
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, shape.out_channels, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, C, H, W] with values 0 … 1 to [B, C, scale · H, scale · W]."""
        height, width = pictures.shape[-2:]
        fold = self.shape.unshuffle
        if fold > 1:
            more = (-width % fold, -height % fold)
            mode = "reflect" if more[0] < width and more[1] < height else "replicate"
            pictures = functional.pixel_unshuffle(functional.pad(pictures, (0, more[0], 0, more[1]), mode=mode), fold)
        x = self.conv_first(pictures)
        x = x + self.conv_body(self.body(x))
        for i in range(self.shape.doublings):
            larger = functional.interpolate(x, scale_factor=2, mode="nearest")
            x = functional.leaky_relu(self.get_submodule(f"conv_up{i + 1}")(larger), SLOPE)
        x = self.conv_last(functional.leaky_relu(self.conv_hr(x), SLOPE))
        return x[..., : int(height * self.shape.scale), : int(width * self.shape.scale)]


class Compact(nn.Module):
    """SRVGGNetCompact, the small network of Real-ESRGAN: plain convolutions, and what they add to larger pixels."""

    def __init__(self, channels: int, features: int, convolutions: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(channels, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        layers.append(nn.Conv2d(features, channels * scale * scale, 3, padding=1))
        self.body = nn.Sequential(*layers)

    def forward(self, pictures: Tensor) -> Tensor:
        """[B, C, H, W] with values 0 … 1 to [B, C, scale · H, scale · W]."""
        larger = functional.interpolate(pictures, scale_factor=self.scale, mode="nearest")
        return functional.pixel_shuffle(self.body(pictures), self.scale) + larger


def unwrapped(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights without what a training script put before their names; averaged ones where a file has both."""
    named = dict(weights)
    for prefix in WRAPPERS:
        inner = {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}
        named = inner or named
    return named


def network_of(weights: Mapping[str, Tensor]) -> tuple[nn.Module, int, int] | None:
    """(network, its scale, its channels) for weights of a kind known here; None for others.

    Raises ValueError for weights that look like such, and cannot be.
    """
    weights = unwrapped(weights)
    esrgan = _todays_names(weights)
    if "conv_first.weight" in esrgan and "body.0.rdb1.conv1.weight" in esrgan:
        return _esrgan(esrgan)
    if {"body.0.weight", "body.1.weight", "body.2.weight"} <= weights.keys() and weights["body.1.weight"].ndim == 1:
        return _compact(weights)
    return None


def _esrgan(weights: dict[str, Tensor]) -> tuple[nn.Module, int, int] | None:
    if any("conv1x1" in name for name in weights):
        return None  # ESRGAN+
    entry, growth = weights["conv_first.weight"], weights["body.0.rdb1.conv1.weight"].shape[0]
    if "conv_last.weight" not in weights or entry.ndim != 4:
        raise ValueError("the last convolution is missing")
    channels, out_channels = entry.shape[1], weights["conv_last.weight"].shape[0]
    fold = math.isqrt(channels // max(1, out_channels))
    if channels != out_channels * fold * fold:
        raise ValueError(f"it takes {channels} channels and gives {out_channels}")
    blocks = _count(weights, r"body\.(\d+)\.rdb1\.conv1\.weight")
    doublings = _count(weights, r"conv_up(\d+)\.weight")
    shape = EsrganShape(channels, out_channels, entry.shape[0], growth, blocks, doublings, fold)
    if shape.scale < 1 or doublings > 4 or blocks > 200:
        raise ValueError(f"a network of {blocks} blocks that enlarges {shape.scale:g} times is not known")
    return _filled(Esrgan, (shape,), weights), int(shape.scale), out_channels


def _compact(weights: Mapping[str, Tensor]) -> tuple[nn.Module, int, int]:
    features, channels = weights["body.0.weight"].shape[:2]
    last = max(int(name.split(".")[1]) for name in weights if re.fullmatch(r"body\.\d+\.weight", name))
    scale = math.isqrt(weights[f"body.{last}.weight"].shape[0] // max(1, channels))
    if last % 2 or not 1 <= scale <= 16 or last > 400:
        raise ValueError(f"a network of {last + 1} layers that enlarges {scale} times is not known")
    return _filled(Compact, (channels, features, (last - 2) // 2, scale), weights), scale, channels


def _filled(kind: type[nn.Module], arguments: tuple[object, ...], weights: Mapping[str, Tensor]) -> nn.Module:
    """A network of some kind with these weights. Raises ValueError if they are not the ones it has."""
    with torch.device("meta"):  # no weights are made up
        network = kind(*arguments)
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - weights.keys())
    if missing:
        raise ValueError(f"weights are missing: {', '.join(missing[:3])}")
    wrong = sorted(name for name, tensor in wanted.items() if weights[name].shape != tensor.shape)
    if wrong:
        raise ValueError(f"weights have another shape than the others ask for: {', '.join(wrong[:3])}")
    network.load_state_dict({name: weights[name].float() for name in wanted}, assign=True)
    return network


def _count(weights: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers names have at a place."""
    return len({match[1] for name in weights if (match := re.fullmatch(pattern, name))})


def _todays_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """ESRGAN's weights under the names that Real-ESRGAN gave them; there are two older ways to call them."""
    if "model.0.weight" in weights:
        return _from_first_names(weights)
    renames = (
        (r"RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2."),
        (r"trunk_conv\.", "conv_body."),
        (r"upconv(\d)\.", r"conv_up\1."),
        (r"HRconv\.", "conv_hr."),
    )
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        for old, new in renames:
            name = re.sub(f"^{old}", new, name)
        named[name] = tensor
    return named


def _from_first_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of a network that is one long sequence: `model.0`, the body `model.1.sub`, and all that comes after."""
    numbers = sorted({int(match[1]) for name in weights if (match := re.fullmatch(r"model\.(\d+)\.weight", name))})
    after = [number for number in numbers if number > 1]
    names = [*(f"conv_up{i + 1}" for i in range(len(after) - 2)), "conv_hr", "conv_last"]
    places = {"model.0": "conv_first"} | {
        f"model.{n}": name for n, name in zip(after, names[-len(after) :], strict=False)
    }
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        place, _, kind = name.rpartition(".")
        if block := re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\w+)(?:\.0)?", place):
            named[f"body.{block[1]}.rdb{block[2]}.{block[3]}.{kind}"] = tensor
        elif re.fullmatch(r"model\.1\.sub\.\d+", place):
            named[f"conv_body.{kind}"] = tensor
        else:
            named[f"{places.get(place, place)}.{kind}"] = tensor
    return named
