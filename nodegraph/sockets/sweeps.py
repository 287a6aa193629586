"""The axes of a sweep as a value, which nodes that collect a sweep's cells may ask for."""

from __future__ import annotations

from typing import Final, NewType

from nodegraph.sockets.types import socket

#: Labels of the cells along each axis, the slowest axis first: (("cfg=3", "cfg=5"), ("seed=1", "seed=2", "seed=3")).
Axes = NewType("Axes", tuple[tuple[str, ...], ...])
AXES: Final = "AXES"

socket(Axes, AXES, colour="#90a4ae", description="the labels of a sweep; filled in beside collected cells")
