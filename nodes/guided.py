"""Guided sampling: one way from a guider, a sampler, noise levels and noise to a latent, for every sampling node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from nodegraph.context import Context
from nodegraph.errors import Problem, ProblemError, did_you_mean
from nodegraph.sockets import Conditioning, Guider, Latent, Model, Sampler
from nodegraph.sockets.codecs import digest as digest_of
from nodes.behaviours import amendments_of, compile_problem, guide_of, mask_course_of, network_of, perp_neg_of
from nodes.fit import check_fit
from nodes.models import latent_scale_of
from nodes.noise_levels import prediction_of, sigmas_of
from nodes.previews import step_reporter
from nodes.single_files import picture_statistics

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nodes.diffusion.conditions import Condition
    from nodes.diffusion.control import ControlRunner
    from nodes.diffusion.control_residuals import Residuals
    from nodes.diffusion.guidance import Denoise, Guidance, GuidedModel
    from nodes.diffusion.samplers import Step
    from nodes.diffusion.sigmas import ModelSigmas
    from nodes.diffusion.unet_inputs import BoxRunner, Scene

T = TypeVar("T")


class Sampled(NamedTuple):
    """Where a sampling ended, and the picture that the model saw behind its last step."""

    output: Latent
    denoised: Latent


def by_cfg(model: Model, positive: Conditioning, negative: Conditioning, cfg: float) -> Guider:
    """A guider with a positive and a negative prompt."""
    return Guider("cfg", model, (("positive", positive), ("negative", negative)), (("cfg", cfg),))


def seeded_noise(seed: int, latent: Latent) -> Tensor:
    """The noise of a seed for a latent. Raises ProblemError for a batch_index that does not fit the batch."""
    from nodes.diffusion.noise import noise_for_batch

    try:
        return noise_for_batch(seed, latent["samples"].shape, latent.get("batch_index"))
    except ValueError as error:
        raise ProblemError(Problem(code="bad_value", message=str(error), input="latent_image")) from error


def sample_guided(
    guider: Guider,
    sampler: Sampler,
    sigmas: Tensor,
    noise: Tensor | None,
    latent_image: Latent,
    context: Context,
    *,
    seed: int,
    conditionings_from: str | None = None,
) -> Sampled:
    """Take a latent through `sigmas`, guided; report each step, and go on where an earlier run stopped.

    noise: standard normal, of the latent's shape; None to add none. seed: for what a sampler draws on its way.
    conditionings_from: the input that they came by, if not each by one of its role's name. Raises ProblemError.
    """
    import torch

    from nodes.diffusion.sampling import latent_mask, sample_latent
    from nodes.diffusion.unet_inputs import Scene

    model = guider.model
    _check_sampler(sampler)
    options: dict[str, Any] = dict(sampler.options)
    levels, scale = sigmas_of(model), latent_scale_of(model)
    last: list[Tensor] = []
    report = step_reporter(model, context)

    def callback(step: Step) -> None:
        last[:] = [step.denoised]
        report(step)

    with torch.no_grad(), _telling():
        unet = network_of(model, context)
        check_fit(unet, latent_image, guidance_of(guider)[0], conditionings_from)
        samples = latent_image["samples"].to(next(unet.parameters()).device)
        picture, noise_mask = samples.float() * scale, latent_image.get("noise_mask")
        mask = None if noise_mask is None else latent_mask(noise_mask, picture)
        drawn = sample_latent(
            guided_model(guider, unet, levels, Scene(picture, mask, scale, seed), context),
            samples,
            sigmas,
            noise=torch.zeros_like(samples) if noise is None else noise,
            sampler=sampler.name,
            sigma_max=levels.sigma_max,
            seed=seed,
            noise_mask=noise_mask,
            mask_course=mask_course_of(model, levels, sigmas),
            latent_scale=scale,
            callback=callback,
            keeper=context.checkpoint,
            **options,
        )
    denoised = last[0] / scale if last else drawn
    return Sampled(
        {**latent_image, "samples": drawn.float().cpu()}, {**latent_image, "samples": denoised.float().cpu()}
    )


@contextmanager
def _telling() -> Iterator[None]:
    """What goes wrong in a sampling by a user's choice is told as a problem."""
    from nodes.diffusion.sampling import NonFiniteLatent, UnusableSigmas
    from nodes.diffusion.unet_inputs import Misfit

    try:
        yield
    except UnusableSigmas as error:
        raise ProblemError(Problem(code="bad_value", message=str(error), input="sigmas")) from error
    except NonFiniteLatent as error:
        hint = "try another sampler or a lower cfg; on a GPU, --dtype fp32"
        raise ProblemError(Problem(code="not_finite", message=str(error), hint=hint)) from error
    except Misfit as error:
        raise _misfit(error) from error
    except RuntimeError as error:
        problem = compile_problem(error)
        if problem is None:
            raise
        raise problem from error


