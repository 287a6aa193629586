"""`nodegraph graph`: a workflow as a drawing, in the languages of Mermaid and Graphviz."""

from __future__ import annotations

import argparse

from nodegraph.cli.command import FILE_HELP, Command, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `graph`."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    parser.add_argument(
        "--format", choices=("mermaid", "dot"), default="mermaid", help="the language to draw in (default: mermaid)"
    )
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Draw FILE as far as it can be read. Node types need not be known, so a broken workflow can be looked at."""
    from nodegraph.cli.opening import open_workflow
    from nodegraph.cli.terminal import say, show_problems
    from nodegraph.graph.export import to_dot, to_mermaid

    loaded = open_workflow(arguments.file)
    show_problems(loaded.problems)
    if loaded.workflow is not None:
        say((to_dot if arguments.format == "dot" else to_mermaid)(loaded.workflow))
    return PROBLEMS if any(problem.severity == "error" for problem in loaded.problems) else FINE


COMMAND = Command("graph", "draw a workflow as Mermaid or DOT", add_options, call)
