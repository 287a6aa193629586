"""What networks that steer a UNet hand to it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """What is added to a UNet's features: after its down blocks and its middle (ControlNet), or within its down blocks
    (T2I-Adapter). Each tensor has the rows of the batch, or broadcasts to them.
    """

    down: tuple[Tensor, ...] = ()
    mid: Tensor | None = None
    intrablock: tuple[Tensor, ...] = ()