def guided_model(guider: Guider, unet: nn.Module, levels: ModelSigmas, scene: Scene, context: Context) -> GuidedModel:
    """The guider's model, as samplers call it."""
    from nodes.diffusion.denoiser import unet_denoiser
    from nodes.diffusion.guidance import GuidedModel, Predictor
    from nodes.diffusion.unet_inputs import unet_inputs

    model = guider.model
    prediction, sigma_data = prediction_of(model), float(model.option("sigma_data", 1.0))

    def denoiser(network: nn.Module) -> Denoise:
        return unet_denoiser(network, levels, prediction, sigma_data)

    roles, guidance = guidance_of(guider)
    predictor = Predictor(
        denoiser(unet),
        read_conditions(roles, unet, levels, (scene.latent.shape[-2], scene.latent.shape[-1]), context),
        unet_inputs(unet, scene, picture_statistics(model, context)),
    )
    return GuidedModel(predictor, guidance, amendments_of(model, context, denoiser))


def guidance_of(guider: Guider) -> tuple[dict[str, Conditioning], Guidance]:
    """The conditionings of a guider by role, and how their predictions are combined."""
    from nodes.diffusion import guidance

    roles, settings = dict(guider.conditionings), dict(guider.settings)
    cfg = float(settings.get("cfg", 1.0))
    perpendicular = perp_neg_of(guider.model)
    if guider.kind == "perp_neg":
        return roles, guidance.by_perpendicular(cfg, float(settings.get("neg_scale", 1.0)))
    if guider.kind == "cfg" and perpendicular is not None:
        empty: Any = perpendicular.payload
        scale = float(perpendicular.setting("neg_scale", 1.0))
        return roles | {"empty": empty}, guidance.by_perpendicular(cfg, scale)
    guide = guide_of(guider.model)
    if guider.kind == "dual_cfg":
        second, nested = float(settings.get("cfg_second", 1.0)), settings.get("style") == "nested"
        return roles, guidance.by_two_scales(cfg, second, nested, guide)
    return roles, guidance.by_scale(cfg, guide)


def read_conditions(
    roles: Mapping[str, Conditioning],
    unet: nn.Module,
    levels: ModelSigmas,
    size: tuple[int, int],
    context: Context,
) -> dict[str, tuple[Condition, ...]]:
    """The entries of conditionings for this network, and the networks that steer it made ready, each once, in its
    number format.

    size: height and width of the latent.
    """
    from nodes.diffusion.conditions import conditions
    from nodes.diffusion.devices import dtype_name

    parameter = next(unet.parameters())
    beside = replace(context, dtype=dtype_name(parameter.dtype))
    ready: dict[bytes, Any] = {}

    def once(value: Any, make: Callable[[], Any]) -> Any:
        key = digest_of(value)
        if key not in ready:
            ready[key] = make()
        return ready[key]

    def steered(control: Any) -> Any:
        from nodes.control import control_runner

        return once(control, lambda: Steered(control_runner(control, beside, sigmas=levels, size=size)))

    def boxed(gligen: Any) -> Any:
        from nodes.control import gligen_runner

        return once(gligen, lambda: Boxed(gligen_runner(gligen, beside, size=size)))

    place: dict[str, Any] = {"device": parameter.device, "dtype": parameter.dtype}
    return {
        role: conditions(conditioning, levels, **place, role=role, steered=steered, boxed=boxed)
        for role, conditioning in roles.items()
    }


@dataclass(frozen=True, slots=True, eq=False)
class Steered:
    """A network that steers, which tells as a problem that it was made for models of another family."""

    runner: ControlRunner

    def residuals(self, *args: Any, **kwargs: Any) -> Residuals | None:
        return _fitting(lambda: self.runner.residuals(*args, **kwargs))


@dataclass(frozen=True, slots=True, eq=False)
class Boxed:
    """The same for what puts things into boxes."""

    runner: BoxRunner

    def attached(self, unet: nn.Module) -> nn.Module:
        return _fitting(lambda: self.runner.attached(unet))

    def arguments(self, rows: int, height: int, width: int) -> dict[str, Any]:
        return self.runner.arguments(rows, height, width)


def _fitting(run: Callable[[], T]) -> T:
    try:
        return run()
    except ValueError as error:
        raise _misfit(error) from error


def _misfit(error: ValueError) -> ProblemError:
    hint = "take networks that steer and were made for this kind of model"
    return ProblemError(Problem(code="bad_value", message=str(error), hint=hint))


def _check_sampler(sampler: Sampler) -> None:
    from nodes.diffusion.samplers import SAMPLERS

    if sampler.name not in SAMPLERS:
        message = f"there is no sampler called '{sampler.name}'"
        hint = did_you_mean(sampler.name, SAMPLERS)
        raise ProblemError(Problem(code="bad_value", message=message, input="sampler", got=sampler.name, hint=hint))
