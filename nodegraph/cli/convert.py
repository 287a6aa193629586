"""`nodegraph convert`: a workflow in another format."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nodegraph.cli.command import FILE_HELP, Command, add_folders, add_json, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.errors import Problem
    from nodegraph.graph.converting import Target
    from nodegraph.graph.missing import Missing

FORMATS: Final = ("yaml", "api", "ui", "nodegraph", "python")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `convert`."""
    parser.add_argument("file", metavar="IN", help=FILE_HELP)
    parser.add_argument("out", metavar="OUT", help="the file to write (.yaml, .json, .py), or - for standard output")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="yaml; api: JSON that ComfyUI's server runs; ui: JSON that its editor opens; nodegraph: the YAML as JSON; "
        "python: a program (default: by the end of OUT's name, api for .json; yaml for -)",
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    add_folders(parser)
    add_json(parser, "print what was written and what is missing as one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Write IN as OUT. Nodes and files that are not there do not stop it, but what OUT's format cannot say does.

    The exit code says whether all of IN was read and written.
    """
    from nodegraph.cli.opening import open_workflow
    from nodegraph.cli.setup import registry_of, settings_of
    from nodegraph.cli.terminal import show_problems
    from nodegraph.errors import ProblemError
    from nodegraph.graph.build import check
    from nodegraph.graph.converting import WRITERS
    from nodegraph.graph.missing import missing_of

    format_ = format_of(arguments)
    settings, registry = settings_of(arguments), registry_of(arguments)
    show_problems(pack.problem() for pack in registry.broken)
    loaded = open_workflow(arguments.file, registry)
    workflow = loaded.workflow
    unsure = any(problem.severity == "error" for problem in loaded.problems)
    if workflow is None or (format_ == "python" and unsure):  # a program has no room for what could not be read
        raise ProblemError(loaded.problems)
    converted = WRITERS[format_](workflow, registry, target_of(arguments))
    problems = [*loaded.problems, *converted.problems]
    if any(problem.severity == "error" for problem in converted.problems):
        raise ProblemError(problems)
    write(arguments.out, converted.text)
    roots = settings.roots(workflow)
    found = check(converted.workflow, registry, roots=roots).problems
    missing = missing_of(converted.workflow, found, registry, roots)
    tell(arguments, format_, len(converted.workflow.nodes), problems, missing)
    return PROBLEMS if any(problem.severity == "error" for problem in problems) else FINE


def target_of(arguments: argparse.Namespace) -> Target:
    """Where the new file will lie, and where a program will look for packs."""
    from nodegraph.graph.converting import Target

    nodes, custom = ([str(each.resolve()) for each in given] for given in (arguments.nodes, arguments.custom_nodes))
    return Target(None if arguments.out == "-" else Path(arguments.out).parent, nodes, custom)


def format_of(arguments: argparse.Namespace) -> str:
    """The format to write. Raises ProblemError where OUT does not tell it, or must not be written."""
    from nodegraph.errors import Place, Problem, ProblemError, listing
    from nodegraph.graph.converting import SUFFIXES

    out: str = arguments.out
    if out == "-":
        if arguments.json:
            hint = "name a file to write, or leave out --json"
            raise ProblemError(Problem("usage", "--json and the workflow cannot both go to standard output", hint=hint))
        return arguments.format or "yaml"
    path, suffix = Path(out), Path(out).suffix.lower()
    if suffix not in SUFFIXES:
        message = f"'{path.name}' does not end like a file that can be written"
        hint = f"let it end in {listing(list(SUFFIXES))}"
        raise ProblemError(Problem("usage", message, Place(out), got=suffix, hint=hint))
    found: str = arguments.format or SUFFIXES[suffix][0]
    if found not in SUFFIXES[suffix]:
        message = f"--format {found} does not go with the end of '{path.name}'"
        fitting = listing([end for end, formats in SUFFIXES.items() if found in formats])
        raise ProblemError(Problem("usage", message, Place(out), hint=f"such files end in {fitting}"))
    if path.exists() and not arguments.force:
        raise ProblemError(Problem("cannot_write", f"{out} is there already", Place(out), hint="write it with --force"))
    return found


def write(out: str, text: str) -> None:
    """The text to where it is wanted."""
    from nodegraph.cli.writing import write_text

    if out == "-":
        sys.stdout.write(text)
    else:
        write_text(Path(out), text)


def tell(
    arguments: argparse.Namespace, format_: str, nodes: int, problems: Sequence[Problem], missing: Missing
) -> None:
    """Say what was written, what of IN could not be read, and what a run would miss."""
    import json

    from nodegraph.cli.missing import show_missing
    from nodegraph.cli.terminal import count, say, show_problems

    if arguments.json:
        told = [problem.to_json() for problem in problems]
        data = {"file": arguments.out, "format": format_, "nodes": nodes, "problems": told}
        say(json.dumps(data | {"missing": missing.to_json()}, indent=2))
        return
    show_problems(problems)
    if arguments.out != "-":
        say(f"{arguments.out}: {count(nodes, 'node')} written", style="green")
    show_missing(missing, stream=sys.stderr if arguments.out == "-" else None)


COMMAND = Command("convert", "write a workflow in another format", add_options, call)
