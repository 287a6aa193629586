"""What the queue and a worker process cost: jobs from submission to their last event, and a queue of thousands."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import print_table
from nodegraph.execution.session import Session, registry_for
from nodegraph.execution.settings import Settings
from nodegraph.jobs.examine import Reader, examine
from nodegraph.jobs.model import JobEvent, Request
from nodegraph.jobs.service import LocalJobService
from nodegraph.jobs.settings import JobSettings

PACK = '''
from nodegraph.node import node
from nodegraph.sockets import Saved

@node(category="benchmark", light=True, numeric=False)
def Step(a: int = 0, b: int = 0) -> int:
    """The sum of two numbers."""
    return a + b

@node(category="benchmark", light=True, numeric=False, output_node=True)
def End(value: int) -> Saved:
    """Shows a number."""
    return Saved(shown={"text": [str(value)]})
'''
Row = tuple[str, str]


def prompt(count: int, start: int) -> str:
    """A chain of `count` nodes, each of which depends on `start`, in API format."""
    nodes: dict[str, object] = {"0": {"class_type": "Step", "inputs": {"a": start}}}
    for i in range(1, count - 1):
        nodes[str(i)] = {"class_type": "Step", "inputs": {"a": [str(i - 1), 0], "b": i}}
    nodes[str(count)] = {"class_type": "End", "inputs": {"value": [str(max(0, count - 2)), 0]}}
    return json.dumps(nodes)


def settings_in(folder: Path) -> JobSettings:
    """A service of its own, with a worker that imports nothing heavy."""
    (folder / "packs").mkdir()
    (folder / "packs" / "steps.py").write_text(PACK, encoding="utf-8")
    execution = Settings(output=folder / "output", cache_dir=folder / "cache")
    return JobSettings(folder / "data", execution, nodes=(folder / "packs",), warm=False)


async def one_job(service: LocalJobService, text: str) -> tuple[float, float, int, int]:
    """Seconds until a job is queued, and until its last event is there; the number of events, and their bytes."""
    reader = service.subscribe()
    began = time.perf_counter()
    job = service.submit(Request(text))
    queued = time.perf_counter() - began
    count = size = 0
    async for event in reader:
        if isinstance(event, JobEvent) and event.job == job.id:
            count, size = count + 1, size + len(json.dumps(event.data)) + 100
            if event.kind == "job_finished":
                assert event.data["state"] == "done", event.data
                break
    ended = time.perf_counter() - began
    reader.close()
    return queued, ended, count, size


async def single_jobs(service: LocalJobService, folder: Path, times: int) -> list[Row]:
    """One node a job, each another value."""
    for i in range(3):
        await one_job(service, prompt(1, -i - 1))
    measured = [await one_job(service, prompt(1, i)) for i in range(times)]
    raw = [synced_write(folder / "raw", i) for i in range(times)]
    queued, ended = (statistics.median(each[i] for each in measured) for i in (0, 1))
    return [
        ("submit one node", milliseconds(queued)),
        ("a file of 1 kB written and synced", milliseconds(statistics.median(raw))),
        ("its last event", milliseconds(ended)),
    ]


def synced_write(path: Path, i: int) -> float:
    """Seconds for what a durable queue costs at least."""
    began = time.perf_counter()
    with path.open("ab") as file:
        file.write(b"x" * 1024)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - began


async def large_jobs(service: LocalJobService, settings: JobSettings, count: int, times: int) -> list[Row]:
    """Many nodes: new ones, the same again, and the same in this process."""
    cold = [await one_job(service, prompt(count, i)) for i in range(times)]
    again = [await one_job(service, prompt(count, times - 1)) for _ in range(times)]
    events, size = cold[0][2], cold[0][3]
    here = await asyncio.to_thread(in_process, settings, count, times)
    return [
        (f"{count:,} nodes", milliseconds(min(each[1] for each in cold))),
        (f"{count:,} nodes without a service", milliseconds(here)),
        (f"{count:,} nodes unchanged", milliseconds(min(each[1] for each in again))),
        (f"events of {count:,} nodes", f"{events:,}, {size / 1e6:.2f} MB"),
    ]


def in_process(settings: JobSettings, count: int, times: int) -> float:
    """Seconds that the same takes without a queue, a worker or events."""
    registry = registry_for(settings.execution, settings.nodes)
    least = float("inf")
    with Session(settings.execution, registry) as session:
        for i in range(times):
            began = time.perf_counter()
            examined = examine(Request(prompt(count, 1_000 + i)), Reader(registry), settings.execution)
            assert examined.graph is not None
            assert session.run(examined.graph, want=()).status == "done"
            least = min(least, time.perf_counter() - began)
    return least


async def long_queue(service: LocalJobService, count: int) -> list[Row]:
    """Thousands of jobs that wait: listed, and cancelled all at once."""
    service.pause()
    rows = [("submit, of many", milliseconds(clock(lambda: fill(service, count)) / count))]
    listed: list[str] = []
    rows.append(
        (f"list {count:,} jobs", milliseconds(clock(lambda: listed.extend(j.id for j in service.jobs(("queued",))))))
    )
    queued = service.store.ids(("queued",))
    rows.append((f"cancel {count:,} jobs", milliseconds(clock(lambda: service.cancel(queued)))))
    assert set(queued) <= set(listed)
    assert service.count(("queued",)) == 0
    service.resume()
    return rows


def fill(service: LocalJobService, count: int) -> None:
    """Queue jobs of twenty nodes."""
    for i in range(count):
        service.submit(Request(prompt(20, i)))


def clock(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def memory(service: LocalJobService, times: int) -> list[Row]:
    """What the worker's memory does over many jobs."""

    async def used() -> int:
        await asyncio.sleep(2 * service.settings.beat_seconds)  # so that it has told
        return service.workers()[0].memory

    for i in range(times // 5):
        await one_job(service, prompt(20, 10_000 + i))
    before = await used()
    for i in range(times):
        await one_job(service, prompt(20, 20_000 + i))
    return [(f"worker's memory over {times} jobs", f"{before / 2**20:.1f} to {await used() / 2**20:.1f} MiB")]


async def measure_all(folder: Path, *, small: bool) -> list[Row]:
    """All of it, with one service."""
    settings = settings_in(folder)
    service = LocalJobService(settings)
    await service.start()
    try:
        return [
            *await single_jobs(service, folder, 10 if small else 200),
            *await large_jobs(service, settings, 100 if small else 1_000, 2 if small else 5),
            *await large_jobs(service, settings, 200 if small else 5_000, 2 if small else 3),
            *await memory(service, 5 if small else 500),
            *await long_queue(service, 100 if small else 10_000),
        ]
    finally:
        await service.stop()


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds."""
    return f"{seconds * 1000:.2f} ms" if seconds < 0.01 else f"{seconds * 1000:,.0f} ms"


def main(*, small: bool = False) -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure_all(Path(folder), small=small))
    print_table("The queue and a worker process", ["jobs", ""], rows)
