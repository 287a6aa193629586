"""Changes of how a wanted and an unwanted prediction are combined. Each wraps a `Guide` into another one."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nodes.diffusion.guidance import Guide


def rescaled(guide: Guide, multiplier: float) -> Guide:
    """Bring the guided prediction back to the contrast of the wanted one (Lin et al. 2023, section 3.4).

    The standard deviations are those of v, per picture; `multiplier` is the share of the result that is rescaled.
    """

    def guided(x: Tensor, sigma: Tensor, wanted: Tensor, unwanted: Tensor | None, cfg: float) -> Tensor:
        denoised = guide(x, sigma, wanted, unwanted, cfg)
        s = sigma.view(-1, *[1] * (x.ndim - 1))
        root = (s * s + 1).sqrt()
        v, v_wanted = (x / (root * s) - picture * (root / s) for picture in (denoised, wanted))
        dims = tuple(range(1, x.ndim))
        ratio = v_wanted.std(dims, keepdim=True) / v.std(dims, keepdim=True)
        v = v * (ratio * multiplier + (1 - multiplier))
        return x / (root * root) - v * (s / root)

    return guided


def zero_star(guide: Guide) -> Guide:
    """Scale the unwanted direction to fit the wanted one best before guiding (Fan et al. 2025, CFG-Zero*).

    The scale is the projection of the wanted direction (x - denoised) on the unwanted one, per picture.
    """

    def guided(x: Tensor, sigma: Tensor, wanted: Tensor, unwanted: Tensor | None, cfg: float) -> Tensor:
        if unwanted is not None:
            dims = tuple(range(1, x.ndim))
            away = x - unwanted
            along = ((x - wanted) * away).sum(dims, keepdim=True)
            unwanted = x - away * (along / (away.square().sum(dims, keepdim=True) + 1e-8))
        return guide(x, sigma, wanted, unwanted, cfg)

    return guided


def normed(guide: Guide, strength: float) -> Guide:
    """Keep guidance from making any place stronger than the wanted prediction has it.

    The length of the vector of channels at each place is cut to that of the wanted one, then times `strength`.
    """

    def guided(x: Tensor, sigma: Tensor, wanted: Tensor, unwanted: Tensor | None, cfg: float) -> Tensor:
        denoised = guide(x, sigma, wanted, unwanted, cfg)
        lengths = wanted.norm(dim=1, keepdim=True), denoised.norm(dim=1, keepdim=True)
        return denoised * ((lengths[0] / (lengths[1] + 1e-8)).clamp(max=1) * strength)

    return guided


def operated(guide: Guide, operation: Callable[[Tensor], Tensor]) -> Guide:
    """Apply an operation on latents to what the prompt adds: to the difference of both predictions."""

    def guided(x: Tensor, sigma: Tensor, wanted: Tensor, unwanted: Tensor | None, cfg: float) -> Tensor:
        base = 0 if unwanted is None else unwanted
        return guide(x, sigma, operation(wanted - base) + base, unwanted, cfg)

    return guided
