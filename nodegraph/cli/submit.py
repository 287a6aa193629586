"""`nodegraph submit`: have a server run a workflow."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nodegraph.cli.command import FILE_HELP, Command, add_json, add_params, add_verbose
from nodegraph.cli.exit_codes import FINE
from nodegraph.cli.remote import Server, add_server

if TYPE_CHECKING:
    from nodegraph.workflow.document import Workflow
    from nodegraph.workflow.params import Given


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `submit`."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    add_params(parser)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NODE", help="run this node and what it needs (repeatable)"
    )
    parser.add_argument("--priority", type=int, default=0, metavar="N", help="higher ones run first (default: 0)")
    parser.add_argument("--front", action="store_true", help="before all that wait with the same priority")
    parser.add_argument("--follow", action="store_true", help="stay, and show how it goes")
    parser.add_argument("-q", "--quiet", action="store_true", help="with --follow: print only the names of saved files")
    add_server(parser)
    add_json(parser, "print the job as one JSON object; with --follow, events one a line")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Send FILE to the server. With --follow the exit code says whether all went well."""
    from nodegraph.cli.follow import follow
    from nodegraph.cli.run import choose_view
    from nodegraph.cli.terminal import say

    server = Server.of(arguments)
    body = request_of(arguments)
    job: dict[str, Any] = server.ask("POST", "/api/v1/jobs", body)
    if not arguments.follow:
        say(json.dumps(job) if arguments.json else job["id"])
        return FINE
    return follow(server, job["id"], choose_view(arguments))


def request_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is sent: the workflow as it is written, with the values of the options. Raises ProblemError."""
    from nodegraph.cli.opening import open_workflow
    from nodegraph.errors import Problem, ProblemError
    from nodegraph.workflow.params import load_params_file, parse_overrides

    loaded = open_workflow(arguments.file)
    workflow = loaded.workflow
    problems = [problem for problem in loaded.problems if problem.severity == "error"]
    if workflow is None or problems:
        raise ProblemError(problems or loaded.problems)
    assignments: list[str] = list(arguments.set)
    if arguments.seed is not None:
        if "seed" not in workflow.params:
            hint = "declare a parameter 'seed' and write $seed where it is wanted"
            raise ProblemError(Problem("unknown_param", "--seed: the workflow has no parameter 'seed'", hint=hint))
        assignments.append(f"seed={arguments.seed}")
    in_file: Mapping[str, Given] = {}
    if arguments.params is not None:
        in_file, file_problems = load_params_file(arguments.params)
        problems += file_problems
    values, bad_values = parse_overrides(workflow, assignments, in_file)
    if problems or bad_values:
        raise ProblemError([*problems, *bad_values])
    body: dict[str, Any] = {"workflow": text_of(workflow), "params": dict(values), "only": list(arguments.only)}
    return body | {"priority": arguments.priority, "front": arguments.front}


def text_of(workflow: Workflow) -> str:
    """The workflow as a text that stands alone: sub-workflows, which only this machine has, are written out."""
    from nodegraph.errors import ProblemError
    from nodegraph.workflow.parts import inline_parts
    from nodegraph.workflow.write import dump_yaml

    flat, problems = inline_parts(workflow)
    if problems:
        raise ProblemError(problems)
    return workflow.text if flat is workflow and workflow.text is not None else dump_yaml(flat)


COMMAND = Command("submit", "have a server run a workflow", add_options, call)
