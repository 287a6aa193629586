"""Processes that a test may kill: forked from one that has imported everything, so that each starts at once.

    with Nursery() as nursery:
        victim = nursery.start("write_blobs", folder)
        victim.hear()  # the next line it says
        victim.kill()

A job is a function of this module; it gets its arguments and a function to say something with. The nursery itself is
this file, run as a program.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.cli.support import ROOT, environment

HEAR_SECONDS = 60.0
Say = Callable[[object], None]


class Nursery:
    """The process that forks the others, with torch imported if that is asked for."""

    def __init__(self, *, torch: bool = False) -> None:
        command = [sys.executable, "-m", "tests.execution.victims", "torch" if torch else ""]
        env = environment({"OMP_NUM_THREADS": "1"})
        self.process = subprocess.Popen(
            command, env=env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self.pipes = Path(tempfile.mkdtemp())
        self.started = 0

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.pipes.rmdir()

    def start(self, job: str, *arguments: object) -> Victim:
        """Have a process do a job."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.started += 1
        pipe = self.pipes / str(self.started)
        os.mkfifo(pipe)
        order = {"job": job, "arguments": [str(argument) for argument in arguments], "pipe": str(pipe)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        said = pipe.open("rb", buffering=0)
        pipe.unlink()
        return Victim(int(self.process.stdout.readline()), said)


class Victim:
    """A process at work."""

    def __init__(self, pid: int, said: IO[bytes]) -> None:
        self.pid, self.said = pid, said
        self.rest = b""

    def hear(self) -> Any:
        """What it says next, None once it is over."""
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.said], [], [], HEAR_SECONDS)
            assert ready, "nothing was said for too long"
            piece = os.read(self.said.fileno(), 1 << 16)
            if not piece:
                self.said.close()
                return None
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def kill(self) -> None:
        """kill -9, and wait until it is dead."""
        os.kill(self.pid, signal.SIGKILL)
        while self.hear() is not None:
            pass
        with suppress(ProcessLookupError):
            while True:  # its files are closed a moment before it is gone
                os.kill(self.pid, 0)

    def last(self) -> Any:
        """The last thing it says, once it is over."""
        last = None
        while (said := self.hear()) is not None:
            last = said
        return last


def write_blobs(say: Say, folder: str, seed: str) -> None:
    """Puts results of 4 MB, one after the other; nearly all of its time goes into writing them."""
    import torch

    from tests.cache.support import Opened, key_of, record_for

    store, tensor = Opened(Path(folder)).store, torch.full((1 << 20,), float(seed))
    record = record_for(tensor)
    for i in range(10_000):
        key = key_of(f"{seed} {i}")
        store.put(key, record, (tensor,), at_once=True)
        say(key.hex())


def write_rows(say: Say, folder: str, seed: str) -> None:
    """Puts small results, with a commit for each."""
    from nodegraph.cache.disk import DiskStore
    from nodegraph.cache.records import Record
    from nodegraph.sockets.codecs import digest

    store = DiskStore(Path(folder), free=0)
    for i in range(100_000):
        key, text = digest(f"{seed} {i}"), f"{i} " * 100
        store.put(key, Record((digest(text),), 1.0), (text,), at_once=True)
        say([key.hex(), i])


def run_nodes(say: Say, folder: str, value: str, hang: str) -> None:
    """Runs three heavy nodes; the second one may take for ever."""
    from nodegraph.execution.session import Session
    from nodegraph.execution.settings import Settings
    from nodegraph.node import node
    from tests.toys import entry, registry, workflow

    @node(category="toys", numeric=False)
    def First(value: int) -> int:
        return value + 1

    @node(category="toys", numeric=False)
    def Second(value: int) -> int:
        if hang == "hang":
            say("in second")
            signal.pause()
        return value * 2

    nodes = [entry("a", "First", value=int(value)), entry("b", "Second", value="$a"), entry("s", "Show", value="$b")]
    with Session(Settings(cache_dir=Path(folder)), registry(First, Second)) as session:
        result = session.run(workflow(*nodes))
        say({
            "executed": result.executed, "cached": result.cached, "shown": dict(result.saved["s"].shown or {}),
            "problems": [problem.describe() for problem in result.problems], "notices": list(session.notices),
        })  # fmt: skip


def work_slowly(say: Say, folder: str, gate: str) -> None:
    """Runs one node that says when it works, and goes on when it may read from `gate`."""
    from nodegraph.execution.session import Session
    from nodegraph.execution.settings import Settings
    from nodegraph.node import node
    from tests.toys import entry, registry, workflow

    @node(category="toys", numeric=False)
    def Work(value: int) -> int:
        say("working")
        Path(gate).read_text()
        return value + 1

    with Session(Settings(cache_dir=Path(folder)), registry(Work)) as session:
        say("ready")
        result = session.run(workflow(entry("w", "Work", value=1), entry("s", "Show", value="$w")))
        say({"executed": result.executed, "cached": result.cached, "shown": dict(result.saved["s"].shown or {})})


def open_store(say: Say, folder: str, name: str) -> None:
    """Opens a store and puts one result."""
    from nodegraph.cache.disk import DiskStore
    from nodegraph.cache.records import Record
    from nodegraph.sockets.codecs import digest

    told: list[str] = []
    store = DiskStore(Path(folder), free=0, warn=told.append)
    store.put(digest(name), Record((digest(name),), 1.0), (name,), at_once=True)
    store.close()
    say(told)


JOBS = {job.__name__: job for job in (write_blobs, write_rows, run_nodes, work_slowly, open_store)}


def do(order: dict[str, Any]) -> None:
    """One job, in a process of its own."""
    with Path(order["pipe"]).open("w", buffering=1) as pipe:
        JOBS[order["job"]](lambda what: print(json.dumps(what), file=pipe), *order["arguments"])


def main() -> None:
    """Fork a process for each order that comes in."""
    import tests.toys

    if sys.argv[1:] == ["torch"]:
        import safetensors.torch  # noqa: F401

        import tests.cache.support  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                do(json.loads(line))
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
