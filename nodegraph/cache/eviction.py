"""What to evict: the values that are worth least, by the seconds they save per byte and how long nobody used them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

HALF_LIFE = 7 * 24 * 3600.0  # seconds without use after which a value is worth half
LEAST_SECONDS = 1e-3


class Candidate(NamedTuple):
    """A stored value or copied file: `seconds` is what it took to make, `used` when it was last used."""

    key: bytes | str
    bytes: int
    seconds: float
    used: float


def worth(candidate: Candidate, now: float) -> float:
    """Seconds saved per byte, halved with every week without use. A use in the future (the clock was set back) counts
    as one just now."""
    age = max(0.0, now - candidate.used)
    return (candidate.seconds + LEAST_SECONDS) / max(1, candidate.bytes) * 0.5 ** (age / HALF_LIFE)


def victims(candidates: Iterable[Candidate], excess: int, now: float) -> list[Candidate]:
    """The candidates worth least, enough of them to free `excess` bytes (or all, if they are not enough)."""
    chosen: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda each: (worth(each, now), each.used)):
        if excess <= 0:
            break
        chosen.append(candidate)
        excess -= candidate.bytes
    return chosen
