"""Changes of how prompts guide a model."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from nodegraph.node import Help, Range, node
from nodegraph.sockets import Conditioning, Guider, LatentOperation, Model, Patch
from nodegraph.sockets.codecs import digest
from nodes.sampling import Cfg

NegativeScale = Annotated[float, Range(0, 100, step=0.01), Help("how much the negative prompt counts")]


class PatchedModel(NamedTuple):
    """A model with a change."""

    patched_model: Model


@node(category="advanced/model", light=True, numeric=False)
def RescaleCFG(model: Model, multiplier: Annotated[float, Range(0, 1, step=0.01)] = 0.7) -> Model:
    """Keep a high cfg from burning the picture: bring it back to the contrast without it (Lin et al. 2023).

    0 changes nothing.
    """
    return model if multiplier == 0 else model.behaving(Patch("rescale_cfg", settings=(("multiplier", multiplier),)))


@node(category="advanced/guidance", light=True, numeric=False)
def CFGZeroStar(model: Model) -> PatchedModel:
    """Scale the negative prediction to fit the positive one before guiding away from it (Fan et al. 2025)."""
    return PatchedModel(model.behaving(Patch("cfg_zero_star")))


@node(category="advanced/guidance", light=True, numeric=False)
def CFGNorm(model: Model, strength: Annotated[float, Range(0, 100, step=0.01)] = 1.0) -> PatchedModel:
    """Keep guidance from making any place stronger than the positive prompt alone makes it."""
    return PatchedModel(model.behaving(Patch("cfg_norm", settings=(("strength", strength),))))


@node(category="_for_testing", display_name="Perp-Neg (deprecated: use PerpNegGuider)", numeric=False, deprecated=True)
def PerpNeg(model: Model, empty_conditioning: Conditioning, neg_scale: NegativeScale = 1.0) -> Model:
    """Guide away only from what the negative prompt does not share with the positive one (Armandpour et al. 2023)."""
    settings = (("neg_scale", neg_scale),)
    return model.behaving(Patch("perp_neg", digest(empty_conditioning).hex(), "", settings, empty_conditioning))


@node(category="_for_testing", numeric=False)
def PerpNegGuider(
    model: Model,
    positive: Conditioning,
    negative: Conditioning,
    empty_conditioning: Conditioning,
    cfg: Cfg = 8.0,
    neg_scale: NegativeScale = 1.0,
) -> Guider:
    """Guide away only from what the negative prompt does not share with the positive one (Armandpour et al. 2023).

    empty_conditioning: an empty prompt, from which both are seen.
    """
    roles = (("positive", positive), ("negative", negative), ("empty", empty_conditioning))
    return Guider("perp_neg", model, roles, (("cfg", cfg), ("neg_scale", neg_scale)))


@node(category="latent/advanced/operations", light=True, numeric=False)
def LatentApplyOperationCFG(model: Model, operation: LatentOperation) -> Model:
    """Apply an operation on latents, at every step, to what the prompt adds to the picture."""
    return model.behaving(Patch("latent_operation_cfg", operation.digest, payload=operation))


@node(category="_for_testing", display_name="Differential Diffusion", light=True, numeric=False)
def DifferentialDiffusion(
    model: Model,
    strength: Annotated[float, Range(0, 1, step=0.01), Help("0 takes the mask as it is")] = 1.0,
) -> Model:
    """Let a noise mask say how much each place may change, not only where (Levin and Fried 2023)."""
    if strength == 0:
        return model
    return model.behaving(Patch("differential_diffusion", settings=(("strength", strength),)))
