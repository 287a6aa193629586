"""Latents upon other latents."""

from __future__ import annotations

from typing import Annotated

from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Latent, Mask

Offset = Annotated[int, Range(0, 16384, step=8)]


@node(category="latent", display_name="Latent Composite Masked")
def LatentCompositeMasked(
    destination: Latent,
    source: Latent,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: Annotated[bool, Help("stretch the source over the destination first")] = False,
    mask: Annotated[Mask | None, Help("how much of the source is seen; stretched over the source")] = None,
) -> Latent:
    """Put a latent upon another at x, y in pixels; what sticks out is cut off."""
    from nodes.diffusion.compositing import paste
    from nodes.diffusion.resize import resize, resize_masks

    below, above = destination["samples"], source["samples"]
    if above.shape[1] != below.shape[1]:
        message = f"the source has {above.shape[1]} channels where the destination has {below.shape[1]}"
        hint = "both must come from models of the same family"
        raise ProblemError(Problem(code="bad_value", message=message, input="source", hint=hint))
    height, width = below.shape[-2:]
    if resize_source and above.shape[-2:] != (height, width):
        above = resize(above, width, height, "bilinear")
    share = None if mask is None else resize_masks(mask, above.shape[-1], above.shape[-2])
    return {**destination, "samples": paste(below, above, x // 8, y // 8, share)}
