"""`nodegraph run`: run a workflow and show how it goes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.cli.command import (
    FILE_HELP,
    Command,
    add_cache,
    add_folders,
    add_json,
    add_params,
    add_ray,
    add_verbose,
    positive_number,
)
from nodegraph.cli.exit_codes import FINE, PROBLEMS
from nodegraph.cli.lock import add_locked

if TYPE_CHECKING:
    from nodegraph.cli.progress import View
    from nodegraph.context import CancelToken
    from nodegraph.errors import Problem
    from nodegraph.execution.events import Event
    from nodegraph.execution.session import Session
    from nodegraph.graph.model import Graph


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `run`."""
    add_what(parser)
    add_locked(parser)
    parser.add_argument("--threads", type=positive_number, metavar="N", help="how many CPU threads torch may use")
    parser.add_argument("--explain", action="store_true", help="say first why each node will run, or will not")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and why, and run nothing")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="write the record of the run here as well")
    add_json(parser, "print events, one JSON object a line, and nothing else on standard output")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the paths of saved files")
    add_verbose(parser)


def add_what(parser: argparse.ArgumentParser) -> None:
    """What is run, from what and to where."""
    parser.add_argument("file", metavar="FILE", help=FILE_HELP)
    add_params(parser)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NODE",
        help="run this node and what it needs, instead of the output nodes (repeatable)",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("output"),
        metavar="DIR",
        help="where pictures are saved (default: output)",
    )
    add_folders(parser)
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda, cuda:1, … or mps (default: auto, the fastest there is)"
    )
    add_engine(parser)
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=("auto", "fp32", "fp16", "bf16"),
        help="the number format of the denoising model (default: auto)",
    )
    parser.add_argument(
        "--vae-dtype",
        default="auto",
        choices=("auto", "fp32", "fp16", "bf16"),
        help="the number format of the autoencoder (default: auto, which is fp32)",
    )
    add_cache(parser)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Where heavy nodes run."""
    parser.add_argument(
        "--engine",
        default="local",
        metavar="NAME",
        help="where heavy nodes run: local is this process, processes are workers of their own, ray those of the Ray "
        "cluster of this machine, ray:HOST:PORT of another one, ray:local of one that is started here (default: local)",
    )
    parser.add_argument(
        "--devices",
        default="",
        metavar="LIST",
        help="a worker for each of these, such as cuda:0,cuda:1 or cpu,cpu, and branches at the same time; with Ray "
        "only their kind and number count (default there: all)",
    )
    add_ray(parser)


def call(arguments: argparse.Namespace) -> int:
    """Run FILE. The exit code says whether everything that was asked for is there."""
    from nodegraph.cli.examine import examine
    from nodegraph.cli.setup import limit_threads, registry_of, settings_of
    from nodegraph.cli.signals import StopSignals
    from nodegraph.context import CancelToken
    from nodegraph.execution.session import Session

    limit_threads(arguments.threads)
    settings = settings_of(arguments)
    registry = registry_of(arguments, settings)
    view = choose_view(arguments)
    examined = examine(arguments.file, arguments, registry, settings)
    for problem in [*(pack.problem() for pack in registry.broken), *worth_telling(examined.problems)]:
        view.problem(problem)
    if examined.graph is None:
        return PROBLEMS
    token = CancelToken()
    relay = Relay(view, token)
    with Session(settings, registry) as session, StopSignals(token, view.stopping) as signals:
        if arguments.locked and tell_unlocked(arguments.file, examined.graph, session, view):
            return PROBLEMS
        if arguments.explain or arguments.dry_run:
            from nodegraph.cli.explain import tell

            tell(session.explain(examined.graph, only=arguments.only, want=()), json=arguments.json)
            if arguments.dry_run:
                return FINE
        try:
            result = session.run(examined.graph, only=arguments.only, want=(), on_event=relay, token=token)
        finally:
            view.close()
    tell_late(session)
    if relay.failure is not None:
        raise relay.failure
    if arguments.manifest is not None and result.manifest is not None:
        from nodegraph.execution.manifest import write_manifest

        write_manifest(result.manifest, arguments.manifest)
    if signals.exit_code is not None:
        return signals.exit_code
    return FINE if result.status == "done" else PROBLEMS


def tell_unlocked(name: str, graph: Graph, session: Session, view: View) -> bool:
    """Whether something is not as FILE's lock says, all of which is told."""
    from nodegraph.cli.lock import lock_problems

    problems = lock_problems(name, graph, session.settings, session.files)
    for problem in problems:
        view.problem(problem)
    if problems:
        view.close()
    return bool(problems)


def tell_late(session: Session) -> None:
    """What a session had to say when it was closed: what could not be written to a remote cache."""
    from nodegraph.cli.terminal import show_problem
    from nodegraph.errors import Problem

    while session.notices:
        show_problem(Problem("cache_unusable", session.notices.popleft(), severity="warning"))


def choose_view(arguments: argparse.Namespace) -> View:
    """How this run is shown: as the options say, with bars only where they can move."""
    from nodegraph.cli.progress import JsonView, LinesView, QuietView
    from nodegraph.cli.terminal import is_terminal

    if arguments.json:
        return JsonView()
    if arguments.quiet:
        return QuietView()
    if is_terminal(sys.stdout):
        from nodegraph.cli.bars import BarsView

        return BarsView(verbose=arguments.verbose)
    return LinesView(verbose=arguments.verbose)


def worth_telling(problems: Iterable[Problem]) -> list[Problem]:
    """The problems to tell before a run: that there is nothing to produce, the run says by itself if it is so."""
    return [problem for problem in problems if problem.code != "no_outputs"]


class Relay:
    """Hands events to a view. When the view cannot show them (its pipe is closed), the run is stopped."""

    def __init__(self, view: View, token: CancelToken) -> None:
        self.show: Callable[[Event], None] = view.show
        self.token = token
        self.failure: Exception | None = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self.failure is None:
            try:
                self.show(event)
            except Exception as error:
                self.failure = error
                self.token.cancel()


COMMAND = Command("run", "run a workflow", add_options, call)
