"""Guidance by a model's own attention: away from what it sees with a worse attention, or of a blurred picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.behaviours.attention import Processor, middle_self_attentions
from nodes.diffusion.guidance import Amendment, Batch, Denoise, Moment

BLUR_SIZE = 9
ATTENDED = 1.0
"""Tokens count as attended to when all tokens together give them more than an even share."""


def values_only(attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Attention in which each token attends to itself alone."""
    return attn.to_out[0](attn.to_v(hidden_states))


def perturb(unet: nn.Module) -> None:
    """Let no token of the middle of a UNet attend to another one; for a clone."""
    for layer in middle_self_attentions(unet):
        layer.set_processor(values_only)


def perturbed_attention(denoise: Denoise, scale: float) -> Amendment:
    """Away from what the model sees with perturbed attention (Ahn et al. 2024); `denoise` is that of such a clone."""

    def amend(moment: Moment) -> Tensor:
        worse = moment.predictor.predict(moment.x, moment.sigma, ("positive",), denoise)["positive"]
        return moment.denoised + (moment.seen["positive"] - worse) * scale

    return Amendment(amend, needs=("positive",))


_MAPS: ContextVar[list[Tensor] | None] = ContextVar("attention_maps", default=None)


@contextmanager
def watching() -> Iterator[list[Tensor]]:
    """Collect the attention of UNets that were made `watchable`: one [rows, N] of attention received per call."""
    maps: list[Tensor] = []
    token = _MAPS.set(maps)
    try:
        yield maps
    finally:
        _MAPS.reset(token)


class _Watched:
    """A processor that tells how much attention each token receives, while somebody watches."""

    def __init__(self, inner: Processor) -> None:
        self._inner = inner

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        maps = _MAPS.get()
        if maps is not None:
            query, key = (attn.head_to_batch_dim(part(hidden_states)) for part in (attn.to_q, attn.to_k))
            attention = attn.get_attention_scores(query, key).float()  # [rows * heads, N, N]
            attention = attention.reshape(len(hidden_states), -1, *attention.shape[-2:])
            maps.append(attention.mean(dim=1).sum(dim=1))
        return self._inner(attn, hidden_states, *args, **kwargs)


def watchable(unet: nn.Module) -> None:
    """Let `watching` see the first self-attention in the middle of a UNet; for a clone."""
    layer = middle_self_attentions(unet)[0]
    layer.set_processor(_Watched(layer.processor))


def self_attention_guidance(scale: float, blur_sigma: float) -> Amendment:
    """Away from what the model sees once the places it attends to are blurred (Hong et al. 2023, SAG).

    The picture without the prompt is blurred there, noised again by the noise that was seen in it, and looked at anew.
    """

    def amend(moment: Moment) -> Tensor:
        attention = _of_whole(moment.batches, moment.watched, len(moment.x))
        if attention is None or min(moment.x.shape[-2:]) <= BLUR_SIZE // 2:
            return moment.denoised
        empty = moment.seen["negative"]
        mask = attended(attention, *moment.x.shape[-2:]).to(empty)
        worse = empty + (blurred(empty, blur_sigma) - empty) * mask
        again = moment.predictor.predict(worse + (moment.x - empty), moment.sigma, ("negative",))["negative"]
        return moment.denoised + (worse - again) * scale

    return Amendment(amend, needs=("negative",), watch=watching)


def _of_whole(batches: tuple[Batch, ...], maps: list[Tensor], rows: int) -> Tensor | None:
    """The attention [rows, N] of the first negative entry that is run on the whole latent."""
    for batch, attention in zip(batches, maps, strict=False):
        for i, (role, entry) in enumerate(zip(batch.roles, batch.entries, strict=True)):
            if role == "negative" and entry.area is None:
                return attention[i * rows : (i + 1) * rows]
    return None


def attended(attention: Tensor, height: int, width: int) -> Tensor:
    """[B, 1, height, width]: 1 where tokens [B, N] receive more attention than ATTENDED, of a latent of this size."""
    h, w = _token_grid(attention.shape[1], height, width)
    mask = (attention > ATTENDED).to(attention.dtype).reshape(-1, 1, h, w)
    return functional.interpolate(mask, size=(height, width), mode="nearest")


def _token_grid(count: int, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the tokens of a latent that was halved until so many were left."""
    while height * width > count:
        height, width = (height + 1) // 2, (width + 1) // 2
    if height * width != count:
        raise ValueError(f"{count} tokens are no halved latent")
    return height, width


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """[B, C, h, w] blurred by a Gaussian over BLUR_SIZE pixels, edges mirrored; as it is for a sigma of 0."""
    if sigma == 0:
        return picture
    reach = BLUR_SIZE // 2
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32, device=picture.device)
    kernel = (-0.5 * (offsets / sigma) ** 2).exp()
    kernel = (kernel / kernel.sum()).to(picture.dtype)
    channels = picture.shape[1]
    padded = functional.pad(picture, (reach,) * 4, mode="reflect")
    rows = functional.conv2d(padded, kernel.view(1, 1, 1, -1).repeat(channels, 1, 1, 1), groups=channels)
    return functional.conv2d(rows, kernel.view(1, 1, -1, 1).repeat(channels, 1, 1, 1), groups=channels)
