"""What the tests of the command line share: a pack of light nodes, workflows made of them, and outcomes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

PACK = '''
"""Nodes for tests: some quick, one slow, one deaf, one that fails."""
from __future__ import annotations

import threading
from typing import Annotated, Literal

from nodegraph.node import NO_CONTEXT, Context, Help, Range, Seed, node
from nodegraph.sockets import Image, Saved, SavedFile


@node(category="test/numbers", light=True)
def Number(value: Annotated[int, Range(0, 100)] = 1) -> int:
    """A number. It is whole."""
    return value


@node(category="test/numbers")
def Add(a: int, b: int = 1, *, ratio: float = 1.0, mode: Literal["plain", "twice"] = "plain") -> int:
    """The sum of two numbers."""
    return (a + b) * (2 if mode == "twice" else 1)


@node(category="test/numbers")
def Dice(seed: Seed = 0) -> int:
    """A number that a seed decides."""
    return seed


@node(category="test")
def Fail(value: int) -> int:
    """Never works."""
    raise ValueError(f"no luck with {value}")


@node(category="test")
def Slow(value: int, context: Context = NO_CONTEXT) -> int:
    """Takes until it is cancelled."""
    cancelled = threading.Event()
    assert context.token is not None
    context.token.subscribe(cancelled.set)
    context.progress(1, 3)
    cancelled.wait()
    context.check_cancelled()
    return value


@node(category="test")
def Busy(value: int, context: Context = NO_CONTEXT) -> int:
    """Reports progress until it is cancelled."""
    cancelled = threading.Event()
    assert context.token is not None
    context.token.subscribe(cancelled.set)
    while not cancelled.wait(0.01):
        context.progress(1, 3)
    context.check_cancelled()
    return value


@node(category="test")
def Deaf(value: int, context: Context = NO_CONTEXT) -> int:
    """Takes for ever, and cancelling does not reach it."""
    context.progress(1, 3)
    while True:
        threading.Event().wait()


@node(category="test", light=True)
def Chatty(value: int, context: Context = NO_CONTEXT) -> int:
    """Has something to say."""
    context.warn("this is a big number")
    return value


@node(category="test")
def Threads(value: int) -> int:
    """How many CPU threads torch uses."""
    import torch

    return torch.get_num_threads()


@node(category="test", output_node=True)
def Write(value: int, name: Annotated[str, Help("of the file")] = "number", context: Context = NO_CONTEXT) -> Saved:
    """Write a number to a file."""
    context.roots.output.mkdir(parents=True, exist_ok=True)
    path = context.roots.output / f"{name}.txt"
    path.write_text(str(value), encoding="utf-8")
    return Saved((SavedFile(str(path), path.name, "", "output"),))


@node(category="test", output_node=True, light=True)
def Tell(value: int) -> Saved:
    """Show a number."""
    return Saved(shown={"text": f"it is {value}"})


@node(category="test")
def Stripes(seed: Seed = 0) -> Image:
    """A small picture that a seed decides."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return Image(torch.rand(1, 8, 8, 3, generator=generator))
'''

#: Adds two numbers and writes the sum; `$start` is a parameter.
SUM = """\
nodegraph: 1
params: {start: 2}
nodes:
  first: {uses: Number, with: {value: $start}}
  sum: {uses: Add, with: {a: $first, b: 3}}
  file: {uses: Write, with: {value: $sum, name: sum}}
"""

#: One branch fails, the other works.
HALF = """\
nodegraph: 1
nodes:
  first: {uses: Number}
  bad: {uses: Fail, with: {value: $first}}
  after: {uses: Add, with: {a: $bad}}
  lost: {uses: Write, with: {value: $after, name: lost}}
  kept: {uses: Write, with: {value: $first, name: kept}}
"""


@dataclass(frozen=True)
class Outcome:
    """How a command line ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a program that is started from this checkout."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **(extra or {})}


def command(*arguments: object) -> list[str]:
    """The command line as a program of its own."""
    return [sys.executable, "-m", "nodegraph", *map(str, arguments)]


def program(*arguments: object, cwd: Path, env: Mapping[str, str] | None = None, stdin: bytes | None = None) -> Outcome:
    """Run the command line as a program of its own."""
    done = subprocess.run(
        command(*arguments), cwd=cwd, env=environment(env), input=stdin, capture_output=True, check=False
    )
    return Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
