"""What the server costs over HTTP: answers, jobs with a client attached, and how it holds while a worker computes.

Beside it, in the same run: a server of the same library that answers with the same bytes and does nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from benchmarks.jobs import PACK, prompt
from benchmarks.table import print_table

HEAVY = '''
from nodegraph.node import NO_CONTEXT, Context

@node(category="benchmark", output_node=True)
def Compute(seconds: float, salt: int = 0) -> Saved:
    """Keeps torch busy on all cores."""
    import time
    import torch

    until, a = time.monotonic() + seconds, torch.rand(600, 600)
    while time.monotonic() < until:
        a = torch.tanh(a @ a)
    return Saved(shown={"text": ["done"]})


@node(category="benchmark", numeric=False)
def Tick(value: int = 0, context: Context = NO_CONTEXT) -> int:
    """Tells ten events within ten milliseconds: eight of progress between its start and its end."""
    import time

    for i in range(8):
        context.progress(i + 1, 8)
        time.sleep(0.0009)
    return value + 1
'''


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its address and process id."""
    (folder / "packs").mkdir()
    (folder / "packs" / "steps.py").write_text(PACK + HEAVY, encoding="utf-8")
    command = [sys.executable, "-m", "nodegraph", "serve", "--port", "0", "--nodes", "packs", "--data-dir", "data"]
    command += ["--output-dir", "out", "--cache-dir", "kept", "--log-format", "json", "--devices", "cpu"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        yield url.rstrip("/"), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


async def start_seconds(folder: Path) -> float:
    """Seconds from the command to the first answer."""
    began = time.perf_counter()
    with served(folder) as (url, _):
        async with aiohttp.ClientSession() as session, session.get(f"{url}/healthz") as answer:
            await answer.read()
        return time.perf_counter() - began


class Watcher:
    """A client on ComfyUI's websocket: how many bytes it gets, and when each job ends."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.bytes = socket, 0

    async def end_of(self, job: str) -> None:
        """Read until a job has ended."""
        async for message in self.socket:
            self.bytes += len(message.data)
            if isinstance(message.data, str):
                data = json.loads(message.data)
                facts = data.get("data", {})
                if data["type"] == "executing" and facts.get("node") is None and facts.get("prompt_id") == job:
                    return
        raise AssertionError("the socket was closed")


async def one(session: aiohttp.ClientSession, url: str, watcher: Watcher, text: str) -> tuple[float, float, int]:
    """Seconds until the answer and until the end of a job, and the bytes of events."""
    before, began = watcher.bytes, time.perf_counter()
    body = {"prompt": json.loads(text), "client_id": "bench"}
    async with session.post(f"{url}/prompt", json=body) as answer:
        job = (await answer.json())["prompt_id"]
    answered = time.perf_counter() - began
    await watcher.end_of(job)
    return answered, time.perf_counter() - began, watcher.bytes - before


async def echo_seconds(session: aiohttp.ClientSession, times: int) -> float:
    """The median of what the same library takes to answer a request of the same size with nothing behind it."""

    async def handler(request: web.Request) -> web.Response:
        await request.json()
        return web.json_response({"prompt_id": "0" * 36, "number": 1, "node_errors": {}})

    app = web.Application()
    app.router.add_post("/prompt", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    measured: list[float] = []
    for i in range(times):
        began = time.perf_counter()
        async with session.post(f"http://127.0.0.1:{port}/prompt", json={"prompt": json.loads(prompt(1, i))}) as answer:
            await answer.read()
        measured.append(time.perf_counter() - began)
    await runner.cleanup()
    return statistics.median(measured)


async def health_while(session: aiohttp.ClientSession, url: str, until: Callable[[], Awaitable[None]]) -> list[float]:
    """How long /healthz takes, asked every 10 ms until something is over."""
    task, measured = asyncio.ensure_future(until()), list[float]()
    while not task.done():
        began = time.perf_counter()
        async with session.get(f"{url}/healthz") as answer:
            await answer.read()
        measured.append(time.perf_counter() - began)
        await asyncio.sleep(0.01)
    await task
    return sorted(measured)


def resident(pid: int) -> float:
    """MiB of a process's memory that are in use."""
    with Path(f"/proc/{pid}/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20


async def warmed(pid: int) -> None:
    """Wait until workers have imported what they import after their start, which is once, and beside their work."""

    def ticks() -> int:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        stats = [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split() for child in children]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats)

    before = -100
    while (now := ticks()) > before + 2:
        before = now
        await asyncio.sleep(0.5)


async def fan_out(session: aiohttp.ClientSession, url: str, pid: int, clients: int) -> tuple[int, float]:
    """Many event streams at once, while 1,000 nodes run: the events that the slowest got, and the MiB it took."""
    before = resident(pid)
    sockets = [await session.ws_connect(f"{url}/api/v1/events") for _ in range(clients)]
    body = {"workflow": prompt(1_000, 77_777)}
    async with session.post(f"{url}/api/v1/jobs", json=body) as answer:
        job = (await answer.json())["id"]

    async def read(socket: aiohttp.ClientWebSocketResponse) -> int:
        count = 0
        async for message in socket:
            event = json.loads(message.data)
            count += event["job"] == job
            if event["job"] == job and event["kind"] == "job_finished":
                return count
        raise AssertionError("the socket was closed")

    counts = await asyncio.gather(*[read(socket) for socket in sockets])
    grown = resident(pid) - before
    for socket in sockets:
        await socket.close()
    return min(counts), grown


@dataclass(frozen=True)
class Flood:
    """What many clients got of many events. made: events a second. least: those that the slowest client got. lost:
    lasting events that any client lacked. grown, most: MiB by which the server had grown afterwards, and at most."""

    made: float
    least: int
    total: int
    lost: int
    grown: float
    most: float


async def flood(session: aiohttp.ClientSession, url: str, pid: int, clients: int, nodes: int) -> Flood:
    """Many clients on websockets, while a job makes about 1,000 events a second for some seconds."""
    before = peak = resident(pid)
    chain: dict[str, object] = {"n0": {"uses": "Tick", "with": {"value": 0}}}
    for i in range(1, nodes):
        chain[f"n{i}"] = {"uses": "Tick", "with": {"value": f"$n{i - 1}"}}
    chain["end"] = {"uses": "End", "with": {"value": f"$n{nodes - 1}"}}
    sockets = [await session.ws_connect(f"{url}/api/v1/events") for _ in range(clients)]
    began = time.perf_counter()
    async with session.post(f"{url}/api/v1/jobs", json={"nodegraph": 1, "nodes": chain}) as answer:
        job = (await answer.json())["id"]

    async def read(socket: aiohttp.ClientWebSocketResponse) -> tuple[int, int]:
        nonlocal peak
        count = lasting = 0
        async for message in socket:
            if job in message.data:
                count += 1
                lasting += '"kind": "progress"' not in message.data
                if '"kind": "job_finished"' in message.data:
                    return count, lasting
            peak = max(peak, resident(pid)) if count % 500 == 0 else peak
        raise AssertionError("the socket was closed")

    counts = await asyncio.gather(*[read(socket) for socket in sockets])
    seconds = time.perf_counter() - began
    for socket in sockets:
        await socket.close()
    lasting = 2 * (nodes + 1) + 4  # starts and ends of nodes; queued, started, planned, finished
    made = lasting + 8 * nodes
    lost = sum(max(0, lasting - each) for _, each in counts)
    grown = resident(pid) - before
    return Flood(
        made / seconds, min(count for count, _ in counts), made, lost, grown, max(peak, before + grown) - before
    )


def commit_seconds(folder: Path, times: int) -> float:
    """What the disk takes for the one commit that an answer to POST waits for, in the median."""
    connection = sqlite3.connect(folder / "commit.db", isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (a)")
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        connection.execute("INSERT INTO t VALUES (zeroblob(1000))")
        taken.append(time.perf_counter() - began)
    connection.close()
    return statistics.median(taken)


async def measure(small: bool) -> list[list[object]]:
    """All rows of the table."""
    times = 20 if small else 200
    with tempfile.TemporaryDirectory() as folder:
        started = await start_seconds(Path(folder))
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as (url, pid):
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(f"{url}/ws?clientId=bench")
            watcher = Watcher(socket)
            for i in range(5):
                await one(session, url, watcher, prompt(1, -1 - i))
            await warmed(pid)
            idle = resident(pid)
            singles = [await one(session, url, watcher, prompt(1, i)) for i in range(times)]
            echo = await echo_seconds(session, times)
            commit = commit_seconds(Path(folder), times)
            large = min(
                [await one(session, url, watcher, prompt(1_000, i)) for i in range(3)], key=lambda each: each[1]
            )
            again = min([(await one(session, url, watcher, prompt(1_000, 2)))[1] for _ in range(3)])
            huge = await one(session, url, watcher, prompt(1_000 if small else 5_000, 9))
            heavy = json.dumps({"1": {"class_type": "Compute", "inputs": {"seconds": 2.0 if small else 6.0}}})

            async def compute() -> None:
                await one(session, url, watcher, heavy)

            health = await health_while(session, url, compute)
            seen, grown = await fan_out(session, url, pid, 50)
            flooded = await flood(session, url, pid, 50, 50 if small else 500)
            first = resident(pid)
            for i in range(50 if small else 500):
                await one(session, url, watcher, prompt(1, 10_000 + i))
            last = resident(pid)
    answered, ended = (statistics.median(each[i] for each in singles) * 1e3 for i in (0, 1))
    return [
        ["from the command to the first answer", f"{started:.2f} s", "1 s"],
        ["memory of the server, idle", f"{idle:.0f} MiB", "120 MiB"],
        ["POST /prompt of one node answered (median)", f"{answered:.2f} ms", "2 ms"],
        ["the same by a server that does nothing", f"{echo * 1e3:.2f} ms", ""],
        ["a commit that is sure to be on this disk (median)", f"{commit * 1e3:.2f} ms", ""],
        ["its end at the client (median)", f"{ended:.2f} ms", "5 ms"],
        ["1,000 new nodes, a client attached", f"{large[1] * 1e3:.0f} ms, {large[2] / 1e6:.2f} MB", "300 ms, 1 MB"],
        ["the same again, unchanged", f"{again * 1e3:.0f} ms", "50 ms"],
        ["5,000 new nodes" if not small else "1,000 new nodes", f"{huge[1]:.2f} s, {huge[2] / 1e6:.2f} MB", "2 s"],
        ["/healthz while torch computes (p99)", f"{health[int(len(health) * 0.99)] * 1e3:.1f} ms", "20 ms"],
        ["events that each of 50 clients got of 1,000 nodes", f"{seen:,}", ""],
        ["memory that this took the server", f"{grown:.1f} MiB", "bounded"],
        ["events a second, while 50 clients listen", f"{flooded.made:,.0f}", "1,000"],
        ["of these, got by the slowest client", f"{flooded.least:,} of {flooded.total:,}", ""],
        ["of these, starts and ends that a client lacked", f"{flooded.lost}", "0"],
        ["memory that this took, at most and afterwards", f"{flooded.most:.1f}, {flooded.grown:.1f} MiB", "bounded"],
        [
            "memory of the server over 500 jobs" if not small else "over 50 jobs",
            f"{first:.1f} → {last:.1f} MiB",
            "± 5 %",
        ],
    ]


def main(small: bool = False) -> None:
    """Print the table."""
    rows = asyncio.run(measure(small))
    print_table("The server, over HTTP on one machine", ["", "measured", "to reach"], rows)
