"""Where a model family meets the samplers: a UNet and its prompts become `model(x, sigma) -> denoised`.

Two layers. `unet_denoiser` knows what the network wants (scaled input, integer timesteps, epsilon or v) and
gives `denoise(x, sigma, context)`. `guided_denoiser` knows what the user wants (prompts, strengths, when
they count, the guidance scale) and runs it once per call, everything in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nodes.diffusion.samplers.common import Model
from nodes.diffusion.sigmas import ModelSigmas

Prediction = Literal["epsilon", "v_prediction"]
"""What the network was trained to give (Salimans and Ho 2022 for v), by the names of diffusers' configs."""

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""`denoise(x [B, C, H, W], sigma [B], context [B, T, D]) -> denoised [B, C, H, W]`."""

Conditioning = Sequence[tuple[Tensor, Mapping[str, Any]] | Sequence[Any]]
"""The value between nodes: [[context [1 or B, T, D], options], ...], as ComfyUI's node packs know it."""


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One entry of a conditioning: it counts with `strength` while sigma_end <= sigma <= sigma_start."""

    context: Tensor
    strength: float = 1.0
    sigma_start: float = math.inf
    sigma_end: float = 0.0

    @property
    def always(self) -> bool:
        """Whether it counts at every noise level."""
        return self.sigma_start == math.inf and self.sigma_end == 0.0

    def active(self, sigma: float) -> bool:
        """Whether it counts at this noise level."""
        return self.sigma_end <= sigma <= self.sigma_start


def conditions(
    conditioning: Conditioning,
    model_sigmas: ModelSigmas,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Condition, ...]:
    """Read a conditioning, its contexts moved to where the network is.

    Of the options, `strength` (default 1), `start_percent` (0) and `end_percent` (1) matter here.
    """
    return tuple(
        Condition(
            context.to(device=device, dtype=dtype),
            float(options.get("strength", 1.0)),
            model_sigmas.percent_to_sigma(float(options.get("start_percent", 0.0))),
            model_sigmas.percent_to_sigma(float(options.get("end_percent", 1.0))),
        )
        for context, options in conditioning
    )


def unet_denoiser(unet: nn.Module, model_sigmas: ModelSigmas, prediction: Prediction = "epsilon") -> Denoise:
    """Adapt a `UNet2DConditionModel` of a discrete-time model to `denoise(x, sigma, context)`.

    The network sees x / sqrt(1 + sigma^2), the nearest integer timestep, and its own dtype; `x` keeps its
    own.
    """
    parameter = next(unet.parameters())
    sigmas, dtype = model_sigmas.to(parameter.device), parameter.dtype

    def denoise(x: Tensor, sigma: Tensor, context: Tensor) -> Tensor:
        s = sigma.view(-1, *[1] * (x.ndim - 1))
        scale = (s * s + 1).sqrt()
        output = unet((x / scale).to(dtype), sigmas.timestep(sigma), encoder_hidden_states=context, return_dict=False)[
            0
        ].to(x.dtype)
        if prediction == "v_prediction":
            return x / (scale * scale) - output * (s / scale)
        return x - output * s

    return denoise


def join_contexts(contexts: Sequence[Tensor], batch: int) -> Tensor:
    """One [len(contexts) * batch, T, D] of contexts [1 or B, t, D], each repeated to `batch` and to length T.

    T is the least common multiple of the lengths t: attention gives a repeated sequence the same output.
    """
    length = math.lcm(*(context.shape[1] for context in contexts))
    rows: list[Tensor] = []
    for context in contexts:
        copies = -(-batch // context.shape[0])
        rows.append(context.repeat(copies, length // context.shape[1], 1)[:batch])
    return torch.cat(rows)


def _average(parts: Sequence[Tensor], entries: Sequence[Condition], like: Tensor) -> Tensor:
    """The mean of the entries' pictures weighted by strength; of no entries, an empty (zero) picture."""
    if len(parts) == 1:
        return parts[0]
    total = sum(entry.strength for entry in entries)
    if total == 0:
        return torch.zeros_like(like)
    picture = torch.zeros_like(like)
    for part, entry in zip(parts, entries, strict=True):
        picture = picture + part * (entry.strength / total)
    return picture


def guided_denoiser(
    denoise: Denoise, positive: Sequence[Condition], negative: Sequence[Condition], cfg: float
) -> Model:
    """Classifier-free guidance (Ho and Salimans 2022): negative + cfg * (positive - negative).

    All entries that count at a noise level run in one batch. At `cfg` 1 the negative ones cancel and are
    left out. Raises ValueError when there is nothing to be guided by.
    """
    if cfg == 1:
        negative = ()
    if not positive or (cfg != 1 and not negative):
        raise ValueError("a conditioning needs at least one entry")
    ranged = not all(entry.always for entry in (*positive, *negative))
    # The contexts stay the same from step to step: join them once for each set of entries that count
    # together.
    joined: dict[tuple[int, ...], Tensor] = {}

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        use, avoid = positive, negative
        if ranged:
            level = float(sigma[0])
            use = [entry for entry in positive if entry.active(level)]
            avoid = [entry for entry in negative if entry.active(level)]
        entries = (*use, *avoid)
        if not entries:
            return torch.zeros_like(x)
        key = (len(x), *(id(entry) for entry in entries))
        context = joined.get(key)
        if context is None:
            context = joined[key] = join_contexts([entry.context for entry in entries], len(x))
        count = len(entries)
        if count > 1:
            parts = denoise(torch.cat([x] * count), sigma.repeat(count), context).chunk(count)
        else:
            parts = (denoise(x, sigma, context),)
        wanted = _average(parts[: len(use)], use, x)
        if cfg == 1:
            return wanted
        unwanted = _average(parts[len(use) :], avoid, x)
        return unwanted + (wanted - unwanted) * cfg

    return model
