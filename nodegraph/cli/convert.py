"""`nodegraph convert`: a workflow in another format, which the suffix of the new file says."""

from __future__ import annotations

import argparse
from pathlib import Path

from nodegraph.cli.command import FILE_HELP, Command, add_nodes, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `convert`."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    parser.add_argument("target", metavar="NEW", type=Path, help="the file to write: a Python program (.py)")
    add_nodes(parser)
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Write FILE as NEW."""
    from nodegraph.cli.opening import open_workflow
    from nodegraph.cli.schema import write_text
    from nodegraph.cli.setup import registry_of
    from nodegraph.cli.terminal import show_problems
    from nodegraph.errors import Place, Problem, ProblemError
    from nodegraph.graph.python_script import dump_python

    target: Path = arguments.target
    if target.suffix != ".py":
        message = f"there is no format for files that end in '{target.suffix}'"
        raise ProblemError(Problem("usage", message, Place(str(target)), hint="the formats are .py"))
    loaded = open_workflow(arguments.file)
    show_problems(loaded.problems)
    if loaded.workflow is None or any(problem.severity == "error" for problem in loaded.problems):
        return PROBLEMS
    folders, custom = ([str(each.resolve()) for each in given] for given in (arguments.nodes, arguments.custom_nodes))
    write_text(target, dump_python(loaded.workflow, registry_of(arguments), folders, custom))
    return FINE


COMMAND = Command("convert", "write a workflow in another format", add_options, call)
