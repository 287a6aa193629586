"""Measuring and printing: what all benchmarks share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """The least of several runs: seconds on the clock, and seconds of processor time of this process."""

    wall: float
    cpu: float


def measure(work: Callable[[], object], repeats: int = REPEATS) -> Measured:
    """Time `work` several times and keep the least: what another program takes away only ever adds."""
    walls: list[float] = []
    cpus: list[float] = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Measured(min(walls), min(cpus))


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]], note: str = "") -> None:
    """Print a table that is Markdown too; numbers are set flush right."""
    cells = [[cell if isinstance(cell, str) else f"{cell:,.2f}" for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    print(f"\n{title}\n")
    print(_line(head, widths))
    print("|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|")
    for row in cells:
        print(_line(row, widths))
    if note:
        print(f"\n{note}")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    pairs = zip(cells, widths, strict=True)
    return (
        "| " + " | ".join(cell.rjust(width) if i else cell.ljust(width) for i, (cell, width) in enumerate(pairs)) + " |"
    )
