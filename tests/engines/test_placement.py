"""Which worker takes what: single rules, and every choice against one that looks at all workers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.engines.placement import ANY, Fleet, Go, Needs, Unsatisfiable, Wait, Worker, expected

GIB = 1 << 30
SIZES = {"a": 4, "b": 6, "c": 10, "d": 1}


def fleet_of(*devices: str, vram: int | None = 12, **options: float) -> Fleet:
    workers = [Worker(f"w{i}", device, vram) for i, device in enumerate(devices)]
    return Fleet(workers, **{"loading": 1.0, "patience": 60.0} | options)


def needs_of(*names: str, vram: int = 0, kind: str = "") -> Needs:
    return Needs({name: SIZES[name] for name in names}, vram, kind)


def run(fleet: Fleet, needs: Needs) -> Go:
    """Have an errand done, and say where."""
    go = fleet.choose(needs)
    assert isinstance(go, Go)
    fleet.take(go, needs)
    fleet.release(go.worker)
    return go


def test_what_is_loaded_is_used_again():
    fleet = fleet_of("cuda:0", "cuda:1")
    first, second = run(fleet, needs_of("a")), run(fleet, needs_of("c"))
    assert (first.loads, second.loads) == (("a",), ("c",))
    assert first.worker != second.worker
    assert run(fleet, needs_of("a")) == Go(first.worker)
    assert run(fleet, needs_of("c")) == Go(second.worker)


def test_the_least_recently_used_worker_gives_way_and_only_as_much_as_must_go():
    fleet = fleet_of("cuda:0", "cuda:1")
    cold = run(fleet, needs_of("a")).worker
    run(fleet, needs_of("d"))
    assert run(fleet, needs_of("b")).worker == cold  # beside "a" and "d" it has just room
    warm = run(fleet, needs_of("c")).worker
    assert warm != cold
    run(fleet, needs_of("a"))
    fleet.take(Go(cold), needs_of("a"))
    go = fleet.choose(needs_of("b", vram=2))
    assert go == Go(warm, ("b",), ("c",))


def test_a_busy_worker_is_waited_for_if_that_is_cheaper_but_not_for_ever():
    fleet = fleet_of("cuda:0", "cuda:1", patience=5.0)
    needs = needs_of("c")
    go = fleet.choose(needs)
    assert isinstance(go, Go)
    fleet.take(go, needs, until=4.0)
    assert fleet.choose(needs, now=0.0) == Wait(go.worker, 4.0)
    assert fleet.choose(needs_of("d"), now=0.0) == Go("w1", ("d",))  # loading that takes less than waiting
    assert fleet.choose(needs, now=0.0, since=-2.0) == Go("w1", ("c",))  # it has waited already
    late = fleet.choose(needs, now=4.5)
    assert isinstance(late, Wait) and late.until > 4.5
    assert fleet.choose(needs, now=60.0, since=0.0) == Go("w1", ("c",))


def test_with_all_busy_there_is_only_waiting():
    fleet = fleet_of("cpu", vram=None)
    needs = needs_of("a")
    fleet.take(Go("w0", ("a",)), needs)
    assert fleet.choose(needs) == Wait()
    fleet.release("w0")
    assert fleet.choose(needs) == Go("w0")


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        (needs_of(kind="mps"), "no worker has a device of the kind 'mps'"),
        (Needs(vram=13 * GIB), "no worker has the 13.0 GiB of memory that this needs: the largest has 12.0 GiB"),
        (Needs({"a": 8 * GIB, "b": 4 * GIB}, 2 * GIB), "no worker has the 14.0 GiB"),
    ],
)
def test_what_no_worker_could_ever_take_is_told_at_once_even_if_all_are_busy(needs: Needs, told: str):
    fleet = fleet_of("cuda:0", "cuda:1", vram=12 * GIB)
    for _ in range(3):
        with pytest.raises(Unsatisfiable) as failure:
            fleet.choose(needs)
        problem = failure.value.problems[0]
        assert problem.code == "no_worker"
        assert told in problem.message
        assert problem.hint
        for worker in ("w0", "w1"):
            fleet.take(Go(worker), Needs())


def test_without_workers_nothing_can_be_taken():
    with pytest.raises(Unsatisfiable, match="there is no worker"):
        Fleet().choose(Needs())


def test_a_worker_that_died_holds_nothing_but_is_counted_on():
    fleet = fleet_of("cuda:0")
    run(fleet, needs_of("a"))
    fleet.lose("w0")
    assert fleet.choose(needs_of("a")) == Wait()
    fleet.release("w0")
    assert fleet.choose(needs_of("a")) == Go("w0", ("a",))
    fleet.remove("w0")
    with pytest.raises(Unsatisfiable):
        fleet.choose(needs_of("a"))


def test_what_a_worker_says_it_holds_counts():
    fleet = fleet_of("cuda:0", "cuda:1")
    run(fleet, needs_of("a"))
    fleet.take(Go("w0"), needs_of("a"))
    fleet.release("w0", {"b": 6})
    assert fleet.choose(needs_of("b")) == Go("w0")
    assert fleet.held("w0") == {"b": 6}


# --- against a choice that looks at all workers


@dataclass
class Seen:
    worker: Worker
    held: dict[str, int] = field(default_factory=dict[str, int])
    state: str = "free"
    turn: int = 0
    until: float = math.inf

    @property
    def total(self) -> int:
        return ANY if self.worker.vram is None else self.worker.vram

    @property
    def room(self) -> int:
        return self.total - sum(self.held.values())

    def lacks(self, needs: Needs) -> int:
        return sum(size for name, size in needs.recipes.items() if name not in self.held)


def naive(seen: Mapping[str, Seen], needs: Needs, now: float, since: float, patience: float) -> Any:
    """The rules of the module, word by word."""
    could = [w for w in seen.values() if needs.kind in ("", w.worker.kind) and w.total >= needs.total]
    if not could:
        return "never"
    free = [w for w in could if w.state == "free"]
    order = sorted(needs.recipes, key=lambda name: (-needs.recipes[name], name))
    all_of_it = [w for w in free if needs.recipes and not w.lacks(needs)]
    if all_of_it:
        return Go(max(all_of_it, key=lambda w: w.turn).worker.id)
    chosen: Seen | None = None
    for name in order:
        holders = [w for w in free if name in w.held]
        if holders and chosen is None:
            chosen = max(holders, key=lambda w: w.turn)
    if chosen is None:
        chosen = min((w for w in free if w.room >= needs.total), key=lambda w: (w.room, w.turn), default=None)
    if chosen is None:
        chosen = min(free, key=lambda w: w.turn, default=None)
    cost = math.inf if chosen is None else chosen.lacks(needs)
    waits: list[tuple[float, float, str]] = []
    for name in order:
        for kind in {w.worker.kind for w in seen.values() if needs.kind in ("", w.worker.kind)}:
            busy = [w for w in seen.values() if w.state == "busy" and name in w.held and w.worker.kind == kind]
            first = min(busy, key=lambda w: (w.until, w.turn), default=None)
            if first in could:
                until = expected(first.until, now)
                waits.append((until - now + first.lacks(needs), until, first.worker.id))
    best = min(waits, default=(math.inf, 0.0, ""))
    if best[0] < cost and (chosen is None or best[1] <= since + patience):
        return Wait(best[2], best[1])
    if chosen is None:
        return Wait()
    short, gone = chosen.lacks(needs) + needs.vram - chosen.room, list[str]()
    for name, size in chosen.held.items():
        if short > 0 and name not in needs.recipes:
            gone.append(name)
            short -= size
    return Go(chosen.worker.id, tuple(name for name in order if name not in chosen.held), tuple(gone))


KINDS = st.sampled_from(["cuda", "cpu"])
WORKERS = st.lists(
    st.tuples(KINDS, st.sampled_from([None, 5, 10, 12, 24])), min_size=1, max_size=6
)  # few sizes, so that they meet
NEEDS = st.builds(
    lambda names, vram, kind: needs_of(*names, vram=vram, kind=kind),
    st.sets(st.sampled_from(sorted(SIZES)), max_size=3),
    st.integers(0, 4),
    st.sampled_from(["", "", "cuda", "cpu", "mps"]),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), NEEDS, st.one_of(st.just(math.inf), st.integers(1, 15))),
        st.tuples(st.just("done"), st.integers(0, 9), st.none() | st.sets(st.sampled_from(["a", "d"]))),
        st.tuples(st.just("die"), st.integers(0, 9), st.none()),
        st.tuples(st.just("tick"), st.integers(0, 5), st.none()),
        st.tuples(st.just("gone"), st.integers(0, 9), st.none()),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(WORKERS, STEPS)
def test_every_choice_is_that_of_a_look_at_all_workers(workers: list[tuple[str, int | None]], steps: list[Any]):
    seen = {f"w{i}": Seen(Worker(f"w{i}", f"{kind}:{i}", vram)) for i, (kind, vram) in enumerate(workers)}
    fleet = Fleet([each.worker for each in seen.values()], patience=8.0, loading=1.0)
    turns = iter(range(1, 1_000))
    for each in seen.values():
        each.turn = next(turns)
    now = 0.0
    what: Any
    for kind, what, more in steps:
        names = list(seen)
        picked = seen[names[what % len(names)]] if isinstance(what, int) and names else None
        if kind == "tick":
            now += what
        elif kind == "ask":
            _ask(fleet, seen, what, now, now + more, next(turns))
        elif picked is None:
            continue
        elif kind == "gone":
            fleet.remove(picked.worker.id)
            del seen[picked.worker.id]
        elif kind == "die":
            fleet.lose(picked.worker.id)
            picked.state, picked.held = "away", {}
        elif kind == "done" and picked.state != "free":
            told = None if more is None else {name: SIZES[name] for name in sorted(more)}
            fleet.release(picked.worker.id, told)
            picked.held = picked.held if told is None else told
            picked.state, picked.turn = "free", next(turns)


def _ask(fleet: Fleet, seen: Mapping[str, Seen], needs: Any, now: float, until: float, turn: int) -> None:
    """Both choose, and what was chosen begins."""
    wanted = naive(seen, needs, now, now - 2, fleet.patience)
    try:
        got: Any = fleet.choose(needs, now, now - 2)
    except Unsatisfiable:
        got = "never"
    assert got == wanted
    if not isinstance(got, Go):
        return
    fleet.take(got, needs, until)
    lane = seen[got.worker]
    kept = {name: size for name, size in lane.held.items() if name not in got.evicts and name not in needs.recipes}
    lane.held = kept | dict(needs.recipes)
    lane.state, lane.until, lane.turn = "busy", until, turn
    assert fleet.held(got.worker) == lane.held
    assert lane.room >= needs.vram  # nothing is ever put where there is no room for it
