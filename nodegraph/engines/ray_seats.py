"""Which workers a Ray cluster is asked for, and whether it could ever have them: arithmetic, without Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from nodegraph.errors import Problem, ProblemError

VRAM: Final = "vram_gb"  # what a machine says of its cards: `ray start --resources='{"vram_gb": 48}'`


class Machine(NamedTuple):
    """A machine of the cluster, and all that it has."""

    name: str
    resources: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker to be had: its lane, the kind of its device, and what it takes of a machine."""

    lane: str
    kind: str
    cpus: float = 0.0
    gpus: float = 0.0
    vram: float = 0.0

    @property
    def needs(self) -> dict[str, float]:
        """What it takes, by Ray's names."""
        return {name: n for name, n in (("CPU", self.cpus), ("GPU", self.gpus), (VRAM, self.vram)) if n}

    @property
    def actor(self) -> str:
        """The name that all drivers know it by, if they ask for the same."""
        return " ".join([self.lane, *(f"{name}={amount:g}" for name, amount in self.needs.items())])


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a cluster. kind: of all devices; named: how many of them, 0 for all that there are; first: the
    number of the first. vram: gigabytes that each has to have. threads: of each that is a CPU."""

    kind: str
    named: int = 0
    first: int = 0
    vram: float = 0.0
    threads: int | None = None


def seats_of(wish: Wish, machines: Sequence[Machine]) -> list[Seat]:
    """The workers to ask for. Of GPUs each gets one; of CPUs each machine, unless a number was named. Raises
    ProblemError for a kind of device that Ray does not know."""
    if wish.kind not in ("cuda", "cpu"):
        raise ProblemError(
            Problem(
                "bad_device",
                f"Ray gives out cuda and cpu, not {wish.kind}",
                got=wish.kind,
                hint="name the devices of the cluster with --devices",
            )
        )
    if wish.kind == "cuda":
        one = Seat("", "cuda", gpus=1.0, vram=wish.vram)
        count = wish.named or room_for(one, machines)
    else:
        fitting = [each for each in machines if each.resources.get("CPU", 0) >= 1]
        smallest = min((each.resources["CPU"] for each in fitting), default=1.0)
        one = Seat("", "cpu", cpus=float(wish.threads or (1 if wish.named else int(smallest))), vram=wish.vram)
        count = wish.named or len(fitting)
    return [replace(one, lane=f"{one.kind}-{i}") for i in range(wish.first, wish.first + count)]


def room_for(seat: Seat, machines: Sequence[Machine]) -> int:
    """How many such workers machines have room for when nobody else uses them."""
    needs = seat.needs
    return sum(min(int(each.resources.get(name, 0) / needs[name]) for name in needs) for each in machines)


def unsatisfiable(seats: Sequence[Seat], wish: Wish, machines: Sequence[Machine]) -> Problem | None:
    """Why there will never be so many workers, if so: Ray itself would wait silently."""
    has = "; ".join(f"{each.name} has {_listed(each.resources)}" for each in machines) or "there is no machine in it"
    if not seats:
        what = "GPU" if wish.kind == "cuda" else "CPU"
        beside = f" with {wish.vram:g} GB of memory" if wish.vram else ""
        message = f"the Ray cluster has no {what}{beside} to give: {has}"
        hint = "name the kind of device with --device, or wait for machines that the cluster adds with --ray-wait"
        return Problem("no_worker", message, got=has, hint=hint)
    room = room_for(seats[0], machines)
    if room >= len(seats):
        return None
    asked = _listed(seats[0].needs)
    message = f"the Ray cluster has room for {room} of the {len(seats)} workers asked for, of {asked} each: {has}"
    hint = "ask for fewer with --devices or for less with --ray-vram, or wait for machines that the cluster adds with "
    return Problem("no_worker", message, got=str(room), expected=str(len(seats)), hint=hint + "--ray-wait")


def _listed(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{resources[name]:g} {name}" for name in ("CPU", "GPU", VRAM) if resources.get(name)) or "nothing"
