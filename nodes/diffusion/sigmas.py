"""The noise levels that a discrete-time model was trained on, and its maps between sigma and timestep.

A model trained on N steps with cumulative signal level abar_t sees, in the variance-exploding coordinates
that the samplers work in, the noise levels sigma_t = sqrt((1 - abar_t) / abar_t) (Karras et al. 2022, table
1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


def scaled_linear_betas(count: int = 1000, start: float = 0.00085, end: float = 0.012) -> Tensor:
    """The [count] float64 betas of Stable Diffusion 1.x: linear in sqrt(beta) (Rombach et al. 2022)."""
    return torch.linspace(math.sqrt(start), math.sqrt(end), count, dtype=torch.float64) ** 2


def sigma_table(*, betas: Tensor | None = None, alphas_cumprod: Tensor | None = None) -> Tensor:
    """The [N] sigmas of a model, ascending: float64 throughout, rounded to float32 once at the end.

    Give `betas` or `alphas_cumprod`, each [N]; without either they are those of Stable Diffusion 1.x.
    Raises ValueError when both are given, or when the table that results does not ascend from above zero.
    """
    if betas is not None and alphas_cumprod is not None:
        raise ValueError("give betas or alphas_cumprod, not both")
    if alphas_cumprod is None:
        betas = scaled_linear_betas() if betas is None else betas
        alphas_cumprod = torch.cumprod(1 - betas.to("cpu", torch.float64), dim=0)
    abar = alphas_cumprod.to("cpu", torch.float64)
    table = ((1 - abar) / abar).sqrt().to(torch.float32)
    if table.ndim != 1 or len(table) < 2 or not (table[0] > 0 and (table[1:] > table[:-1]).all()):
        raise ValueError("the sigmas of a model must be one ascending row of positive numbers")
    return table


@dataclass(frozen=True, slots=True, eq=False)
class ModelSigmas:
    """A model's [N] sigma table (float32, ascending), its logarithm, and the maps to and from timesteps."""

    table: Tensor
    log_table: Tensor

    @classmethod
    def from_table(cls, table: Tensor) -> ModelSigmas:
        """Wrap a table such as `sigma_table` makes."""
        return cls(table, table.log())

    @classmethod
    def stable_diffusion(cls) -> ModelSigmas:
        """The table of Stable Diffusion 1.x: 1000 sigmas from 0.0292 to 14.6146."""
        return cls.from_table(sigma_table())

    @property
    def sigma_min(self) -> float:
        """The smallest noise level that the model knows."""
        return float(self.table[0])

    @property
    def sigma_max(self) -> float:
        """The largest noise level that the model knows."""
        return float(self.table[-1])

    def to(self, device: torch.device | str) -> ModelSigmas:
        """The same table on another device."""
        return ModelSigmas(self.table.to(device), self.log_table.to(device))

    def timestep(self, sigma: Tensor) -> Tensor:
        """The int64 index of the table entry nearest to each sigma in log space; same shape as `sigma`.

        Integers, because a discrete-time model has only ever seen integer timesteps.
        """
        distance = (sigma.to(self.log_table.dtype).log()[..., None] - self.log_table).abs()
        return distance.argmin(dim=-1)

    def sigma(self, t: Tensor | float) -> Tensor:
        """The sigma of fractional timesteps: linear in log sigma between entries, clamped at the ends."""
        t = torch.as_tensor(t, dtype=torch.float32, device=self.log_table.device)
        t = t.clamp(0, len(self.table) - 1)
        low = t.floor().long()
        high = t.ceil().long()
        return torch.lerp(self.log_table[low], self.log_table[high], t - low).exp()

    def percent_to_sigma(self, percent: float) -> float:
        """The sigma at a fraction of the way from pure noise (0 -> inf) to the picture (1 -> 0).

        The ends lie beyond the table, so that a range 0..1 holds every sigma that a sampler can visit.
        """
        if percent <= 0:
            return math.inf
        if percent >= 1:
            return 0.0
        return float(self.sigma((1 - percent) * (len(self.table) - 1)))
