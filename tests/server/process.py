"""A server in a process of its own, which tests may kill, starve, or start where something is wrong."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cli.support import environment
from tests.jobs.support import PACK, PATIENCE, children_of
from tests.server.support import Client


class Served(Client):
    """`nodegraph serve` with the nodes of tests; all that it keeps lies below a folder."""

    def __init__(
        self,
        folder: Path,
        *options: object,
        fault: str = "none",
        pack: str = PACK,
        env: Mapping[str, str] | None = None,
    ) -> None:
        packs = folder / "packs"
        packs.mkdir(parents=True, exist_ok=True)
        (folder / "in").mkdir(exist_ok=True)
        (packs / "jobtoys.py").write_text(pack, encoding="utf-8")
        command = [sys.executable, "-m", "tests.server.child", fault, "--port", "0", "--nodes", "packs"]
        command += ["--data-dir", "data", "--output-dir", "out", "--input-dir", "in", "--cache-dir", "kept"]
        command += ["--log-format", "json", "--devices", "cpu", *map(str, options)]
        self.folder = folder
        self.errors = folder / "errors.txt"
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(env), stdout=subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.url = json.loads(line)["url"].rstrip("/") if line else ""
        self.port = int(self.url.rpartition(":")[2] or 0)

    def __enter__(self) -> Self:
        assert self.url, self.said
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    @property
    def said(self) -> str:
        """What it wrote to standard error."""
        return self.errors.read_text(encoding="utf-8", errors="replace")

    def arm(self) -> None:
        """Have the fault strike from now on."""
        (self.folder / "armed").touch()

    def kill(self) -> None:
        """End it as a loss of power does."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def died(self) -> bool:
        """Whether the fault has struck; the next start is without it."""
        code = self.process.wait(PATIENCE)
        (self.folder / "armed").unlink()
        return code == -signal.SIGKILL

    def end(self, number: int = signal.SIGTERM) -> int:
        """Tell it to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def children(self) -> list[int]:
        """The process ids of its workers."""
        return children_of(self.process.pid)

    def event(self, kind: str, job: str, node: str | None = None) -> dict[str, Any]:
        """Wait for an event of a job, also one that was before (but progress, which is not written down)."""
        for event in self.events(f"after=0&job={job}"):
            if event["kind"] == kind and node in (None, event["data"].get("node")):
                return event
        raise AssertionError("the stream ended")
