"""What a pack asks of the program it runs in: the call that is being made, and the folders of files.

ComfyUI's interface has these as globals. Here the call is a context variable (threads and tasks each have their own),
and only the folders, which packs ask for before anything runs, are set for the whole process.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from nodegraph.context import NO_CONTEXT, Cancelled, Context, Roots


@dataclass(slots=True)
class Call:
    """One call of a pack's node: its door to the outside, and how many expansions it has begun."""

    context: Context
    graphs: int = 0

    def next_graph(self) -> int:
        """The number of the expansion that begins now."""
        self.graphs += 1
        return self.graphs - 1


class Interrupted(Cancelled):
    """Raised inside a node when its run is to stop; a node that raises it by itself ends the run."""


_CALL: ContextVar[Call | None] = ContextVar("nodegraph_pack_call", default=None)


@contextmanager
def calling(context: Context) -> Generator[Call]:
    """While a pack's node is called."""
    call = Call(context)
    token = _CALL.set(call)
    try:
        yield call
    finally:
        _CALL.reset(token)


def this_call() -> Call | None:
    """The call that is being made in this thread or task, None outside of any."""
    return _CALL.get()


def this_context() -> Context:
    """The context of the call that is being made; outside of any, one that leads nowhere."""
    call = _CALL.get()
    return NO_CONTEXT if call is None else call.context


class _Process:
    """What packs ask for before anything runs."""

    roots: Roots = Roots()
    lookups: int = 0


def set_roots(roots: Roots) -> None:
    """Have packs look for files in these folders."""
    _Process.roots = roots


def roots() -> Roots:
    """The folders of the run that a call belongs to; outside of any, those that were set."""
    _Process.lookups += 1
    call = _CALL.get()
    return _Process.roots if call is None else call.context.roots


def lookups() -> int:
    """How often folders were asked for so far: whoever counts sees whether a function did."""
    return _Process.lookups


def folder_of(kind: str) -> Path | None:
    """The folder that ComfyUI calls `output`, `temp` or `input`."""
    where = roots()
    return {"output": where.output, "temp": where.temp, "input": where.input[0]}.get(kind)
