"""Networks that steer, at work: what a ControlNet or a T2I-Adapter adds inside a UNet at one step of a sampling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.clones import structural_clone
from nodes.diffusion.control_residuals import Residuals
from nodes.diffusion.resize import resize

PIXELS_PER_LATENT = 8

Area = tuple[int, int, int, int]
"""A part of a latent: height, width, y, x."""

#: The kinds of hint of a union ControlNet, in the order of its weights; `auto` is none of them.
UNION_KINDS = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)


class WrongModel(ValueError):
    """A network that steers models of another family; the message says what does not fit."""


class ControlRunner(Protocol):
    """What a network that steers adds inside the UNet at one step."""

    def residuals(
        self,
        x_in: Tensor,
        sigma: float,
        timestep: Tensor,
        context: Tensor,
        added: Mapping[str, Tensor] | None = None,
        *,
        area: Area | None = None,
    ) -> Residuals | None:
        """What to add for x_in [B, C, h, w], which is scaled as the UNet wants it; None where it does not steer.

        timestep [B] integers, context [B, T, D], added: what else a Stable Diffusion XL UNet is told. area: where in
        the whole latent x_in lies, if it is a part of it.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Hint:
    """The pictures [n, H, W, C] that a network is shown, and which latent (h, w) they are spread over.

    Without a size it is that of the input, or the smallest that its area lies in.
    """

    pictures: Tensor
    size: tuple[int, int] | None = None

    def whole(self, x_in: Tensor, area: Area | None) -> tuple[int, int]:
        """The height and width of the whole latent."""
        if self.size is not None:
            return self.size
        height, width = x_in.shape[-2:]
        return (height, width) if area is None else (max(height, area[2] + area[0]), max(width, area[3] + area[1]))


@dataclass(frozen=True, slots=True)
class Span:
    """The noise levels at which something counts, both ends included."""

    sigma_start: float
    sigma_end: float

    def holds(self, sigma: float) -> bool:
        return self.sigma_end <= sigma <= self.sigma_start


