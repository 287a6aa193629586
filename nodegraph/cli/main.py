"""The command `nodegraph`: reads the command line, calls a command, and turns whatever happens into an exit code."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from typing import Final, cast

from nodegraph.cli import (
    cache,
    check,
    config,
    convert,
    diff,
    explain,
    graph,
    jobs,
    lock,
    nodes,
    run,
    schema,
    serve,
    submit,
    sweep,
    verify,
    version,
)
from nodegraph.cli.configured import config_of, configure, settle
from nodegraph.cli.exit_codes import INTERRUPTED, MISUSED, PIPE_CLOSED, PROBLEMS, exit_codes_help
from nodegraph.errors import ProblemError
from nodegraph.version import VERSION

COMMANDS: Final = (
    run.COMMAND,
    serve.COMMAND,
    submit.COMMAND,
    jobs.JOBS,
    jobs.LOGS,
    jobs.CANCEL,
    explain.COMMAND,
    sweep.COMMAND,
    check.COMMAND,
    nodes.COMMAND,
    schema.COMMAND,
    graph.COMMAND,
    convert.COMMAND,
    diff.COMMAND,
    lock.COMMAND,
    verify.COMMAND,
    cache.COMMAND,
    config.COMMAND,
    version.COMMAND,
)
DESCRIPTION: Final = "Run node graphs for image generation."
EPILOG: Final = f"""\
examples:
  nodegraph run hello                     draw a first picture, into ./output
  nodegraph run hello --set seed=8 --set prompt='a green heart on a pink background'
  nodegraph check my.yaml                 find all mistakes of a workflow
  nodegraph nodes KSampler                explain a node
  nodegraph explain my.yaml               say which nodes would run, and why
  nodegraph sweep hello --over cfg=3,5,7 --over seed=1..4 --grid out.png

exit codes:
{exit_codes_help()}
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the program's own) and return the exit code. Never raises."""
    from nodegraph.cli.terminal import prepare_streams, silence_streams

    prepare_streams()
    try:
        code = call(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_streams()
        return PIPE_CLOSED
    except OSError as error:  # from the flush: the output goes to a full disk
        silence_streams()
        return explain_error(error, verbose=False)
    return code


def call(argv: Sequence[str] | None) -> int:
    """Run a command line; mistakes become messages. Raises BrokenPipeError only."""
    parser = build_parser()
    try:
        problems = configure(command_parsers(parser), config_of(argv))
    except ProblemError as error:
        problems = list(error.problems)  # told by commands, so that help is there all the same
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else MISUSED
    try:
        arguments, unknown = parser.parse_known_args(argv)
        if unknown:
            (arguments.parser or parser).error(f"unknown arguments: {' '.join(unknown)}")
    except SystemExit as exit_:  # argparse has said what it has to say
        return exit_.code if isinstance(exit_.code, int) else MISUSED
    if arguments.command is None:
        parser.print_help()
        return MISUSED
    command = next(command for command in COMMANDS if command.name == arguments.command)
    settle(arguments)
    try:
        if problems:
            raise ProblemError(problems)
        return command.call(arguments)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return explain_error(error, verbose=arguments.verbose)


def explain_error(error: Exception, *, verbose: bool) -> int:
    """Tell what ended a command: a user's problems as such, anything else as a mistake of nodegraph's."""
    from nodegraph.cli.terminal import say, show_problems
    from nodegraph.errors import Place, Problem

    if isinstance(error, OSError):
        code = "disk_full" if error.errno == errno.ENOSPC else "file_unreadable"
        reason = error.strerror or str(error)
        error = ProblemError(Problem(code, reason, Place(str(error.filename) if error.filename else "output")))
    if isinstance(error, ProblemError):
        show_problems(error.problems)
        return PROBLEMS
    if verbose or os.environ.get("NODEGRAPH_DEBUG"):
        import traceback

        say("".join(traceback.format_exception(error)).rstrip(), stream=sys.stderr)
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    remedy = "please report it" if verbose else "please report it, with what the option -v adds"
    say(f"nodegraph has made a mistake ({reason}); {remedy}", stream=sys.stderr)
    return PROBLEMS


def command_parsers(parser: argparse.ArgumentParser | None = None) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command's options."""
    parser = parser or build_parser()
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage] (argparse has no other way to list them)
        if action.dest == "command":
            return dict(cast("dict[str, argparse.ArgumentParser]", action.choices or {}))
    return {}


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="nodegraph",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nodegraph {VERSION}")
    parser.set_defaults(parser=None)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS:
        options = commands.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            epilog=f"exit codes:\n{exit_codes_help()}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.add_options(options)
        options.set_defaults(parser=options)
    return parser
