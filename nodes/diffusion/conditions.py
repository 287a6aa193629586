"""What guides a model: the entries of a conditioning, read once for a sampling.

An entry is an encoded prompt with options: how strongly, at which noise levels, and in which part of the picture it
counts, and what else the network wants to be told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.sigmas import ModelSigmas

Conditioning = Sequence[tuple[Tensor, Mapping[str, Any]] | Sequence[Any]]
"""The value between nodes: [[context [1 or B, T, D], options], ...], as ComfyUI's node packs know it."""

Area = tuple[int, int, int, int]
"""A part of the latent: height, width, y, x."""

SMALLEST_AREA = 8
"""Side of the smallest area that is drawn by itself when the bounds of a mask set it."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One entry of a conditioning: it counts with `strength` while sigma_end <= sigma <= sigma_start.

    area: the part of the latent that it is run on, None for all of it; ("percentage", h, w, y, x) has parts of 1 until
    it is `placed`. mask: where it counts, [H, W] or [B, H, W] of any size, [B, 1, h, w] once placed. to_bounds: the
    bounds of the mask are the area. options: what else the entry says, for the network. controls: what steers the
    network at this entry. role: whether it says what to draw ("positive") or what to avoid.
    """

    context: Tensor
    strength: float = 1.0
    sigma_start: float = math.inf
    sigma_end: float = 0.0
    area: Any = None
    mask: Tensor | None = None
    mask_strength: float = 1.0
    to_bounds: bool = False
    options: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    controls: tuple[Any, ...] = ()
    gligen: Any = None
    role: str = "positive"

    @property
    def always(self) -> bool:
        """Whether it counts at every noise level."""
        return self.sigma_start == math.inf and self.sigma_end == 0.0

    @property
    def everywhere(self) -> bool:
        """Whether it counts in the whole picture alike."""
        return self.area is None and self.mask is None

    def active(self, sigma: float) -> bool:
        """Whether it counts at this noise level."""
        return self.sigma_end <= sigma <= self.sigma_start


def conditions(
    conditioning: Conditioning,
    model_sigmas: ModelSigmas,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    role: str = "positive",
    steered: Callable[[Any], Any] | None = None,
    boxed: Callable[[Any], Any] | None = None,
) -> tuple[Condition, ...]:
    """Read a conditioning, its contexts moved to where the network is.

    steered: makes of each of the option `control` what `Condition.controls` holds. boxed: the same for `gligen`.
    """
    found: list[Condition] = []
    for context, options in conditioning:
        mask = options.get("mask")
        gligen = options.get("gligen")
        found.append(
            Condition(
                context.to(device=device, dtype=dtype),
                float(options.get("strength", 1.0)),
                model_sigmas.percent_to_sigma(float(options.get("start_percent", 0.0))),
                model_sigmas.percent_to_sigma(float(options.get("end_percent", 1.0))),
                None if options.get("area") is None else tuple(options["area"]),
                None if mask is None else mask.to(device),
                float(options.get("mask_strength", 1.0)),
                bool(options.get("set_area_to_bounds", False)),
                options,
                tuple(steered(control) for control in options.get("control") or ()) if steered is not None else (),
                boxed(gligen) if boxed is not None and gligen is not None else None,
                role,
            )
        )
    return tuple(found)


def placed(condition: Condition, height: int, width: int) -> Condition | None:
    """The entry with its area and mask in units of a latent of this size; None if its area lies outside."""
    if condition.everywhere:
        return condition
    area, mask = condition.area, condition.mask
    if mask is not None:
        mask = mask.reshape(-1, 1, *mask.shape[-2:]).float()
        if mask.shape[-2:] != (height, width):
            mask = functional.interpolate(mask, size=(height, width), mode="bilinear")
        if condition.to_bounds:
            area = bounds(mask)
    if area is not None:
        area = absolute(area, height, width)
        if area is None:
            return None
        if area == (height, width, 0, 0):
            area = None
    return replace(condition, area=area, mask=mask, to_bounds=False)


def absolute(area: Sequence[Any], height: int, width: int) -> Area | None:
    """An area in whole latent pixels, cut at the edges of the latent; None if nothing is left of it."""
    if area[0] == "percentage":
        h, w, y, x = (float(part) for part in area[1:])
        area = max(1, round(h * height)), max(1, round(w * width)), round(y * height), round(x * width)
    h, w, y, x = (int(part) for part in area)
    h, w = min(h, height - y), min(w, width - x)
    return (h, w, y, x) if h > 0 and w > 0 else None


def bounds(mask: Tensor) -> Area:
    """The smallest area that holds all of a mask [B, 1, h, w] above 0, but no smaller than SMALLEST_AREA."""
    height, width = mask.shape[-2:]
    there = (mask > 0).any(dim=0)[0]
    rows, columns = there.any(dim=1).nonzero(), there.any(dim=0).nonzero()
    if not len(rows):
        return min(SMALLEST_AREA, height), min(SMALLEST_AREA, width), 0, 0
    top, left = int(rows[0]), int(columns[0])
    h = min(height, max(SMALLEST_AREA, int(rows[-1]) - top + 1))
    w = min(width, max(SMALLEST_AREA, int(columns[-1]) - left + 1))
    return h, w, min(top, height - h), min(left, width - w)


def side_by_side(roles: Mapping[str, Sequence[Condition]]) -> dict[str, tuple[Condition, ...]]:
    """Placed entries by role, so that what one role says of an area is compared with the others' view of that area.

    A network sees a crop otherwise than the whole. So for each area that a role has not, it gets a copy of its entry
    that holds the area most closely, run on that area, at the strength of the entry whose area it is. Entries that
    have no controls, or no boxes, take those of another role's entries of the same area where these are meant for all.
    """
    found = {role: list(entries) for role, entries in roles.items()}
    for role, entries in roles.items():
        for entry in entries:
            for other in roles:
                if other != role and entry.area is not None:
                    found[other] += _compared(entry, found[other])
    result = {role: tuple(entries) for role, entries in found.items()}
    if "positive" in result and "negative" in result:
        result["negative"] = tuple(_steered_alike(entry, result["positive"]) for entry in result["negative"])
    return result


def _compared(entry: Condition, others: Sequence[Condition]) -> list[Condition]:
    """What has to be added to `others`, so that one of them has the area of `entry`."""
    around = [other for other in others if other.area is None or _holds(other.area, entry.area or ())]
    if not around or any(other.area == entry.area for other in around):
        return []
    closest = min(around, key=lambda other: math.inf if other.area is None else other.area[0] * other.area[1])
    return [
        replace(
            entry,
            context=closest.context,
            options=closest.options,
            controls=closest.controls,
            gligen=closest.gligen,
            role=closest.role,
        )
    ]


def _holds(outer: Sequence[int], inner: Sequence[int]) -> bool:
    inside_y = outer[2] <= inner[2] and inner[2] + inner[0] <= outer[2] + outer[0]
    return inside_y and outer[3] <= inner[3] and inner[3] + inner[1] <= outer[3] + outer[1]


def _steered_alike(entry: Condition, others: Sequence[Condition]) -> Condition:
    """A negative entry with the controls and boxes of the positive one of its area that are meant for both."""
    for other in others:
        if other.area == entry.area:
            if other.controls and not entry.controls and other.options.get("control_apply_to_uncond", False):
                entry = replace(entry, controls=other.controls)
            if other.gligen is not None and entry.gligen is None:
                entry = replace(entry, gligen=other.gligen)
    return entry
