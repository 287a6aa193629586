"""What a model handle's behaviours do: the network that they make of its module, and how they change guidance.

A behaviour is a `Patch` by its kind. Those that act inside the network are set on a clone, which the pool keeps; those
that act on guidance are composed for each sampling, in the order in which they were added to the model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from nodegraph.context import Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.sockets import LatentOperation, Model, Patch
from nodes.models import module_of
from nodes.noise_levels import sigmas_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nodes.diffusion.behaviours.differential import MaskCourse
    from nodes.diffusion.guidance import Amendment, Denoise, Guide
    from nodes.diffusion.sigmas import ModelSigmas


class Of(NamedTuple):
    """Which model a change is made for, and where."""

    model: Model
    context: Context


#: What a change inside a network does to a clone of it, given its settings; it returns what is to be used instead.
Change = Callable[["nn.Module", Patch, Of], "nn.Module"]


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """A clone with changes, and the module it was made of, which is kept so that nothing else takes its place."""

    base: nn.Module
    module: nn.Module


def network_of(model: Model, context: Context, extra: Sequence[Patch] = ()) -> nn.Module:
    """The network of a model on the context's device, with everything that its behaviours change in it.

    extra: more changes, for a network beside the model's own. The module is shared: nobody may write to it.
    """
    dtype = str(model.option("compute_dtype", "default"))
    base = module_of(model, context if dtype == "default" else replace(context, dtype=dtype))
    _check_known(model)
    changes = [patch for patch in (*model.behaviours, *extra) if patch.kind in CHANGES]
    if not changes:
        return base
    # A compiled network is changed no more.
    changes.sort(key=lambda patch: patch.kind == "compile")
    facts = [(patch.kind, patch.digest, patch.settings) for patch in changes]
    derived = context.pool.get(
        f"{model.weights}/{id(base)}/{facts}",
        lambda: Derived(base, _changed(base, changes, Of(model, context))),
        _pieces,
    )
    return derived.module


def _changed(base: nn.Module, changes: Sequence[Patch], of: Of) -> nn.Module:
    from nodes.diffusion.clones import structural_clone

    module = structural_clone(base)
    for patch in changes:
        try:
            module = CHANGES[patch.kind](module, patch, of)
        except ValueError as error:
            raise ProblemError(Problem(code="bad_value", message=f"{patch.kind}: {error}", input="model")) from error
        except RuntimeError as error:
            problem = compile_problem(error)
            if problem is None:
                raise
            raise problem from error
    return module


def _pieces(derived: Derived) -> Any:
    from nodes.diffusion.loading import module_pieces

    return module_pieces(derived.module)


def _free_u(unet: nn.Module, patch: Patch, of: Of) -> nn.Module:
    from nodes.diffusion.behaviours.freeu import free_u

    scales = [float(patch.setting(name, 1.0)) for name in ("b1", "b2", "s1", "s2")]
    free_u(unet, *scales, by_structure=bool(patch.setting("by_structure", False)))
    return unet


def _hyper_tile(unet: nn.Module, patch: Patch, of: Of) -> nn.Module:
    from nodes.diffusion.behaviours.tiles import hyper_tile

    sizes = [int(patch.setting(name, 0)) for name in ("tile_size", "swap_size", "max_depth")]
    hyper_tile(unet, *sizes, scale_depth=bool(patch.setting("scale_depth", False)))
    return unet


def _merge_tokens(unet: nn.Module, patch: Patch, of: Of) -> nn.Module:
    from nodes.diffusion.behaviours.token_merging import merge_tokens

    merge_tokens(unet, float(patch.setting("ratio", 0.0)))
    return unet


def _watchable(unet: nn.Module, patch: Patch, of: Of) -> nn.Module:
    from nodes.diffusion.behaviours.attention_guidance import watchable

    watchable(unet)
    return unet


def _perturb(unet: nn.Module, patch: Patch, of: Of) -> nn.Module:
    from nodes.diffusion.behaviours.attention_guidance import perturb

    perturb(unet)
    return unet


def _compile(unet: nn.Module, patch: Patch, of: Of) -> nn.Module:
    import torch

    return torch.compile(unet, backend=str(patch.setting("backend", "inductor")))  # type: ignore[return-value]


def _show_pictures(unet: nn.Module, patch: Patch, of: Of) -> nn.Module:
    from nodes.ip_adapter import install_ip_adapter

    install_ip_adapter(unet, patch, of.context, sigmas=sigmas_of(of.model))
    return unet


def compile_problem(error: RuntimeError) -> ProblemError | None:
    """What to tell if a network could not be compiled, which shows when it first runs; None for another error."""
    if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return None
    from nodes.diffusion.loading import first_line

    message = f"the model cannot be compiled on this machine: {first_line(error)}"
    return ProblemError(
        Problem(code="node_failed", message=message, input="model", hint="leave TorchCompileModel out of the workflow")
    )


#: Kinds of behaviour that act inside the network.
CHANGES: dict[str, Change] = {
    "freeu": _free_u,
    "hypertile": _hyper_tile,
    "tome": _merge_tokens,
    "self_attention_guidance": _watchable,
    "perturbed": _perturb,
    "ip_adapter": _show_pictures,
    "compile": _compile,
}
#: Kinds that act on guidance.
GUIDES = ("rescale_cfg", "cfg_zero_star", "cfg_norm", "latent_operation_cfg")
AMENDMENTS = ("perturbed_attention_guidance", "self_attention_guidance")
OTHERS = ("perp_neg", "differential_diffusion")


def _check_known(model: Model) -> None:
    known = {*CHANGES, *GUIDES, *AMENDMENTS, *OTHERS}
    for patch in model.behaviours:
        if patch.kind not in known:
            message = f"nobody here knows how to change a model by '{patch.kind}'"
            raise ProblemError(Problem(code="bad_value", message=message, input="model"))


def guide_of(model: Model) -> Guide:
    """How the model's behaviours combine a wanted and an unwanted prediction."""
    from nodes.diffusion.behaviours import guides
    from nodes.diffusion.guidance import plain_guide

    guide: Guide = plain_guide
    for patch in model.behaviours:
        if patch.kind == "rescale_cfg":
            guide = guides.rescaled(guide, float(patch.setting("multiplier", 0.0)))
        elif patch.kind == "cfg_zero_star":
            guide = guides.zero_star(guide)
        elif patch.kind == "cfg_norm":
            guide = guides.normed(guide, float(patch.setting("strength", 1.0)))
        elif patch.kind == "latent_operation_cfg" and isinstance(patch.payload, LatentOperation):
            guide = guides.operated(guide, _operation(patch.payload))
    return guide


