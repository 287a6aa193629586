"""The noise levels that a discrete-time model was trained on, and its maps between sigma and timestep.

A model trained on N steps with cumulative signal level abar_t sees, in the variance-exploding coordinates
that the samplers work in, the noise levels sigma_t = sqrt((1 - abar_t) / abar_t) (Karras et al. 2022, table
1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Clock = Literal["steps", "edm", "v"]
"""How a network is told the time: by the number of a training step, by log(sigma) / 4, or by an angle."""

MOST_NOISE = 2.0**-24
"""The signal level that stands for none at all, so that its sigma (4096) is still a number; diffusers' choice."""

LCM_STEPS = 50
"""Noise levels that a latent consistency model was distilled at (Luo et al. 2023)."""


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


def without_signal(alphas_cumprod: Tensor) -> Tensor:
    """Signal levels stretched so that the last one is pure noise (Lin et al. 2023, algorithm 1), as float64.

    The first stays as it is. The last one is MOST_NOISE rather than 0.
    """
    root = alphas_cumprod.to("cpu", torch.float64).sqrt()
    stretched = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return torch.cat([stretched[:-1], stretched.new_tensor([MOST_NOISE])])


def log_table(sigma_min: float, sigma_max: float, count: int = 1000) -> Tensor:
    """[count] sigmas, ascending and evenly spaced in their logarithm, for a network that knows all in between."""
    ends = math.log(sigma_min), math.log(sigma_max)
    return torch.linspace(*ends, count, dtype=torch.float64).exp().to(torch.float32)


def angle_table(sigma_min: float, sigma_max: float, count: int = 1000) -> Tensor:
    """[count] sigmas, ascending and evenly spaced in arctan sigma."""
    ends = math.atan(sigma_min), math.atan(sigma_max)
    return torch.linspace(*ends, count, dtype=torch.float64).tan().to(torch.float32)


@dataclass(frozen=True, slots=True, eq=False)
class ModelSigmas:
    """A model's [N] sigma table (float32, ascending), its logarithm, and the maps to and from timesteps.

    `clock` says what the network is told for a sigma. A table of every `stride`-th training step belongs to a
    distilled model; its entry i is step stride * i + stride - 1.
    """

    table: Tensor
    log_table: Tensor
    clock: Clock = "steps"
    stride: int = 1

    @classmethod
    def from_table(cls, table: Tensor, clock: Clock = "steps", stride: int = 1) -> ModelSigmas:
        """Wrap a table such as `sigma_table` makes."""
        return cls(table, table.log(), clock, stride)

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
        return ModelSigmas(self.table.to(device), self.log_table.to(device), self.clock, self.stride)

    def distilled(self, count: int = LCM_STEPS) -> ModelSigmas:
        """The table of a model that was distilled at `count` of these noise levels; itself if it has no more."""
        stride = len(self.table) // count
        return self.from_table(self.table[stride - 1 :: stride], self.clock, stride) if stride > 1 else self

    def timestep(self, sigma: Tensor) -> Tensor:
        """What the network is told for each sigma; same shape as `sigma`.

        For a discrete-time model the int64 number of the step nearest in log sigma: it has only ever seen
        whole ones. Else float32: log(sigma) / 4 (Karras et al. 2022, c_noise), or the angle arctan(sigma) as
        a part of a right one.
        """
        if self.clock == "edm":
            return sigma.to(torch.float32).log() / 4
        if self.clock == "v":
            return sigma.to(torch.float32).atan() * (2 / math.pi)
        distance = (sigma.to(self.log_table.dtype).log()[..., None] - self.log_table).abs()
        nearest = distance.argmin(dim=-1)
        return nearest if self.stride == 1 else nearest * self.stride + (self.stride - 1)

    def sigma(self, t: Tensor | float) -> Tensor:
        """The sigma of a fractional place in the table: linear in log sigma between entries, clamped at the ends."""
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
        step = (1 - percent) * (len(self.table) * self.stride - 1)
        return float(self.sigma((step - (self.stride - 1)) / self.stride))
