"""Progress bars on a terminal: one for the run, one for each node at work."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from nodegraph.cli.progress import result_lines, summary, warning_line
from nodegraph.cli.signals import STOPPING
from nodegraph.cli.terminal import paint, printable, show_problem
from nodegraph.errors import Problem
from nodegraph.execution import events
from nodegraph.execution.events import (
    Cached,
    Event,
    Failed,
    Finished,
    Planned,
    RunFinished,
    Skipped,
    Started,
    Warned,
)


class BarsView:
    """Bars while nodes run; what stays are the saved files, the problems and the summary."""

    def __init__(self, *, verbose: bool = False) -> None:
        self.verbose = verbose
        self.is_stopping = False
        console = Console(file=sys.stdout, markup=False, highlight=False, emoji=False, soft_wrap=True)
        amount = TextColumn("{task.fields[amount]}", markup=False)
        columns = (_Description(self), BarColumn(), amount, TimeElapsedColumn())
        self.progress = Progress(*columns, console=console, transient=True)
        self.whole: TaskID | None = None
        self.total = 0
        self.done = 0
        self.tasks: dict[str, TaskID] = {}
        self.failed: list[Failed] = []
        self.last: RunFinished | None = None

    def problem(self, problem: Problem) -> None:
        show_problem(problem)

    def show(self, event: Event) -> None:
        match event:
            case Planned():
                self.total = event.nodes
                self.whole = self.progress.add_task("nodes", total=event.nodes, amount=f"0/{event.nodes}")
                self.progress.start()
            case Started():
                title = f"{event.node} ({event.type})"
                self.tasks[event.node] = self.progress.add_task(printable(title), total=None, amount="")
            case events.Progress():
                self._step(event)
            case Finished() | Cached():
                self._end(event.node)
                for line in result_lines(event.node, event.saved):
                    self._print(line, "green")
            case Failed():
                self._end(event.node)
                self.failed.append(event)
            case Skipped(reason="off"):
                pass
            case Skipped():
                self._end(event.node)
            case events.Expanded():
                self.total += len(event.added)
            case Warned():
                self._print(warning_line(event), "yellow")
            case RunFinished():
                self.last = event
            case _:
                pass

    def stopping(self) -> None:
        self.is_stopping = True  # the next refresh shows it

    def close(self) -> None:
        self.progress.stop()
        for event in self.failed:
            show_problem(event.problem)
            if self.verbose:
                print(printable(event.details.rstrip()), file=sys.stderr)
        if self.last is not None:
            print(paint(summary(self.last), "dim", sys.stdout), flush=True)

    def _step(self, event: events.Progress) -> None:
        if event.node in self.tasks:
            amount = f"{event.value:g}/{event.total:g}"
            self.progress.update(
                self.tasks[event.node], completed=event.value, total=event.total or None, amount=amount
            )

    def _end(self, node: str) -> None:
        if node in self.tasks:
            self.progress.remove_task(self.tasks.pop(node))
        self.done += 1
        self.total = max(self.total, self.done)  # lazy inputs are asked for on the way
        if self.whole is not None:
            self.progress.update(self.whole, total=self.total, completed=self.done, amount=f"{self.done}/{self.total}")

    def _print(self, line: str, style: str) -> None:
        self.progress.console.print(Text(printable(line), style=style))


class _Description(ProgressColumn):
    """The name of a bar; of the first one, once the run is to stop, that it is stopping."""

    def __init__(self, view: BarsView) -> None:
        super().__init__(Column(no_wrap=True))
        self.view = view

    def render(self, task: Task) -> Text:
        if self.view.is_stopping and task.id == self.view.whole:
            return Text(STOPPING, style="yellow")
        return Text(task.description)
