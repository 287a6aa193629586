"""Integrals that multistep methods take their weights from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

Points = Sequence[tuple[float, float]]
"""(where, weight) of a quadrature rule."""


@cache
def _rule(count: int) -> Points:
    import numpy as np

    points, weights = np.polynomial.legendre.leggauss(count)
    return tuple(zip(points.tolist(), weights.tolist(), strict=True))


def gauss_legendre(start: float, end: float, count: int) -> Points:
    """The rule of `count` points from `start` to `end`; polynomials up to degree 2 * count - 1 come out exact."""
    middle, half = (start + end) / 2, (end - start) / 2
    return [(middle + half * point, half * weight) for point, weight in _rule(count)]


def lagrange_integrals(nodes: Sequence[float], points: Points) -> list[float]:
    """The integral of each node's Lagrange polynomial over all `nodes`.

    They are the weights that values at the nodes have in the integral of the polynomial through them.
    """

    def lagrange(j: int, t: float) -> float:
        return math.prod((t - other) / (nodes[j] - other) for m, other in enumerate(nodes) if m != j)

    return [sum(weight * lagrange(j, t) for t, weight in points) for j in range(len(nodes))]
