"""`nodegraph diff`: two workflows compared as graphs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from nodegraph.cli.command import FILE_HELP, Command, add_json, add_nodes, add_verbose
from nodegraph.cli.exit_codes import FINE, INTERRUPTED, MISUSED, PIPE_CLOSED, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.cli.terminal import Style
    from nodegraph.registry import Registry
    from nodegraph.workflow.diff_text import Mark
    from nodegraph.workflow.difference import Difference
    from nodegraph.workflow.document import Workflow

SAME: Final = FINE
DIFFERENT: Final = PROBLEMS
TROUBLE: Final = MISUSED  # as with diff(1): 1 says that they differ, so it cannot say that there was a mistake too

EPILOG: Final = f"""\
Layout, comments, the order of keys and the format of the files do not count.

exit codes:
  {SAME:<5}the workflows are the same
  {DIFFERENT:<5}they differ
  {TROUBLE:<5}the command was misused, or a file cannot be read
  {INTERRUPTED:<5}interrupted with Ctrl-C
  {PIPE_CLOSED:<5}the reader of the output went away
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `diff`."""
    parser.epilog = EPILOG
    parser.add_argument("old", metavar="A", help=FILE_HELP)
    parser.add_argument("new", metavar="B", help="the same; one of the two may be -")
    add_nodes(parser)
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Compare A and B. Node types need not be known; of those that are, defaults left out do not count."""
    try:
        return compare(arguments)
    except BrokenPipeError:
        raise
    except Exception as error:
        from nodegraph.cli.main import explain_error

        explain_error(error, verbose=arguments.verbose)
        return TROUBLE


def compare(arguments: argparse.Namespace) -> int:
    """Compare A and B and tell what differs. Raises ProblemError for what cannot be compared."""
    from nodegraph.cli.opening import shown_name
    from nodegraph.cli.setup import registry_of
    from nodegraph.cli.terminal import show_problems
    from nodegraph.workflow.diff import diff

    registry = registry_of(arguments)
    old, new = opened(arguments.old, arguments.new, registry)
    show_problems(pack.problem() for pack in registry.broken)
    difference = diff(old, new, registry.specs)
    names = shown_name(arguments.old), shown_name(arguments.new)
    if arguments.json:
        show_json(difference, *names)
    else:
        show(difference, *names)
    return DIFFERENT if difference else SAME


def opened(old: str, new: str, registry: Registry) -> tuple[Workflow, Workflow]:
    """Both workflows. Raises ProblemError with all problems of both: what is only half read cannot be compared."""
    from nodegraph.cli.opening import open_workflow
    from nodegraph.cli.terminal import show_problems
    from nodegraph.errors import Problem, ProblemError

    if old == new == "-":
        raise ProblemError(Problem("usage", "only one of the two workflows can come from standard input"))
    first, second = open_workflow(old, registry), open_workflow(new, registry)
    problems = (*first.problems, *second.problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors or first.workflow is None or second.workflow is None:
        raise ProblemError(problems)
    show_problems(problems)
    return first.workflow, second.workflow


def show(difference: Difference, old: str, new: str) -> None:
    """The difference for people."""
    from nodegraph.cli.terminal import say
    from nodegraph.workflow.diff_text import summary, to_lines

    if not difference:
        say(f"{old} and {new} are the same workflow", style="green")
        return
    styles: dict[Mark, Style] = {"+": "green", "-": "red", "~": "yellow", ">": "cyan"}
    say(f"--- {old}", style="bold")
    say(f"+++ {new}", style="bold")
    for line in to_lines(difference):
        say(line.text, style=styles[line.mark])
    say(summary(difference), style="bold")


def show_json(difference: Difference, old: str, new: str) -> None:
    """The same for programs."""
    import json

    from nodegraph.cli.terminal import say

    say(json.dumps({"old": old, "new": new} | difference.to_json(), indent=2))


COMMAND = Command("diff", "compare two workflows as graphs", add_options, call)
