"""Arithmetic on latents, and operations on them that travel along a link."""

from __future__ import annotations

from typing import Annotated

from nodegraph.node import Help, Range, node
from nodegraph.sockets import Latent, LatentOperation
from nodes.latents import bad_value, matched


@node(category="latent/advanced", display_name="Add Latents")
def LatentAdd(samples1: Latent, samples2: Latent) -> Latent:
    """The sum of two latents; the second one is made as large as the first, and its batch repeated."""
    first, second = matched(samples1, samples2, "samples2")
    return {**samples1, "samples": first + second}


@node(category="latent/advanced", display_name="Subtract Latents")
def LatentSubtract(samples1: Latent, samples2: Latent) -> Latent:
    """The first latent without the second, which is made as large as the first, and its batch repeated."""
    first, second = matched(samples1, samples2, "samples2")
    return {**samples1, "samples": first - second}


@node(category="latent/advanced", display_name="Multiply Latent")
def LatentMultiply(samples: Latent, multiplier: Annotated[float, Range(-10.0, 10.0, step=0.01)] = 1.0) -> Latent:
    """A latent times a number."""
    return {**samples, "samples": samples["samples"] * multiplier}


@node(category="latent/advanced", display_name="Interpolate Latents")
def LatentInterpolate(
    samples1: Latent,
    samples2: Latent,
    ratio: Annotated[float, Range(0.0, 1.0, step=0.01), Help("the share of samples1")] = 1.0,
) -> Latent:
    """Mix two latents, directions and lengths of their vectors apart, which keeps more contrast than blending them."""
    from nodes.diffusion.latents import interpolate

    return {**samples1, "samples": interpolate(*matched(samples1, samples2, "samples2"), ratio)}


@node(category="latent/advanced/operations", display_name="Apply Latent Operation")
def LatentApplyOperation(samples: Latent, operation: LatentOperation) -> Latent:
    """Apply an operation to a latent."""
    from nodes.diffusion.latent_operations import apply_operation

    try:
        return {**samples, "samples": apply_operation(operation.kind, operation.settings, samples["samples"])}
    except ValueError as error:
        raise bad_value("operation", str(error), got=operation.kind) from error


@node(category="latent/advanced/operations", display_name="Tonemap Reinhard", light=True, numeric=False)
def LatentOperationTonemapReinhard(
    multiplier: Annotated[float, Range(0.0, 100.0, step=0.01), Help("lower takes more away")] = 1.0,
) -> LatentOperation:
    """An operation that takes back what is overdrawn: long vectors are shortened more than short ones."""
    return LatentOperation("tonemap_reinhard", (("multiplier", float(multiplier)),))


@node(category="latent/advanced/operations", display_name="Sharpen", light=True, numeric=False)
def LatentOperationSharpen(
    sharpen_radius: Annotated[int, Range(1, 31, step=1), Help("how far the blur reaches, in cells of 8 pixels")] = 9,
    sigma: Annotated[float, Range(0.1, 10.0, step=0.1), Help("how wide the blur is, in radii")] = 1.0,
    alpha: Annotated[float, Range(0.0, 5.0, step=0.01), Help("how much is sharpened")] = 0.1,
) -> LatentOperation:
    """An operation that sharpens: what a blur would take away is added."""
    settings = (("sharpen_radius", sharpen_radius), ("sigma", float(sigma)), ("alpha", float(alpha)))
    return LatentOperation("sharpen", settings)
