"""From a network and what the user wants to `model(x, sigma) -> denoised`: guidance.

A `Predictor` runs the entries of each role (positive, negative, ...) on their windows of the latent, as many as fit in
one batch, and blends them into one picture a role. A `Guidance` makes one picture of these. What changes guidance acts
at one of three places: on how two predictions are combined (`Guide`), on the result (`Amendment`), or on the roles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodes.diffusion.conditions import Condition, placed, side_by_side
from nodes.diffusion.regions import blended, weights, window
from nodes.diffusion.unet_inputs import Extra, Inputs, no_inputs

Denoise = Callable[..., Tensor]
"""`denoise(x [B, C, H, W], sigma [B], context [B, T, D], extra=None) -> denoised [B, C, H, W]`."""

LONGEST = 4
"""Prompts run in one batch if none has to be repeated more often than this to be as long as the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Entries that run together, each with its role and its weights (one number if it counts everywhere alike)."""

    entries: tuple[Condition, ...]
    roles: tuple[str, ...]
    weights: tuple[Tensor | float, ...]
    context: Tensor
    extra: Extra | None


class Predictor:
    """Runs a network for entries by role. What does not change from step to step is made once."""

    def __init__(self, denoise: Denoise, roles: Mapping[str, Sequence[Condition]], inputs: Inputs = no_inputs) -> None:
        self._denoise, self._roles, self._inputs = denoise, roles, inputs
        self._ranged = not all(entry.always for entries in roles.values() for entry in entries)
        self._placed: dict[tuple[int, int], dict[str, tuple[Condition, ...]]] = {}
        self._plans: dict[tuple[object, ...], tuple[Batch, ...]] = {}

    def has(self, role: str) -> bool:
        """Whether there are entries of a role."""
        return bool(self._roles.get(role))

    def batches(self, x: Tensor, sigma: Tensor, roles: Sequence[str]) -> tuple[Batch, ...]:
        """The batches that the active entries of these roles run in."""
        height, width = x.shape[-2:]
        entries = self._placed.get((height, width))
        if entries is None:
            entries = self._placed[height, width] = _placed_roles(self._roles, height, width)
        wanted = [(role, entry) for role in roles for entry in entries[role]]
        if self._ranged:
            level = float(sigma[0])
            wanted = [(role, entry) for role, entry in wanted if entry.active(level)]
        key = (x.shape, *((role, id(entry)) for role, entry in wanted))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = tuple(self._batch(group, x) for group in alike(wanted, x))
        return plan

    def _batch(self, group: Sequence[tuple[str, Condition]], x: Tensor) -> Batch:
        entries = tuple(entry for _, entry in group)
        spread = tuple(entry.strength if entry.everywhere else weights(entry, x) for entry in entries)
        contexts = join_contexts([entry.context for entry in entries], len(x))
        return Batch(entries, tuple(role for role, _ in group), spread, contexts, self._inputs(entries, x))

    def predict(
        self, x: Tensor, sigma: Tensor, roles: Sequence[str], denoise: Denoise | None = None
    ) -> dict[str, Tensor]:
        """What each role sees behind the latent; an empty (zero) picture for a role of which no entry is active.

        denoise: another network than the predictor's own.
        """
        denoise = denoise or self._denoise
        parts: dict[str, list[tuple[Tensor, Condition, Tensor | float]]] = {role: [] for role in roles}
        for batch in self.batches(x, sigma, roles):
            count = len(batch.entries)
            if count > 1:
                latents = torch.cat([window(entry, x) for entry in batch.entries])
                found = denoise(latents, sigma.repeat(count), batch.context, batch.extra).chunk(count)
            else:
                found = (denoise(window(batch.entries[0], x), sigma, batch.context, batch.extra),)
            for role, part, entry, weight in zip(batch.roles, found, batch.entries, batch.weights, strict=True):
                parts[role].append((part, entry, weight))
        return {role: blended(found, x) for role, found in parts.items()}


def _placed_roles(
    roles: Mapping[str, Sequence[Condition]], height: int, width: int
) -> dict[str, tuple[Condition, ...]]:
    there = {role: [placed(entry, height, width) for entry in entries] for role, entries in roles.items()}
    return side_by_side({role: [entry for entry in entries if entry is not None] for role, entries in there.items()})


def alike(wanted: Sequence[tuple[str, Condition]], x: Tensor) -> list[list[tuple[str, Condition]]]:
    """Entries in groups that can run as one batch: windows of one size, the same controls, prompts that fit."""
    groups: dict[tuple[object, ...], list[list[tuple[str, Condition]]]] = {}
    for role, entry in wanted:
        size = entry.area[:2] if entry.area is not None else tuple(x.shape[-2:])
        # What steers has to know where it is.
        place = entry.area if entry.controls else None
        key = (size, place, tuple(id(control) for control in entry.controls), id(entry.gligen), entry.context.shape[-1])
        same = groups.setdefault(key, [])
        home = next((group for group in same if _fits(entry, [member for _, member in group])), None)
        if home is None:
            same.append([(role, entry)])
        else:
            home.append((role, entry))
    return [group for same in groups.values() for group in same]


def _fits(entry: Condition, group: Sequence[Condition]) -> bool:
    lengths = [entry.context.shape[1], *(member.context.shape[1] for member in group)]
    return math.lcm(*lengths) <= LONGEST * min(lengths)


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


Guide = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Tensor]
"""`guide(x, sigma, wanted, unwanted, cfg) -> denoised`: how two predictions are combined.

`unwanted` is None where `cfg` is 1 and nobody asked for it.
"""


def plain_guide(x: Tensor, sigma: Tensor, wanted: Tensor, unwanted: Tensor | None, cfg: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): unwanted + cfg * (wanted - unwanted)."""
    if unwanted is None or cfg == 1:
        return wanted
    return unwanted + (wanted - unwanted) * cfg


