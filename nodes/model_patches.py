"""Changes of what happens inside a model's network. The model's weights stay as they are."""

from __future__ import annotations

from typing import Annotated, Literal

from nodegraph.node import Help, Range, node
from nodegraph.sockets import Model, Patch

Scale = Annotated[float, Range(0, 10, step=0.01)]


@node(category="model_patches/unet", light=True, numeric=False)
def FreeU(model: Model, b1: Scale = 1.1, b2: Scale = 1.2, s1: Scale = 0.9, s2: Scale = 0.2) -> Model:
    """Weigh a UNet's backbone (b1, b2) and its skip connections (s1, s2), for cleaner structure (Si et al. 2023).

    All 1 changes nothing.
    """
    return _free_u(model, b1, b2, s1, s2, False)


@node(category="model_patches/unet", light=True, numeric=False)
def FreeU_V2(model: Model, b1: Scale = 1.3, b2: Scale = 1.4, s1: Scale = 0.9, s2: Scale = 0.2) -> Model:
    """The second version of FreeU: the backbone is strengthened where there is much to see. All 1 changes nothing."""
    return _free_u(model, b1, b2, s1, s2, True)


def _free_u(model: Model, b1: float, b2: float, s1: float, s2: float, by_structure: bool) -> Model:
    if b1 == b2 == s1 == s2 == 1:
        return model
    settings = (("b1", b1), ("b2", b2), ("s1", s1), ("s2", s2), ("by_structure", by_structure))
    return model.behaving(Patch("freeu", settings=settings))


@node(category="model_patches/unet", light=True, numeric=False)
def PerturbedAttentionGuidance(model: Model, scale: Annotated[float, Range(0, 100, step=0.01)] = 3.0) -> Model:
    """Guide away from what the model sees when the attention in its middle is switched off (Ahn et al. 2024).

    Costs one more evaluation per step. 0 changes nothing.
    """
    return model if scale == 0 else model.behaving(Patch("perturbed_attention_guidance", settings=(("scale", scale),)))


@node(category="_for_testing", display_name="Self-Attention Guidance", light=True, numeric=False)
def SelfAttentionGuidance(
    model: Model,
    scale: Annotated[float, Range(-2, 5, step=0.01)] = 0.5,
    blur_sigma: Annotated[float, Range(0, 10, step=0.1)] = 2.0,
) -> Model:
    """Guide away from what the model sees when the places it attends to are blurred (Hong et al. 2023).

    Costs one more evaluation per step, and needs a negative prompt. A scale of 0 changes nothing.
    """
    if scale == 0:
        return model
    settings = (("scale", scale), ("blur_sigma", blur_sigma))
    return model.behaving(Patch("self_attention_guidance", settings=settings))


@node(category="model_patches/unet", light=True, numeric=False)
def HyperTile(
    model: Model,
    tile_size: Annotated[int, Range(1, 2048), Help("the least side of a tile, in pixels")] = 256,
    swap_size: Annotated[int, Range(1, 128), Help("of how many tile sizes one is taken at each step")] = 2,
    max_depth: Annotated[int, Range(0, 10), Help("the last level of the UNet that works in tiles")] = 0,
    scale_depth: bool = False,
) -> Model:
    """Let a model look at large pictures in tiles where it would compare each place with all others: faster."""
    settings = (
        ("tile_size", tile_size), ("swap_size", swap_size), ("max_depth", max_depth), ("scale_depth", scale_depth),
    )  # fmt: skip
    return model.behaving(Patch("hypertile", settings=settings))


@node(category="model_patches/unet", light=True, numeric=False)
def TomePatchModel(model: Model, ratio: Annotated[float, Range(0, 1, step=0.01)] = 0.3) -> Model:
    """Let a model treat places that look alike as one: faster, with less detail (Bolya and Hoffman 2023).

    ratio: the share of places that is merged; three quarters is the most. 0 changes nothing.
    """
    return model if ratio == 0 else model.behaving(Patch("tome", settings=(("ratio", ratio),)))


@node(category="_for_testing", light=True, numeric=False)
def TorchCompileModel(model: Model, backend: Literal["inductor", "cudagraphs"] = "inductor") -> Model:
    """Compile a model's network when it is first used, which takes a while and makes each step faster on a GPU."""
    return model.behaving(Patch("compile", settings=(("backend", backend),)))
