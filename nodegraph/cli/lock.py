"""`nodegraph lock`: write down what a workflow's pictures depend on, so that `run --locked` can insist on it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nodegraph.cli.command import (
    FILE_HELP,
    Command,
    add_cache_dir,
    add_folders,
    add_params,
    add_verbose,
)
from nodegraph.cli.exit_codes import FINE, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.errors import Problem
    from nodegraph.execution.settings import Settings
    from nodegraph.files import FileDigests
    from nodegraph.graph.model import Graph

SUFFIX: Final = ".lock.json"
LOCKED_HELP: Final = "refuse models, nodes and libraries other than FILE's lock says (see 'nodegraph lock')"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `lock`."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    parser.add_argument("--check", action="store_true", help="only say whether everything is as it was locked")
    add_params(parser)
    add_folders(parser)
    add_cache_dir(parser)
    add_verbose(parser)


def add_locked(parser: argparse.ArgumentParser) -> None:
    """`--locked`, for commands that can insist on a lock."""
    parser.add_argument("--locked", action="store_true", help=LOCKED_HELP)


def call(arguments: argparse.Namespace) -> int:
    """Lock FILE, or check its lock."""
    from nodegraph.cli.examine import examine
    from nodegraph.cli.setup import registry_of, settings_of
    from nodegraph.cli.terminal import count, say, show_problems, shown_path
    from nodegraph.cli.writing import write_text
    from nodegraph.execution.lock import dump_lock, present

    settings = settings_of(arguments)
    registry = registry_of(arguments, settings)
    show_problems(pack.problem() for pack in registry.broken)
    examined = examine(arguments.file, arguments, registry, settings)
    show_problems(problem for problem in examined.problems if problem.code != "no_outputs")
    if examined.graph is None:
        return PROBLEMS
    path = lock_path(arguments.file)
    with Digests(settings) as files:
        if arguments.check:
            problems = lock_problems(arguments.file, examined.graph, settings, files)
            show_problems(problems)
            if not problems:
                say(f"{shown_path(path)}: everything is as it was locked", style="green")
            return PROBLEMS if problems else FINE
        here = present(examined.graph, settings.roots(examined.graph.workflow), files)
    show_problems(here.problems)
    if here.problems:
        return PROBLEMS
    write_text(path, dump_lock(here.lock, Path(arguments.file).name))
    numbers = (count(len(here.lock.files), "file"), count(len(here.lock.nodes), "node type"))
    say(f"locked {' and '.join(numbers)} in {shown_path(path)}")
    return FINE


def lock_path(name: str) -> Path:
    """Where the lock of FILE is: beside it, and that of an example in the current folder. Raises ProblemError."""
    from nodegraph.cli.opening import shipped_under
    from nodegraph.errors import Problem, ProblemError

    if name == "-":
        message = "standard input has no lock, which lies beside a file"
        raise ProblemError(Problem("usage", message, hint="write the workflow to a file"))
    shipped = shipped_under(name)
    return Path(shipped.stem + SUFFIX) if shipped is not None else Path(name).with_suffix(SUFFIX)


def lock_problems(name: str, graph: Graph, settings: Settings, files: FileDigests) -> tuple[Problem, ...]:
    """What is not as the lock of FILE says, or what is wrong with the lock."""
    from nodegraph.errors import ProblemError
    from nodegraph.execution.lock import differences, present
    from nodegraph.execution.lock_file import read_lock

    command = f"nodegraph lock {name}"
    try:
        lock = read_lock(lock_path(name), command)
    except ProblemError as error:
        return error.problems
    return differences(lock, present(graph, settings.roots(graph.workflow), files), command)


class Digests:
    """The digests of files, those that are known from earlier runs among them; a context, which closes the store."""

    def __init__(self, settings: Settings) -> None:
        from nodegraph.execution.session import open_store

        self.store = open_store(settings, lambda message: None)

    def __enter__(self) -> FileDigests:
        from nodegraph.cache.disk import DiskStore
        from nodegraph.files import FileDigests

        return FileDigests(self.store if isinstance(self.store, DiskStore) else None)

    def __exit__(self, *_: object) -> None:
        from nodegraph.cache.disk import DiskStore

        if isinstance(self.store, DiskStore):
            self.store.close()


COMMAND = Command("lock", "write down which models, nodes and libraries a workflow was made with", add_options, call)