@dataclass(frozen=True, slots=True, eq=False)
class Guidance:
    """How the predictions of `roles` become one picture: `combine(x, sigma, predictions)`.

    unconditional: the role that stands for the picture without the prompt.
    """

    roles: tuple[str, ...]
    combine: Callable[[Tensor, Tensor, Mapping[str, Tensor]], Tensor]
    unconditional: str = "negative"


def by_scale(cfg: float, guide: Guide = plain_guide) -> Guidance:
    """Away from the negative prompt by a scale; at 1 the negative one cancels and is left out."""
    return Guidance(
        ("positive",) if cfg == 1 else ("positive", "negative"),
        lambda x, sigma, seen: guide(x, sigma, seen["positive"], seen.get("negative"), cfg),
    )


def by_two_scales(cfg: float, cfg_second: float, nested: bool = False, guide: Guide = plain_guide) -> Guidance:
    """Two prompts with a scale each, as models that follow instructions need it (Brooks et al. 2023, eq. 3).

    From the negative prompt to the second one by `cfg_second`, and on to the first one by `cfg`. nested: the first one
    is guided by `cfg` away from the second, and the result by `cfg_second` away from the negative one.
    """

    def combine(x: Tensor, sigma: Tensor, seen: Mapping[str, Tensor]) -> Tensor:
        first, second, negative = seen["positive"], seen["second"], seen["negative"]
        if nested:
            return negative + (guide(x, sigma, first, second, cfg) - negative) * cfg_second
        return guide(x, sigma, second, negative, cfg_second) + (first - second) * cfg

    return Guidance(("positive", "second", "negative"), combine)


def by_perpendicular(cfg: float, scale: float) -> Guidance:
    """Away from that part of the negative prompt that does not contradict the positive one (Armandpour et al. 2023).

    Both are seen from an empty prompt (role "empty"); of the negative one counts, by `scale`, what is perpendicular.
    """

    def combine(x: Tensor, sigma: Tensor, seen: Mapping[str, Tensor]) -> Tensor:
        empty = seen["empty"]
        wanted, unwanted = seen["positive"] - empty, seen["negative"] - empty
        dims = tuple(range(1, x.ndim))
        along = (unwanted * wanted).sum(dims, keepdim=True) / wanted.square().sum(dims, keepdim=True).clamp(min=1e-30)
        return empty + (wanted - (unwanted - along * wanted) * scale) * cfg

    return Guidance(("positive", "negative", "empty"), combine)


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One evaluation as an amendment sees it: predictions by role, the result so far, and how to predict more.

    watched: what the amendment's `watch` gave, filled by the network while it ran `batches`.
    """

    x: Tensor
    sigma: Tensor
    seen: Mapping[str, Tensor]
    denoised: Tensor
    predictor: Predictor
    batches: tuple[Batch, ...]
    watched: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class Amendment:
    """A change of the guided picture. needs: roles that are predicted for it, even where they cancel.

    Where there are no entries of such a role, nothing is changed. watch: entered while the network runs.
    """

    amend: Callable[[Moment], Tensor]
    needs: tuple[str, ...] = ()
    watch: Callable[[], AbstractContextManager[Any]] = nullcontext


class GuidedModel:
    """`model(x, sigma) -> denoised`, which also tells what it sees without the prompt."""

    def __init__(self, predictor: Predictor, guidance: Guidance, amendments: Sequence[Amendment] = ()) -> None:
        self._predictor, self._guidance = predictor, guidance
        self._amendments = tuple(each for each in amendments if all(predictor.has(role) for role in each.needs))
        needed = [role for amendment in self._amendments for role in amendment.needs]
        self._roles = tuple(dict.fromkeys((*guidance.roles, *needed)))

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The guided picture behind the latent x [B, C, h, w] at noise levels sigma [B]."""
        return self._evaluate(x, sigma, self._roles)[0]

    def both(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The guided picture, and the one without the prompt, which is evaluated for it even where it cancels."""
        role = self._guidance.unconditional
        if not self._predictor.has(role):
            role = "positive"
        denoised, seen = self._evaluate(x, sigma, tuple(dict.fromkeys((*self._roles, role))))
        return denoised, seen[role]

    def _evaluate(self, x: Tensor, sigma: Tensor, roles: tuple[str, ...]) -> tuple[Tensor, Mapping[str, Tensor]]:
        if not self._amendments:
            seen = self._predictor.predict(x, sigma, roles)
            return self._guidance.combine(x, sigma, seen), seen
        with ExitStack() as stack:
            watched = [stack.enter_context(amendment.watch()) for amendment in self._amendments]
            seen = self._predictor.predict(x, sigma, roles)
        denoised = self._guidance.combine(x, sigma, seen)
        batches = self._predictor.batches(x, sigma, roles)
        for amendment, found in zip(self._amendments, watched, strict=True):
            denoised = amendment.amend(Moment(x, sigma, seen, denoised, self._predictor, batches, found))
        return denoised, seen


def guided_denoiser(
    denoise: Denoise,
    positive: Sequence[Condition],
    negative: Sequence[Condition],
    cfg: float,
    inputs: Inputs = no_inputs,
) -> GuidedModel:
    """Classifier-free guidance by a positive and a negative conditioning.

    All entries that count at a noise level run in one batch, as far as they fit into one. At `cfg` 1 the negative ones
    are left out. Raises ValueError when there is nothing to be guided by.
    """
    if not positive or (cfg != 1 and not negative):
        raise ValueError("a conditioning needs at least one entry")
    return GuidedModel(Predictor(denoise, {"positive": positive, "negative": negative}, inputs), by_scale(cfg))
