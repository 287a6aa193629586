"""From a latent, a model and a seed to the finished latent: what the KSampler nodes do.

Latents come and go as raw VAE latents [B, C, H/8, W/8]; the samplers work on them times `latent_scale`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.behaviours.differential import MaskCourse
from nodes.diffusion.noise import StepNoise, ancestral_noise, brownian_noise, noise_for_batch
from nodes.diffusion.resume import Keeper, fingerprint, keeping, resume
from nodes.diffusion.samplers import BEGINNING, SAMPLERS, Callback, Model, NoiseKind, Step
from nodes.diffusion.samplers.common import GuidedModel, both_of, ignore, knowing
from nodes.diffusion.schedules import schedule
from nodes.diffusion.sigmas import ModelSigmas

SD15_LATENT_SCALE = 0.18215


class UnusableSigmas(ValueError):
    """Noise levels that no sampler can take: not finite, or not above 0 before the last one."""


class NonFiniteLatent(ArithmeticError):
    """The model gave NaN or infinity. `step` counts from 0, of `steps`."""

    def __init__(self, step: int, steps: int) -> None:
        super().__init__(f"the latent has NaN or infinite values after step {step + 1} of {steps}")
        self.step = step
        self.steps = steps


def slice_steps(sigmas: Tensor, start: int, end: int | None, force_full_denoise: bool) -> Tensor:
    """The sigmas of a schedule's steps `start` to `end` (not included); none when `start` lies behind it.

    `force_full_denoise` lets the last of these steps go to 0, where it would else leave noise for a later
    stage.
    """
    if end is not None and end < len(sigmas) - 1:
        sigmas = sigmas[: end + 1].clone()
        if force_full_denoise:
            sigmas[-1:] = 0
    return sigmas[start:] if start < len(sigmas) - 1 else sigmas[:0]


def add_noise(latent: Tensor, noise: Tensor, sigma: float, sigma_max: float) -> Tensor:
    """The latent at noise level `sigma`.

    At the model's highest level the noise is scaled by sqrt(1 + sigma^2), the standard deviation of what
    the model was trained on there, since the picture adds nothing that could be told from noise.
    """
    at_the_top = sigma > sigma_max or math.isclose(sigma, sigma_max, rel_tol=1e-5)
    return latent + noise * (math.sqrt(1 + sigma**2) if at_the_top else sigma)


def latent_mask(mask: Tensor, latent: Tensor) -> Tensor:
    """A mask [H, W], [B, H, W] or [B, 1, H, W] of any size as [B, 1, h, w] for the latent [B, C, h, w].

    1 is where to draw, 0 what to keep. Resized bilinearly; masks are repeated over a larger batch.
    """
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).to(latent.device, latent.dtype)
    mask = functional.interpolate(mask, size=latent.shape[-2:], mode="bilinear")
    copies = -(-latent.shape[0] // mask.shape[0])
    return mask.repeat(copies, 1, 1, 1)[: latent.shape[0]]


def masked_model(
    model: Model, mask: Tensor, latent: Tensor, noise: Tensor, course: MaskCourse | None = None
) -> GuidedModel:
    """A model that keeps `latent` where `mask` is 0: it sees it at the right noise level, and gives it back.

    All tensors are in sampling space (Lugmayr et al. 2022, RePaint, without its resampling). course: what the mask is
    at a noise level, if it changes on the way.
    """
    return _Masked(model, mask, latent, noise, course)


@dataclass(frozen=True, slots=True, eq=False)
class _Masked:
    model: Model
    mask: Tensor
    latent: Tensor
    noise: Tensor
    course: MaskCourse | None

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        mask = self._mask(sigma)
        return self._kept(self.model(self._seen(x, sigma, mask), sigma), mask)

    def both(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        mask = self._mask(sigma)
        denoised, unconditional = both_of(self.model, self._seen(x, sigma, mask), sigma)
        return self._kept(denoised, mask), self._kept(unconditional, mask)

    def _mask(self, sigma: Tensor) -> Tensor:
        return self.mask if self.course is None else self.course(self.mask, float(sigma[0]))

    def _seen(self, x: Tensor, sigma: Tensor, mask: Tensor) -> Tensor:
        level = sigma.view(-1, *[1] * (x.ndim - 1))
        return x * mask + (self.latent + self.noise * level) * (1 - mask)

    def _kept(self, denoised: Tensor, mask: Tensor) -> Tensor:
        return denoised * mask + self.latent * (1 - mask)


def step_noise(
    kind: NoiseKind, x: Tensor, sigmas: Tensor, seed: int, *, independent: bool = False, on_device: bool = False
) -> StepNoise | None:
    """The noise that a sampler of this kind draws on its way through `sigmas`.

    `on_device` draws a Brownian path where the latent is; on a CPU that is no difference.
    """
    if kind == "ancestral":
        return ancestral_noise(seed, x, independent=independent)
    if kind == "brownian":
        return brownian_noise(x, float(sigmas[sigmas > 0].min()), float(sigmas.max()), seed, on_device=on_device)
    return None


def check_sigmas(sigmas: Tensor) -> None:
    """Raise UnusableSigmas for noise levels that are not finite, or not above 0 (the last one may be 0)."""
    if not torch.isfinite(sigmas).all() or (sigmas[:-1] <= 0).any() or (sigmas[-1:] < 0).any():
        shown = ", ".join(f"{sigma:.6g}" for sigma in sigmas[:12].tolist()) + (", …" if len(sigmas) > 12 else "")
        raise UnusableSigmas(f"noise levels must be above 0, the last one may be 0; these are {shown}")


def _checked(callback: Callback) -> Callback:
    """The callback, after a look at whether the numbers are still numbers."""

    def check(step: Step) -> None:
        seen = (step.denoised,) if step.unconditional is None else (step.denoised, step.unconditional)
        if not all(torch.isfinite(tensor).all() for tensor in seen):
            raise NonFiniteLatent(step.i, step.n)
        callback(step)

    return check


def sample_latent(
    model: Model,
    latent: Tensor,
    sigmas: Tensor,
    *,
    noise: Tensor,
    sampler: str,
    sigma_max: float,
    seed: int = 0,
    noise_mask: Tensor | None = None,
    mask_course: MaskCourse | None = None,
    latent_scale: float = SD15_LATENT_SCALE,
    independent_noise: bool = False,
    callback: Callback | None = None,
    keeper: Keeper | None = None,
    **options: Any,
) -> Tensor:
    """Take a raw latent through `sigmas` with one of SAMPLERS; the result is a raw latent too, in float32.

    `noise` [B, C, h, w] (zeros to add none) is scaled to sigmas[0]. `mask_course` changes the noise mask on the way.
    The callback sees sampling space. With a `keeper` the state is kept on the way, and one that the same sampling left
    there is gone on from. `options` are the sampler's own.
    Raises UnusableSigmas, NonFiniteLatent, and whatever the callback raises to end the run.
    """
    # A schedule with more steps than the model has noise levels repeats some; such a step would do nothing.
    sigmas = sigmas.unique_consecutive()
    if len(sigmas) < 2:
        return latent
    check_sigmas(sigmas)
    spec = SAMPLERS[sampler]
    picture = latent.to(torch.float32) * latent_scale
    noise = noise.to(picture)
    x = add_noise(picture, noise, float(sigmas[0]), sigma_max)
    if noise_mask is not None:
        model = masked_model(model, latent_mask(noise_mask, picture), picture, noise, mask_course)
    drawn = step_noise(spec.noise_kind, x, sigmas, seed, independent=independent_noise, on_device=spec.noise_on_device)
    callback, start = callback or ignore, BEGINNING
    if keeper is not None:
        asked = options | {"independent_noise": independent_noise}
        mark = fingerprint(sampler, x, sigmas, seed, asked)
        resumed = resume(keeper, mark, x, None if spec.own_steps else len(sigmas) - 1, drawn)
        if resumed is not None:
            x, start = resumed.x, resumed.start
            model = knowing(model, resumed.denoised, resumed.unconditional)
        callback = keeping(callback, keeper, mark, drawn)
    with torch.no_grad():
        x = spec.function(model, x, sigmas, noise=drawn, callback=_checked(callback), start=start, **options)
    if not torch.isfinite(x).all():
        raise NonFiniteLatent(len(sigmas) - 2, len(sigmas) - 1)
    return x / latent_scale


def sample(
    model: Model,
    latent: Tensor,
    *,
    model_sigmas: ModelSigmas,
    steps: int,
    seed: int = 0,
    sampler: str = "euler",
    scheduler: str = "normal",
    denoise: float = 1.0,
    start_step: int = 0,
    end_step: int | None = None,
    add_initial_noise: bool = True,
    force_full_denoise: bool = False,
    batch_index: Sequence[int] | None = None,
    noise_mask: Tensor | None = None,
    latent_scale: float = SD15_LATENT_SCALE,
    independent_noise: bool = False,
    callback: Callback | None = None,
    keeper: Keeper | None = None,
    **options: Any,
) -> Tensor:
    """All that KSampler and KSamplerAdvanced ask for, on a raw latent [B, C, h, w] on the model's device.

    `model(x, sigma)` comes from `guided_denoiser`. `denoise` below 1 starts partway, from the latent
    itself; `start_step`/`end_step` run a part of the schedule; `force_full_denoise` removes all noise in
    the part's last step; without `add_initial_noise` the latent is taken as noisy already. `batch_index`
    names which draws of the seed the batch's items get. `independent_noise` keeps an ancestral sampler's
    noise apart from the initial one; `keeper` lets an interrupted sampling go on. Raises
    KeyError for an unknown sampler or scheduler, ValueError for impossible numbers, NonFiniteLatent.
    """
    sigmas = schedule(scheduler, model_sigmas, steps, denoise, sampler)
    sigmas = slice_steps(sigmas, start_step, end_step, force_full_denoise)
    if add_initial_noise:
        noise = noise_for_batch(seed, latent.shape, batch_index)
    else:
        noise = torch.zeros_like(latent)
    return sample_latent(
        model,
        latent,
        sigmas,
        noise=noise,
        sampler=sampler,
        sigma_max=model_sigmas.sigma_max,
        seed=seed,
        noise_mask=noise_mask,
        latent_scale=latent_scale,
        independent_noise=independent_noise,
        callback=callback,
        keeper=keeper,
        **options,
    )
