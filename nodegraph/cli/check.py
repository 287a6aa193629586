"""`nodegraph check`: all problems of workflow files, in one pass."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nodegraph.cli.command import FILE_HELP, Command, add_folders, add_json, add_params, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS
from nodegraph.cli.lock import add_locked

if TYPE_CHECKING:
    from nodegraph.errors import Problem
    from nodegraph.execution.settings import Settings
    from nodegraph.graph.missing import Missing
    from nodegraph.registry import Registry


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `check`."""
    parser.add_argument("files", metavar="FILE", nargs="+", help=FILE_HELP)
    add_params(parser)
    add_folders(parser)
    parser.add_argument("--strict", action="store_true", help="let warnings fail the check too")
    add_locked(parser)
    parser.add_argument("--schema", action="store_true", help="compare with the JSON Schema as well")
    add_json(parser, "print one JSON object")
    add_verbose(parser)


@dataclass(frozen=True, slots=True)
class Report:
    """What the check of one file found."""

    file: str
    nodes: int
    problems: tuple[Problem, ...]
    missing: Missing

    def number(self, severity: str) -> int:
        """How many problems are an "error", or only a "warning"."""
        return sum(problem.severity == severity for problem in self.problems)

    def to_json(self) -> dict[str, object]:
        """The report as JSON data."""
        return {
            "file": self.file,
            "nodes": self.nodes,
            "errors": self.number("error"),
            "warnings": self.number("warning"),
            "problems": [problem.to_json() for problem in self.problems],
            "missing": self.missing.to_json(),
        }


def call(arguments: argparse.Namespace) -> int:
    """Check every FILE. Problems go to standard output, for they are what was asked for."""
    from nodegraph.cli.setup import registry_of, settings_of
    from nodegraph.cli.terminal import show_problems

    settings = settings_of(arguments)
    registry = registry_of(arguments, settings)
    show_problems(pack.problem() for pack in registry.broken)
    reports = [check_file(name, arguments, registry, settings) for name in arguments.files]
    if arguments.json:
        show_json(reports)
    else:
        show(reports)
    errors, warnings = total(reports, "error"), total(reports, "warning")
    return PROBLEMS if errors or (arguments.strict and warnings) else FINE


def check_file(name: str, arguments: argparse.Namespace, registry: Registry, settings: Settings) -> Report:
    """Check one FILE."""
    from nodegraph.cli.examine import examine, in_order
    from nodegraph.cli.opening import shown_name
    from nodegraph.graph.missing import Missing, missing_of

    examined = examine(name, arguments, registry, settings)
    problems = [needs_value(problem) for problem in examined.problems]
    if arguments.schema and examined.workflow is not None:
        from nodegraph.cli.schema_check import schema_problems

        problems = in_order([*problems, *untold(schema_problems(examined.workflow, registry), problems)])
    if arguments.locked and examined.graph is not None:
        from nodegraph.cli.lock import Digests, lock_problems

        with Digests(settings) as files:
            problems += lock_problems(name, examined.graph, settings, files)
    whole = examined.graph or examined.workflow  # the graph has the nodes of sub-workflows too
    nodes = len(whole.nodes) if whole is not None else 0
    missing = Missing()
    if examined.workflow is not None:
        roots = settings.roots(examined.workflow)
        missing = missing_of(examined.workflow, examined.problems, registry, roots)
    return Report(shown_name(name), nodes, tuple(problems), missing)


def untold(found: Sequence[Problem], told: Sequence[Problem]) -> list[Problem]:
    """What the schema found in nodes (and, as one, outside of nodes) of which nothing has been told yet.

    About the others it says the same in other words, at the mapping around the mistake.
    """
    lines = {problem.place.line for problem in told}
    nodes = {problem.node for problem in told if problem.place.line is not None}
    return [problem for problem in found if problem.place.line not in lines and problem.node not in nodes]


def needs_value(problem: Problem) -> Problem:
    """A parameter without a default is nothing wrong with a file: only a run needs its value."""
    return replace(problem, severity="warning") if problem.code == "missing_param" else problem


def total(reports: Sequence[Report], severity: str) -> int:
    """Problems of a severity in all files."""
    return sum(report.number(severity) for report in reports)


def show(reports: Sequence[Report]) -> None:
    """The problems by file, and a summary."""
    import sys

    from nodegraph.cli.missing import show_missing
    from nodegraph.cli.terminal import count, say, show_problems

    for report in reports:
        show_problems(report.problems, stream=sys.stdout)
        show_missing(report.missing)
        if not report.problems:
            say(f"{report.file}: fine, {count(report.nodes, 'node')}", style="green")
    numbers = ((total(reports, "error"), "error"), (total(reports, "warning"), "warning"))
    found = [count(number, noun) for number, noun in numbers if number]
    if found:
        say(f"{', '.join(found)} in {count(sum(bool(report.problems) for report in reports), 'file')}", style="bold")


def show_json(reports: Sequence[Report]) -> None:
    """The same for programs."""
    import json

    from nodegraph.cli.terminal import say

    data: dict[str, object] = {
        "errors": total(reports, "error"),
        "warnings": total(reports, "warning"),
        "files": [report.to_json() for report in reports],
    }
    say(json.dumps(data, indent=2))


COMMAND = Command("check", "find all problems of workflows", add_options, call)
