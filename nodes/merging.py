"""Merging models: recipes of which one mixes the other's weights in. Nothing is read before a node needs the result."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, TypeVar

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Clip, Handle, Model
from nodegraph.sockets.handles import Patch, Scalar

AnyHandle = TypeVar("AnyHandle", bound=Handle)

Ratio = Annotated[float, Range(0, 1, step=0.01), Help("what the first model counts: 1 keeps it, 0 gives the second")]
Multiplier = Annotated[float, Range(-10, 10, step=0.01), Help("what the difference is multiplied by")]


@node(category="advanced/model_merging", numeric=False)
def ModelMergeSimple(model1: Model, model2: Model, ratio: Ratio = 1.0) -> Model:
    """Mix two models of one family: ratio · model1 + (1 - ratio) · model2."""
    return merged(model1, model2, "merge_simple", ratio=ratio)


@node(category="advanced/model_merging", numeric=False)
def ModelMergeBlocks(model1: Model, model2: Model, input: Ratio = 1.0, middle: Ratio = 1.0, out: Ratio = 1.0) -> Model:
    """Mix two models of one family by their blocks: before the middle, the middle, and after it."""
    return merged(model1, model2, "merge_blocks", input=input, middle=middle, out=out)


@node(category="advanced/model_merging", numeric=False)
def ModelMergeSubtract(model1: Model, model2: Model, multiplier: Multiplier = 1.0) -> Model:
    """The difference of two models, multiplier · (model1 - model2), to add to a third or to save as a LoRA."""
    return merged(model1, model2, "merge_subtract", multiplier=multiplier)


@node(category="advanced/model_merging", numeric=False)
def ModelMergeAdd(model1: Model, model2: Model) -> Model:
    """The sum of two models, of which the second usually is a difference (ModelMergeSubtract)."""
    return merged(model1, model2, "merge_add")


@node(category="advanced/model_merging", numeric=False)
def CLIPMergeSimple(clip1: Clip, clip2: Clip, ratio: Ratio = 1.0) -> Clip:
    """Mix two text encoders of one family: ratio · clip1 + (1 - ratio) · clip2."""
    return merged_clips(clip1, clip2, "merge_simple", ratio=ratio)


@node(category="advanced/model_merging", numeric=False)
def CLIPMergeSubtract(clip1: Clip, clip2: Clip, multiplier: Multiplier = 1.0) -> Clip:
    """The difference of two text encoders, multiplier · (clip1 - clip2)."""
    return merged_clips(clip1, clip2, "merge_subtract", multiplier=multiplier)


@node(category="advanced/model_merging", numeric=False)
def CLIPMergeAdd(clip1: Clip, clip2: Clip) -> Clip:
    """The sum of two text encoders, of which the second usually is a difference (CLIPMergeSubtract)."""
    return merged_clips(clip1, clip2, "merge_add")


def merged(handle: AnyHandle, other: Handle, kind: str, **settings: Scalar) -> AnyHandle:
    """A recipe with another model's weights mixed in; everything but the weights stays as the first one has it.

    A mix of which the other has no part is the first recipe itself.
    """
    if kind in ("merge_simple", "merge_blocks") and all(ratio == 1 for ratio in settings.values()):
        return handle
    patch = Patch(kind, other.weights, settings=tuple(settings.items()), payload=_weights_only(other))
    return replace(handle, patches=(*handle.patches, patch))


def merged_clips(clip: Clip, other: Clip, kind: str, **settings: Scalar) -> Clip:
    """Text encoders mixed one by one: the first with the first, the second with the second."""
    if (clip.second is None) != (other.second is None):
        raise ProblemError(
            Problem(
                code="bad_value",
                message="one of these has two text encoders and the other one",
                input="clip2",
                hint="merge text encoders of one family",
            )
        )
    pair = None if clip.second is None or other.second is None else merged(clip.second, other.second, kind, **settings)
    return replace(merged(clip, other, kind, **settings), second=pair)


def _weights_only(handle: Handle) -> Handle:
    """A recipe without what does not touch its weights, so that it is the same however it was going to be used."""
    plain = replace(handle, behaviours=())
    return replace(plain, second=None) if isinstance(plain, Clip) else plain
