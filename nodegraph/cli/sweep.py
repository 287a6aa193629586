"""`nodegraph sweep`: run a workflow for several values of its parameters and inputs, without editing the file."""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from nodegraph.cli import run
from nodegraph.cli.command import Command
from nodegraph.cli.exit_codes import FINE, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.errors import Problem
    from nodegraph.execution.events import Event
    from nodegraph.execution.result import RunResult
    from nodegraph.execution.settings import Settings
    from nodegraph.graph.model import Graph
    from nodegraph.registry import Registry
    from nodegraph.workflow.document import Series, Workflow

PREVIEW: Final = "PreviewImage"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `sweep`: its own, and those of `run`."""
    parser.add_argument(
        "--over",
        action="append",
        default=[],
        required=True,
        metavar="NAME=VALUES",
        help="values of a parameter or an input (NODE.INPUT): 3,5,7 or 1..4 or 1..10:3; the first varies slowest; a "
        "comma inside a value is written '\\,' (repeatable)",
    )
    parser.add_argument("--zip", action="store_true", help="take the values of all --over side by side, not combined")
    parser.add_argument("--grid", type=Path, metavar="OUT.png", help="put all pictures on one labelled sheet")
    run.add_options(parser)


def call(arguments: argparse.Namespace) -> int:
    """Run FILE once for every combination. The exit code says whether everything that was asked for is there."""
    from nodegraph.cli.setup import limit_threads, registry_of, settings_of
    from nodegraph.cli.signals import StopSignals
    from nodegraph.context import CancelToken
    from nodegraph.execution.session import Session

    limit_threads(arguments.threads)
    settings = settings_of(arguments)
    registry = registry_of(arguments, settings)
    view = run.choose_view(arguments)
    prepared = prepare(arguments, registry, settings)
    for problem in [*(pack.problem() for pack in registry.broken), *run.worth_telling(prepared.problems)]:
        view.problem(problem)
    if prepared.graph is None:
        return PROBLEMS
    token = CancelToken()
    relay = run.Relay(view, token)
    relay.show = hiding(relay.show, prepared.sheets)
    only = [*arguments.only, *prepared.sheets] if arguments.only else []
    with Session(settings, registry) as session, StopSignals(token, view.stopping) as signals:
        if arguments.locked and run.tell_unlocked(arguments.file, prepared.own or prepared.graph, session, view):
            return PROBLEMS
        try:
            result = session.run(prepared.graph, only=only, want=(), on_event=relay, token=token)
        finally:
            view.close()
    run.tell_late(session)
    if relay.failure is not None:
        raise relay.failure
    save_sheets(result, prepared.sheets, arguments)
    if signals.exit_code is not None:
        return signals.exit_code
    return FINE if result.status == "done" else PROBLEMS


@dataclass(frozen=True, slots=True)
class Prepared:
    """A swept workflow: its graph unless something is wrong, all problems, and the files that its sheets go to.

    own: the graph without the sheets, if there are some.
    """

    graph: Graph | None
    problems: tuple[Problem, ...]
    sheets: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    own: Graph | None = None


def prepare(arguments: argparse.Namespace, registry: Registry, settings: Settings) -> Prepared:
    """Read FILE, sweep it, and add what draws the sheets."""
    from nodegraph.cli.examine import examine
    from nodegraph.errors import Problem
    from nodegraph.graph.build import check
    from nodegraph.graph.over import parse_over
    from nodegraph.graph.sheets import with_sheets
    from nodegraph.workflow.sweeps import with_sweep

    grid: Path | None = arguments.grid
    if grid is not None and (problem := bad_sheet(grid)):
        return Prepared(None, (problem,))
    opened = examine(arguments.file, arguments, registry, settings)
    if opened.workflow is None:
        return Prepared(None, opened.problems)
    values, problems = parse_over(opened.workflow, registry, arguments.over)
    if problems:
        return Prepared(None, (*problems, *opened.errors))
    if opened.graph is None:  # perhaps only for want of what is swept
        opened = examine(arguments.file, with_first_values(arguments, opened.workflow, values), registry, settings)
    if opened.workflow is None or opened.graph is None:
        return Prepared(None, opened.problems)
    document = with_sweep(opened.workflow, values, zipped=arguments.zip)
    if isinstance(document, Problem):
        return Prepared(None, (document,))
    overrides = given_values(arguments, opened.graph, values)

    def checked(workflow: Workflow) -> Prepared:
        found = check(workflow, registry, roots=settings.roots(workflow), overrides=overrides)
        return Prepared(found.graph, tuple(dict.fromkeys((*opened.problems, *found.problems))))

    prepared = checked(document)
    if grid is None or prepared.graph is None:
        return prepared
    document, sheets = with_sheets(document, registry, prepared.graph, PREVIEW, {})
    if not sheets:
        message = "--grid: no picture of this workflow depends on what is swept"
        return Prepared(None, (Problem("usage", message, hint="sweep over something that a saved picture needs"),))
    return replace(checked(document), sheets=MappingProxyType(sheet_files(sheets, grid)), own=prepared.graph)


def with_first_values(
    arguments: argparse.Namespace, workflow: Workflow, values: Mapping[str, Series]
) -> argparse.Namespace:
    """The options as if each swept parameter without a default had been set to its first value."""
    from nodegraph.workflow.sweeps import first_value

    needed = [name for name in values if name in workflow.params and workflow.params[name].required]
    added = [f"{name}={first_value(values[name])}" for name in needed]
    return argparse.Namespace(**{**vars(arguments), "set": [*added, *arguments.set]})


def given_values(arguments: argparse.Namespace, graph: Graph, swept: Mapping[str, Series]) -> dict[str, object]:
    """The values of the parameters that were set on the command line; swept ones are not."""
    from nodegraph.workflow.params import load_params_file

    names = {assignment.partition("=")[0] for assignment in arguments.set}
    if arguments.params is not None:
        names |= set(load_params_file(arguments.params)[0])
    if arguments.seed is not None:
        names.add("seed")
    return {name: graph.params[name] for name in names if name in graph.params and name not in swept}


def bad_sheet(path: Path) -> Problem | None:
    """Why a sheet could not be saved as `path`, told before the work; None if it could."""
    from nodegraph.cli.setup import unwritable
    from nodegraph.errors import Place, Problem

    if path.suffix.lower() != ".png":
        hint = f"write --grid {path.stem or 'grid'}.png"
        return Problem("usage", f"--grid takes the name of a PNG file, not {str(path)!r}", hint=hint)
    if path.is_dir():
        return Problem("cannot_write", "the sheet cannot be saved: this is a folder", Place(str(path)))
    problem = unwritable(path.parent)
    return replace(problem, hint="choose another file with --grid") if problem is not None else None


def sheet_files(sheets: Mapping[str, str], path: Path) -> dict[str, Path]:
    """The files that sheets go to: one to `path`; several are told apart by the node that gives the picture."""
    if len(sheets) == 1:
        return dict.fromkeys(sheets, path)
    names = {node: "-".join([path.stem, *re.findall(r"[\w-]+", picture)]) for node, picture in sheets.items()}
    return {node: path.with_name(name + path.suffix) for node, name in names.items()}


def hiding(show: Callable[[Event], None], sheets: Mapping[str, Path]) -> Callable[[Event], None]:
    """Shows events, but not where sheets lie before they are brought to their place."""
    from nodegraph.execution.events import Cached, Finished

    def show_event(event: Event) -> None:
        hidden = isinstance(event, Finished | Cached) and event.node in sheets
        show(replace(event, saved=None) if hidden else event)

    return show_event


def save_sheets(result: RunResult, sheets: Mapping[str, Path], arguments: argparse.Namespace) -> None:
    """Bring the sheets that were drawn to where they are wanted, and say so."""
    from nodegraph.cli.terminal import say, shown_path

    for node, path in sheets.items():
        saved = result.saved.get(node)
        if saved is None:
            continue
        write_whole(path, Path(saved.files[0].path).read_bytes())
        if arguments.json:
            say(json.dumps({"event": "grid", "path": str(path)}))
        else:
            say(shown_path(path) if arguments.quiet else f"saved {shown_path(path)}")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, in the place of one that was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".writing-{secrets.token_hex(8)}.png")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


COMMAND = Command("sweep", "run a workflow for several values of its parameters and inputs", add_options, call)