def _operation(operation: LatentOperation) -> Callable[[Tensor], Tensor]:
    from nodes.diffusion.latent_operations import apply_operation

    return partial(apply_operation, operation.kind, dict(operation.settings))


def amendments_of(model: Model, context: Context, denoiser: Callable[[nn.Module], Denoise]) -> list[Amendment]:
    """How the model's behaviours change the guided picture. denoiser: adapts another network to the model's noise."""
    from nodes.diffusion.behaviours import attention_guidance

    found: list[Amendment] = []
    for patch in model.behaviours:
        scale = float(patch.setting("scale", 0.0))
        if patch.kind == "perturbed_attention_guidance":
            perturbed = network_of(model, context, [Patch("perturbed")])
            found.append(attention_guidance.perturbed_attention(denoiser(perturbed), scale))
        elif patch.kind == "self_attention_guidance":
            sigma = float(patch.setting("blur_sigma", 0.0))
            found.append(attention_guidance.self_attention_guidance(scale, sigma))
    return found


def mask_course_of(model: Model, model_sigmas: ModelSigmas, sigmas: Tensor) -> MaskCourse | None:
    """How the model's behaviours let a noise mask change on the way through `sigmas`."""
    from nodes.diffusion.behaviours.differential import differential

    last = _last(model, "differential_diffusion")
    if last is None or len(sigmas) < 2:
        return None
    return differential(model_sigmas, sigmas, float(last.setting("strength", 1.0)))


def perp_neg_of(model: Model) -> Patch | None:
    """The model's perpendicular negative guidance; its payload is the empty prompt."""
    return _last(model, "perp_neg")


def _last(model: Model, kind: str) -> Patch | None:
    return next((patch for patch in reversed(model.behaviours) if patch.kind == kind), None)