def fit_hint(pictures: Tensor, height: int, width: int, area: Area | None = None, multiple: int = 1) -> Tensor:
    """Pictures [n, H, W, 3] as a hint [n, 3, 8 h, 8 w] for a latent of `height` by `width`, cut in the middle to fit.

    area: only the part that lies there. multiple: sides are stretched up to multiples of it.
    """
    size = (width * PIXELS_PER_LATENT, height * PIXELS_PER_LATENT)
    hint = resize(pictures.movedim(-1, 1), *size, "nearest-exact", crop=True)
    if area is not None:
        top, left = area[2] * PIXELS_PER_LATENT, area[3] * PIXELS_PER_LATENT
        hint = hint[:, :, top : top + area[0] * PIXELS_PER_LATENT, left : left + area[1] * PIXELS_PER_LATENT]
    sides = [-(-side // multiple) * multiple for side in hint.shape[-2:]]
    return hint if sides == list(hint.shape[-2:]) else functional.interpolate(hint, size=sides, mode="nearest-exact")


def repeated(tensor: Tensor, batch: int) -> Tensor:
    """[n, …] as [batch, …]: one after another, again and again."""
    if len(tensor) == batch:
        return tensor
    copies = -(-batch // len(tensor))
    return tensor.repeat(copies, *[1] * (tensor.ndim - 1))[:batch]


def add_residuals(several: Iterable[Residuals | None]) -> Residuals | None:
    """What several networks add together; None if none of them adds anything. Raises WrongModel if they do not fit."""
    found = [each for each in several if each is not None]
    if len(found) < 2:
        return found[0] if found else None
    middles = [each.mid for each in found if each.mid is not None]
    return Residuals(
        _sums([each.down for each in found]),
        reduce(torch.add, middles) if middles else None,
        _sums([each.intrablock for each in found]),
    )


def _sums(rows: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    rows = [row for row in rows if row]
    if len({len(row) for row in rows}) > 1:
        raise WrongModel("the networks that steer were made for different families of models")
    return tuple(reduce(torch.add, column) for column in zip(*rows, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class ControlNetRunner:
    """A ControlNetModel or ControlNetUnionModel at work. What it sees of the hint is computed once for each place.

    pooled: its residuals are averaged over the picture, as those of a network that shuffles content are.
    union_kind: which kind of hint a union ControlNet is shown, of UNION_KINDS; -1 is none of them.
    """

    net: Any
    hint: Hint
    span: Span
    strength: float = 1.0
    pooled: bool = False
    union_kind: int = -1
    _seen: dict[object, Tensor] = field(default_factory=dict, init=False, repr=False)
    _clones: list[Any] = field(default_factory=list, init=False, repr=False)

    def residuals(
        self,
        x_in: Tensor,
        sigma: float,
        timestep: Tensor,
        context: Tensor,
        added: Mapping[str, Tensor] | None = None,
        *,
        area: Area | None = None,
    ) -> Residuals | None:
        """See ControlRunner. Raises WrongModel if the network was made for another family of models."""
        if not self.span.holds(sigma):
            return None
        config = self.net.config
        check_family(config, x_in, context, added)
        dtype, call = self.net.dtype, self._call_union if _is_union(config) else self._call
        told = None
        if config.addition_embed_type is not None and added is not None:
            told = {name: added[name] for name in ("text_embeds", "time_ids")}
        with torch.no_grad():
            shown = repeated(self._shown(x_in, area), len(x_in))
            down, mid = call(x_in.to(dtype), timestep, context.to(dtype), shown, told)
        if self.pooled:
            down, mid = [each.mean((2, 3), keepdim=True) for each in down], mid.mean((2, 3), keepdim=True)
        return Residuals(tuple(each.to(x_in.dtype) for each in down), mid.to(x_in.dtype))

    def _shown(self, x_in: Tensor, area: Area | None) -> Tensor:
        """The encoded hint [n, channels, h, w] of the place that x_in is."""
        place = (self.hint.whole(x_in, area), area)
        if place not in self._seen:
            picture = fit_hint(self.hint.pictures, *place[0], area).to(self.net.device, self.net.dtype)
            self._seen[place] = self.net.controlnet_cond_embedding(picture)
        return self._seen[place]

    def _seeing(self) -> Any:
        """The network without its encoder of hints, which was run already."""
        if not self._clones:
            clone: Any = structural_clone(self.net)
            clone.controlnet_cond_embedding = nn.Identity()
            self._clones.append(clone)
        return self._clones[0]

    def _call(self, x: Tensor, t: Tensor, context: Tensor, shown: Tensor, told: dict[str, Tensor] | None) -> Any:
        return self._seeing()(
            x, t, context, shown, self.strength, added_cond_kwargs=told, guess_mode=False, return_dict=False
        )

    def _call_union(self, x: Tensor, t: Tensor, context: Tensor, shown: Tensor, told: Any) -> Any:
        """One after another, for the attention between hint and latent of this network would mix those of a batch."""
        kinds = self.net.config.num_control_type
        index = self.union_kind if self.union_kind >= 0 else kinds
        kind = torch.zeros(1, kinds, device=x.device, dtype=x.dtype)
        if index < kinds:
            kind[0, index] = 1
        rows: list[Any] = []
        for i in range(len(x)):
            row = slice(i, i + 1)
            own = None if told is None else {name: tensor[row] for name, tensor in told.items()}
            rows.append(
                self._seeing()(
                    x[row], t[row], context[row], [shown[row]], kind, [index], float(self.strength),
                    added_cond_kwargs=own, return_dict=False,
                )
            )  # fmt: skip
        down = [torch.cat(column) for column in zip(*(each for each, _ in rows), strict=True)]
        return down, torch.cat([mid for _, mid in rows])


def _is_union(config: Any) -> bool:
    return "num_control_type" in config


def check_family(config: Any, x_in: Tensor, context: Tensor, added: Mapping[str, Tensor] | None) -> None:
    """Raise WrongModel if a ControlNet's configuration does not fit what it is to be given."""
    if config.in_channels != x_in.shape[1]:
        raise WrongModel(f"this ControlNet wants latents of {config.in_channels} channels, not {x_in.shape[1]}")
    attends = any(kind.startswith("CrossAttn") for kind in config.down_block_types)
    attends = attends or _is_union(config) or config.mid_block_type == "UNetMidBlock2DCrossAttn"
    if attends and config.cross_attention_dim != context.shape[-1]:
        wanted, given = config.cross_attention_dim, context.shape[-1]
        raise WrongModel(f"this ControlNet wants prompts of width {wanted}, and the model has {given}")
    if config.addition_embed_type is not None and not {"text_embeds", "time_ids"} <= (added or {}).keys():
        raise WrongModel("this ControlNet was made for Stable Diffusion XL, and the model is none")
    if config.addition_embed_type is not None and added is not None:
        given = added["text_embeds"].shape[-1] + added["time_ids"].shape[-1] * config.addition_time_embed_dim
        if given != config.projection_class_embeddings_input_dim:
            raise WrongModel("this ControlNet is told other things of a picture than the model is")


def check_adapter(kind: str, width: int, *, told: bool) -> None:
    """Raise WrongModel if a T2I-Adapter fits another family than the model's: their features have other places.

    width: of the model's prompts. told: whether the model is told sizes, as Stable Diffusion XL is.
    """
    for_xl = kind == "full_adapter_xl"
    if told and not for_xl:
        raise WrongModel("this T2I-Adapter was made for Stable Diffusion 1, and the model is Stable Diffusion XL")
    if for_xl and not told and width in (768, 1024):
        raise WrongModel("this T2I-Adapter was made for Stable Diffusion XL, and the model is none")


@dataclass(frozen=True, slots=True, eq=False)
class T2IAdapterRunner:
    """A T2IAdapter at work: it sees the hint alone, so that its features are the same at every step."""

    net: Any
    hint: Hint
    span: Span
    strength: float = 1.0
    _seen: dict[object, tuple[Tensor, ...]] = field(default_factory=dict, init=False, repr=False)

    def residuals(
        self,
        x_in: Tensor,
        sigma: float,
        timestep: Tensor,
        context: Tensor,
        added: Mapping[str, Tensor] | None = None,
        *,
        area: Area | None = None,
    ) -> Residuals | None:
        """See ControlRunner. Raises WrongModel if the network was made for another family of models."""
        if not self.span.holds(sigma):
            return None
        check_adapter(self.net.config.adapter_type, context.shape[-1], told=added is not None)
        place = (self.hint.whole(x_in, area), area)
        if place not in self._seen:
            with torch.no_grad():
                self._seen[place] = self._features(*place)
        features = (repeated(feature, len(x_in)).to(x_in.dtype) for feature in self._seen[place])
        return Residuals(intrablock=tuple(features))

    def _features(self, whole: tuple[int, int], area: Area | None) -> tuple[Tensor, ...]:
        picture = fit_hint(self.hint.pictures, *whole, area, multiple=self.net.downscale_factor)
        if self.net.config.in_channels == 1:
            picture = picture.mean(1, keepdim=True)
        features = self.net(picture.to(self.net.device, self.net.dtype))
        return tuple(feature * self.strength for feature in features)
