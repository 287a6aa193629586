"""What the tests of jobs share: a pack of nodes that are quick, slow, deaf or deadly, and a service that runs them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nodegraph.execution.settings import Settings
from nodegraph.jobs.model import FINAL, Job, JobEvent, PreviewEvent, Request, State
from nodegraph.jobs.service import LocalJobService
from nodegraph.jobs.settings import JobSettings

PATIENCE = 60.0

PACK = '''
"""Nodes for tests of jobs."""
from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from pathlib import Path

from nodegraph.node import NO_CONTEXT, Context, node
from nodegraph.sockets import Saved, SavedFile


@node(category="test", light=True, numeric=False)
def Number(value: int = 1) -> int:
    """A number."""
    return value


@node(category="test", light=True, numeric=False)
def Add(a: int, b: int = 1) -> int:
    """The sum of two numbers."""
    return a + b


@node(category="test", numeric=False)
def Note(value: int, path: str) -> int:
    """Adds a line to a file: how often it has run."""
    with open(path, "a") as file:
        file.write(f"{value}\\n")
    return value


@node(category="test", light=True, numeric=False, output_node=True)
def Tell(value: int) -> Saved:
    """Show a number."""
    return Saved(shown={"text": [f"it is {value}"]})


@node(category="test", numeric=False, output_node=True)
def Write(value: int, name: str = "number", context: Context = NO_CONTEXT) -> Saved:
    """Write a number to a file."""
    context.roots.output.mkdir(parents=True, exist_ok=True)
    path = context.roots.output / f"{name}.txt"
    path.write_text(str(value))
    return Saved((SavedFile(str(path), path.name, "", "output"),))


@node(category="test", numeric=False)
def Slow(value: int, context: Context = NO_CONTEXT) -> int:
    """Takes until it is cancelled."""
    cancelled = threading.Event()
    assert context.token is not None
    context.token.subscribe(cancelled.set)
    context.progress(1, 3)
    cancelled.wait()
    context.check_cancelled()
    return value


@node(category="test", numeric=False)
def Deaf(value: int, path: str = "", context: Context = NO_CONTEXT) -> int:
    """Takes for ever, and cancelling does not reach it; or until a file is there."""
    context.progress(1, 3)
    while not (path and Path(path).exists()):
        time.sleep(0.01)
    return value


@node(category="test", numeric=False)
def Frozen(value: int) -> int:
    """Holds up its whole process, as code of a library may."""
    ctypes.PyDLL(None).pause()
    return value


@node(category="test", numeric=False)
def Die(value: int, by: str = "SIGSEGV") -> int:
    """Kills its process."""
    os.kill(os.getpid(), getattr(signal, by))
    time.sleep(60)
    return value


@node(category="test", numeric=False)
def DieOnce(value: int, path: str) -> int:
    """Kills its process when it runs for the first time."""
    if not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    return value


@node(category="test", numeric=False)
def Exit(value: int) -> int:
    """Leaves its process."""
    os._exit(3)


@node(category="test", numeric=False)
def Fail(value: int) -> int:
    """Never works."""
    raise ValueError(f"no luck with {value}")


@node(category="test", numeric=False)
def Noisy(value: int) -> int:
    """Prints by all ways there are."""
    print("hello from a node", flush=True)
    os.write(1, b"hello from below\\n")
    os.system("echo hello from a shell")
    return value


@node(category="test", numeric=False)
def Steps(value: int, steps: int = 1000, context: Context = NO_CONTEXT) -> int:
    """Reports each of its steps, and shows pictures."""
    import PIL.Image

    for i in range(steps):
        context.progress(i + 1, steps)
    if context.wants_previews:
        context.preview(PIL.Image.new("RGB", (1024, 700), (value, 0, 0)))
    return value


@node(category="test", numeric=False)
def Watched(value: int, context: Context = NO_CONTEXT) -> int:
    """One more if somebody looks at previews."""
    return value + context.wants_previews
'''

SUM = """\
nodegraph: 1
params: {start: 2}
nodes:
  first: {uses: Number, with: {value: $start}}
  sum: {uses: Add, with: {a: $first, b: 3}}
  shown: {uses: Tell, with: {value: $sum}}
"""


def chain(uses: str, extra: str = "", value: int = 1) -> str:
    """A workflow of one node of interest, and one that shows what it gives."""
    return f"""\
nodegraph: 1
nodes:
  first: {{uses: Number, with: {{value: {value}}}}}
  middle: {{uses: {uses}, with: {{value: $first{extra}}}}}
  shown: {{uses: Tell, with: {{value: $middle}}}}
"""


def settings_in(folder: Path, **changes: Any) -> JobSettings:
    """Settings of a service that keeps all it has below a folder."""
    pack = folder / "packs" / "jobtoys.py"
    if not pack.exists():
        pack.parent.mkdir(parents=True)
        pack.write_text(PACK, encoding="utf-8")
    execution = Settings(
        output=folder / "output", inputs=(folder / "input",), models=(folder / "models",), cache_dir=folder / "cache"
    )
    settings = JobSettings(folder / "data", execution, nodes=(pack.parent,), warm=False)
    return replace(settings, **changes)


@contextlib.asynccontextmanager
async def serving(settings: JobSettings, *, grace: float = 10.0) -> AsyncIterator[LocalJobService]:
    """A running service."""
    service = LocalJobService(settings)
    await service.start()
    try:
        yield service
    finally:
        await service.stop(grace)


def in_service(folder: Path, work: Callable[[LocalJobService], Any], **changes: Any) -> Any:
    """Do something with a service, and give what comes of it."""

    async def go() -> Any:
        async with serving(settings_in(folder, **changes)) as service:
            async with asyncio.timeout(PATIENCE):
                return await work(service)

    return asyncio.run(go())


async def ended(service: LocalJobService, id_: str) -> Job:
    """A job as it is when it has ended."""
    return await became(service, id_, *FINAL)


async def became(service: LocalJobService, id_: str, *states: State) -> Job:
    """A job as soon as it is in one of these states."""
    reader = service.subscribe(job=id_)
    job = service.get(id_)
    assert job is not None
    while job.state not in states:
        await anext(reader)
        job = service.get(id_)
        assert job is not None
    reader.close()
    return job


async def until(reader: AsyncIterator[JobEvent | PreviewEvent], kind: str) -> list[JobEvent | PreviewEvent]:
    """The events up to one of this kind."""
    seen: list[JobEvent | PreviewEvent] = []
    async for event in reader:
        seen.append(event)
        if isinstance(event, JobEvent) and event.kind == kind:
            break
    return seen


async def done(service: LocalJobService, text: str, **facts: Any) -> Job:
    """What became of a job."""
    return await ended(service, service.submit(Request(text, **facts)).id)


def children_of(pid: int) -> list[int]:
    """The process ids of what a process has started: the workers of a server."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in listed.split()]


def gone(pid: int) -> bool:
    """Whether a process has ended, waiting for it a while."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
        except (OSError, IndexError):
            return True
        if state == "Z":
            return True
        os.sched_yield()
    return False
