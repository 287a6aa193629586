"""Events on their way to readers: in order, complete, and in bounded memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.jobs.hub import FLEETING, Hub
from nodegraph.jobs.model import JobEvent, Kind, PreviewEvent
from nodegraph.jobs.store import JobStore
from tests.jobs.test_store import PLENTY

#: What happens: an event of a kind at a node, a preview, or the reader takes some.
STEPS = st.lists(
    st.tuples(st.sampled_from(["started", "finished", "progress", "queue"]), st.sampled_from("ab"), st.just(0))
    | st.tuples(st.just("preview"), st.sampled_from("ab"), st.just(0))
    | st.tuples(st.just("read"), st.just(""), st.integers(1, 6)),
    max_size=60,
)


def preview(node: str) -> PreviewEvent:
    return PreviewEvent("job", node, node, None, b"", 1, 1)


async def follow(steps: list[tuple[str, str, int]], limit: int) -> tuple[list[int], list[JobEvent], int]:
    """The numbers of what has to arrive, what arrives, and how much ever waited."""
    hub = Hub(JobStore(Path(":memory:"), PLENTY))
    reader = hub.subscribe(after=None, job=None, previews=True, limit=limit)
    due: list[int] = []
    read: list[JobEvent] = []
    most = 0

    async def take(count: int) -> None:
        for _ in range(count):
            event = reader.poll()
            if isinstance(event, JobEvent):
                read.append(event)

    for what, node, count in steps:
        if what == "read":
            await take(count)
        elif what == "preview":
            hub.show(preview(node))
        else:
            kind: Kind = what  # type: ignore[assignment]
            hub.publish("" if what == "queue" else "job", kind, {"node": node})
            if what not in FLEETING:
                due.append(hub.seq)
        most = max(most, len(reader.waiting))
    await take(200)
    hub.close()
    return due, read, most


@given(STEPS, st.integers(2, 8))
@settings(max_examples=150)
def test_whatever_a_reader_does_all_lasting_events_arrive_once_and_in_order(
    steps: list[tuple[str, str, int]], limit: int
):
    due, read, most = asyncio.run(follow(steps, limit))
    assert [event.seq for event in read if event.kind not in FLEETING] == due
    told = [event.seq for event in read if event.kind != "queue"]
    assert told == sorted(told)  # no progress after what came later
    assert most <= limit + 1


def test_a_reader_that_comes_later_gets_what_came_after_a_number():
    async def go() -> None:
        hub = Hub(JobStore(Path(":memory:"), PLENTY))
        for i in range(1_200):
            hub.publish("ab"[i % 2], "warning", {"message": str(i)})
        reader = hub.subscribe(after=100, job="a", previews=False, limit=10)
        hub.publish("a", "warning", {"message": "last"})
        told: list[JobEvent] = []
        async for event in reader:
            assert isinstance(event, JobEvent)
            told.append(event)
            if event.data["message"] == "last":
                break
        assert [event.seq for event in told] == [*range(101, 1_200, 2), 1_201]
        reader.close()
        assert [event async for event in reader] == []
        hub.close()

    asyncio.run(go())


def test_numbers_that_may_have_been_seen_are_not_used_again(tmp_path: Path):
    async def go() -> None:
        hub = Hub(JobStore(tmp_path / "jobs.sqlite", PLENTY))
        hub.publish("job", "progress", {"node": "a"})
        hub.publish("job", "warning", {})  # seen by somebody, and not yet written when the process dies
        last = hub.seq
        assert hub.timer is not None
        hub.timer.cancel()
        again = Hub(JobStore(tmp_path / "jobs.sqlite", PLENTY))
        again.publish("job", "warning", {})
        assert again.seq > last
        again.close()

    asyncio.run(go())
