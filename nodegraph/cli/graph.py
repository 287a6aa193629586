"""`nodegraph graph`: a workflow as a drawing, in the languages of Mermaid and Graphviz."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nodegraph.cli.command import FILE_HELP, Command, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.workflow.document import Workflow


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `graph`."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    parser.add_argument(
        "--format", choices=("mermaid", "dot"), default="mermaid", help="the language to draw in (default: mermaid)"
    )
    parser.add_argument("--only", metavar="NODE", action="append", default=[], help="draw only what NODE needs")
    parser.add_argument("--reduce", action="store_true", help="leave out links that a longer way makes obvious")
    parser.add_argument("--shape", action="store_true", help="print the number of nodes and links, depth and width")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Draw FILE as far as it can be read. Node types need not be known, so a broken workflow can be looked at."""
    from nodegraph.cli.opening import open_workflow
    from nodegraph.cli.terminal import say, show_problems
    from nodegraph.graph.analysis import implied_links, shape_of
    from nodegraph.graph.export import to_dot, to_mermaid

    loaded = open_workflow(arguments.file)
    show_problems(loaded.problems)
    if loaded.workflow is not None:
        workflow = part_of(loaded.workflow, arguments.only)
        if arguments.shape:
            shape = shape_of(workflow)
            say(f"{shape.nodes} nodes, {shape.links} links, {shape.depth} deep, {shape.width} wide")
        else:
            hidden = implied_links(workflow) if arguments.reduce else set[tuple[str, str]]()
            say((to_dot if arguments.format == "dot" else to_mermaid)(workflow, hidden))
    return PROBLEMS if any(problem.severity == "error" for problem in loaded.problems) else FINE


def part_of(workflow: Workflow, only: list[str]) -> Workflow:
    """The workflow, or what is needed for the nodes in `only`. Raises ProblemError for a name that is not there."""
    from nodegraph.errors import Problem, ProblemError, did_you_mean, listing
    from nodegraph.graph.analysis import needed_by

    unknown = [name for name in only if name not in workflow.nodes]
    if unknown:
        names = list(workflow.nodes)
        hint = did_you_mean(unknown[0], names) or f"there are {listing(names)}"
        raise ProblemError(Problem("unknown_target", f"there is no node '{unknown[0]}'", got=unknown[0], hint=hint))
    return needed_by(workflow, only) if only else workflow


COMMAND = Command("graph", "draw a workflow as Mermaid or DOT", add_options, call)
