"""`nodegraph schema`: the JSON Schema from which editors complete and check workflows."""

from __future__ import annotations

import argparse
from pathlib import Path

from nodegraph.cli.command import Command, add_nodes, add_verbose
from nodegraph.cli.exit_codes import FINE


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `schema`."""
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write to FILE instead of standard output")
    add_nodes(parser)
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Print or write the schema of all registered node types."""
    import json

    from nodegraph.cli.setup import registry_of
    from nodegraph.cli.terminal import say, show_problems
    from nodegraph.cli.writing import write_text
    from nodegraph.workflow.schema import json_schema

    registry = registry_of(arguments)
    show_problems(pack.problem() for pack in registry.broken)
    schema = json_schema(registry)
    if arguments.output is None:
        say(json.dumps(schema, indent=2))
    else:
        write_text(arguments.output, json.dumps(schema, ensure_ascii=False, indent=2) + "\n")
    return FINE


COMMAND = Command("schema", "print the JSON Schema of workflows", add_options, call)
