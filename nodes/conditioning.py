"""Conditionings: joining them, and saying where and when they count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Conditioning, Mask

if TYPE_CHECKING:
    from torch import Tensor

Strength = Annotated[float, Range(0, 10, step=0.01), Help("how much it counts beside others that cover the same place")]
Pixels = Annotated[int, Range(64, 16384, step=8)]
Offset = Annotated[int, Range(0, 16384, step=8)]
Share = Annotated[float, Range(0, 1, step=0.01)]
Part = Annotated[float, Range(0, 1, step=0.001), Help("0 is pure noise, 1 the finished picture")]


def with_options(conditioning: Conditioning, **options: Any) -> Conditioning:
    """The same prompts with options set."""
    return Conditioning([(context, {**known, **options}) for context, known in conditioning])


@node(category="conditioning", display_name="Conditioning (Combine)", numeric=False)
def ConditioningCombine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """Let two conditionings guide together: the model looks at each, and what it sees is averaged.

    With areas or masks each of them counts in its own part of the picture.
    """
    return Conditioning([*conditioning_1, *conditioning_2])


@node(category="conditioning", display_name="Conditioning (Concat)", numeric=False)
def ConditioningConcat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """Put one prompt behind another, as if they were one long prompt encoded in parts."""
    import torch

    behind = _first(conditioning_from, "conditioning_from")[0]
    joined: list[tuple[Tensor, dict[str, Any]]] = []
    for context, options in conditioning_to:
        _check_width(context, behind)
        rows = max(len(context), len(behind))
        joined.append((torch.cat([_rows(context, rows), _rows(behind, rows)], dim=1), dict(options)))
    return Conditioning(joined)


@node(category="conditioning", display_name="Conditioning (Average)")
def ConditioningAverage(
    conditioning_to: Conditioning,
    conditioning_from: Conditioning,
    conditioning_to_strength: Annotated[float, Range(0, 1, step=0.01)] = 1.0,
) -> Conditioning:
    """Mix the encodings of two prompts, which looks like something between them.

    At a strength of 1 only `conditioning_to` is left, at 0 only `conditioning_from` (the first of its prompts).
    """
    share = conditioning_to_strength
    source, source_options = _first(conditioning_from, "conditioning_from")
    mixed: list[tuple[Tensor, dict[str, Any]]] = []
    for context, options in conditioning_to:
        _check_width(context, source)
        options = dict(options)
        pooled, other = options.get("pooled_output"), source_options.get("pooled_output")
        if other is not None:
            options["pooled_output"] = other if pooled is None else pooled * share + other * (1 - share)
        mixed.append((context * share + _of_length(source, context.shape[1]) * (1 - share), options))
    return Conditioning(mixed)


@node(category="advanced/conditioning", numeric=False)
def ConditioningZeroOut(conditioning: Conditioning) -> Conditioning:
    """Replace a prompt's encoding by zeros, which some models take for no prompt at all."""
    import torch

    zeroed: list[tuple[Tensor, dict[str, Any]]] = []
    for context, options in conditioning:
        options = dict(options)
        if options.get("pooled_output") is not None:
            options["pooled_output"] = torch.zeros_like(options["pooled_output"])
        zeroed.append((torch.zeros_like(context), options))
    return Conditioning(zeroed)


@node(category="conditioning", display_name="Conditioning (Set Area)", numeric=False)
def ConditioningSetArea(
    conditioning: Conditioning,
    width: Pixels = 64,
    height: Pixels = 64,
    x: Offset = 0,
    y: Offset = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Let a prompt count in one part of the picture only, given in pixels of the picture.

    The model draws that part by itself, and it fades into the rest at its borders.
    """
    area = (height // 8, width // 8, y // 8, x // 8)
    return with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node(category="conditioning", display_name="Conditioning (Set Area with Percentage)", numeric=False)
def ConditioningSetAreaPercentage(
    conditioning: Conditioning,
    width: Share = 1.0,
    height: Share = 1.0,
    x: Share = 0.0,
    y: Share = 0.0,
    strength: Strength = 1.0,
) -> Conditioning:
    """Let a prompt count in one part of the picture only, given in parts of the picture: 0.5 is half of it."""
    area = ("percentage", height, width, y, x)
    return with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node(category="conditioning", numeric=False)
def ConditioningSetAreaStrength(conditioning: Conditioning, strength: Strength = 1.0) -> Conditioning:
    """Set how much a prompt counts beside others that cover the same place."""
    return with_options(conditioning, strength=strength)


@node(category="conditioning", display_name="Conditioning (Set Mask)", numeric=False)
def ConditioningSetMask(
    conditioning: Conditioning,
    mask: Mask,
    strength: Strength = 1.0,
    set_cond_area: Annotated[
        Literal["default", "mask bounds"], Help("mask bounds: the model looks at that part of the picture alone")
    ] = "default",
) -> Conditioning:
    """Let a prompt count where a mask is, and as much as it is there."""
    mask = Mask(mask[None]) if mask.ndim == 2 else mask
    to_bounds = set_cond_area == "mask bounds"
    return with_options(conditioning, mask=mask, set_area_to_bounds=to_bounds, mask_strength=strength)


@node(category="advanced/conditioning", numeric=False)
def ConditioningSetTimestepRange(conditioning: Conditioning, start: Part = 0.0, end: Part = 1.0) -> Conditioning:
    """Let a prompt count during a part of the sampling only."""
    return with_options(conditioning, start_percent=start, end_percent=end)


def _first(conditioning: Conditioning, name: str) -> tuple[Tensor, dict[str, Any]]:
    if not conditioning:
        raise ProblemError(Problem(code="bad_value", message="this conditioning is empty", input=name))
    return conditioning[0]


def _check_width(one: Tensor, other: Tensor) -> None:
    if one.shape[-1] != other.shape[-1]:
        message = f"prompts of width {one.shape[-1]} and {other.shape[-1]} do not go together"
        hint = "encode both with the text encoder of one checkpoint"
        raise ProblemError(Problem(code="bad_value", message=message, input="conditioning_from", hint=hint))


def _rows(context: Tensor, rows: int) -> Tensor:
    return context.repeat(-(-rows // len(context)), 1, 1)[:rows]


def _of_length(context: Tensor, length: int) -> Tensor:
    """[B, length, D]: cut, or with zeros behind it."""
    import torch

    missing = length - context.shape[1]
    return context[:, :length] if missing <= 0 else torch.nn.functional.pad(context, (0, 0, 0, missing))
