"""How a run is shown: a line a node, JSON lines, only what was saved, or (in `bars`) progress bars."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Protocol

from nodegraph.cli.signals import write_stopping
from nodegraph.cli.terminal import count, say, show_problem, shown_path
from nodegraph.errors import Problem
from nodegraph.execution.events import Cached, Event, Expanded, Failed, Finished, Planned, RunFinished, Skipped, Warned
from nodegraph.sockets.values import Saved


class View(Protocol):
    """Shows the events of a run."""

    def problem(self, problem: Problem) -> None:
        """A problem that was found before the run."""
        ...

    def show(self, event: Event) -> None:
        """One event."""
        ...

    def stopping(self) -> None:
        """The user asked to stop; called inside a signal handler."""
        ...

    def close(self) -> None:
        """The run is over."""
        ...


class QuietView:
    """The paths of saved files, and what went wrong."""

    def problem(self, problem: Problem) -> None:
        if problem.severity == "error":
            show_problem(problem)

    def show(self, event: Event) -> None:
        if isinstance(event, Finished | Cached) and event.saved is not None:
            for file in event.saved.files:
                say(shown_path(file.path))
        elif isinstance(event, Failed):
            show_problem(event.problem)

    def stopping(self) -> None:
        write_stopping()

    def close(self) -> None:
        pass


class JsonView(QuietView):
    """Each event as one line of JSON; problems are told to people on stderr as well."""

    def problem(self, problem: Problem) -> None:
        show_problem(problem)
        say(json.dumps({"event": "problem", "problem": problem.to_json()}))

    def show(self, event: Event) -> None:
        say(json.dumps(event.to_json()))
        if isinstance(event, Failed):
            show_problem(event.problem)


class LinesView(QuietView):
    """A line for each node that is done with, for logs and pipes."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.total = 0
        self.done = 0

    def problem(self, problem: Problem) -> None:
        show_problem(problem)

    def show(self, event: Event) -> None:
        match event:
            case Planned():
                self.total = event.nodes
            case Finished():
                self._line(event.node, event.type, f"{event.seconds:.1f} s")
                self._results(event.node, event.saved)
            case Cached():
                self._line(event.node, event.type, "cached")
                self._results(event.node, event.saved)
            case Failed():
                self._line(event.node, event.type, "failed")
                show_problem(event.problem)
                if self.verbose:
                    say(event.details.rstrip(), stream=sys.stderr)
            case Skipped(because=str()):
                self._line(event.node, event.type, f"skipped because '{event.because}' failed")
            case Skipped(reason="off"):
                say(f"{event.node} ({event.type}) is off: its 'when' does not hold, or that of a node it needs")
            case Skipped(reason="blocked"):
                self._line(event.node, event.type, "not run, since no value came for it")
            case Expanded():
                self.total += len(event.added)
            case Warned():
                say(warning_line(event), stream=sys.stderr)
            case RunFinished():
                say(summary(event))
            case _:
                pass

    def _line(self, node: str, type_: str, end: str) -> None:
        self.done += 1
        self.total = max(self.total, self.done)  # lazy inputs are asked for on the way
        say(f"[{self.done}/{self.total}] {node} ({type_}) {end}")

    def _results(self, node: str, saved: Saved | None) -> None:
        for line in result_lines(node, saved):
            say(line, style="green")


def result_lines(node: str, saved: Saved | None) -> list[str]:
    """What an output node produced: a line for each file, and for each thing to show."""
    if saved is None:
        return []
    shown: Mapping[str, object] = saved.shown or {}
    return [f"saved {shown_path(file.path)}" for file in saved.files] + [f"{node}: {value}" for value in shown.values()]


def warning_line(event: Warned) -> str:
    """What a node, or nodegraph itself, has to say."""
    return f"warning: '{event.node}': {event.message}" if event.node else f"warning: {event.message}"


def summary(event: RunFinished) -> str:
    """The last line: `7 nodes: 3 run, 4 cached, 2.3 s`."""
    counts = {
        "run": event.executed,
        "cached": event.cached,
        "failed": event.failed,
        "not run" if event.status == "cancelled" else "skipped": event.skipped,
    }
    parts = [f"{number:,} {word}" for word, number in counts.items() if number]
    stopped = "stopped; " if event.status == "cancelled" else ""
    return f"{stopped}{count(sum(counts.values()), 'node')}: {', '.join([*parts, f'{event.seconds:.1f} s'])}"
