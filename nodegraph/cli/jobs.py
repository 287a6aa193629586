"""`nodegraph jobs`, `logs` and `cancel`: what a server has to do, has done, and is to leave."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any, Final

from nodegraph.cli.command import Command, add_json, add_verbose, positive_number
from nodegraph.cli.exit_codes import FINE, PROBLEMS
from nodegraph.cli.remote import Server, add_server

STATES: Final = ("queued", "running", "done", "failed", "cancelled", "interrupted")
SHORT: Final = 8  # characters of an id that are shown, and enough to name a job by


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """The options of `jobs`."""
    parser.add_argument("--state", action="append", default=[], choices=STATES, help="only these (repeatable)")
    parser.add_argument("--limit", type=positive_number, default=20, metavar="N", help="how many (default: 20)")
    add_server(parser)
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def list_jobs(arguments: argparse.Namespace) -> int:
    """List the server's jobs, newest first."""
    from nodegraph.cli.terminal import count, say

    states = "".join(f"&state={state}" for state in arguments.state)
    found: dict[str, Any] = Server.of(arguments).ask("GET", f"/api/v1/jobs?limit={arguments.limit}{states}")
    if arguments.json:
        say(json.dumps(found, indent=2))
        return FINE
    for job in found["jobs"]:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(job["created"]))
        took = job["finished"] - job["started"] if job["finished"] and job["started"] else None
        end = f"  {took:.1f} s" if took is not None else ""
        error = f"  {job['error']}" if job["error"] else ""
        say(f"{job['id'][:SHORT]}  {at}  {job['state']:<11}{end}{error}")
    shown = len(found["jobs"])
    rest = f", {shown} shown" if found["total"] > shown else ""
    say(f"{count(found['total'], 'job')}{rest}", style="dim")
    return FINE


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """The options of `logs`."""
    parser.add_argument("job", metavar="JOB", help="the job's id, or its beginning")
    parser.add_argument("--follow", action="store_true", help="stay until the job has ended")
    parser.add_argument("-q", "--quiet", action="store_true", help="print only the names of saved files")
    add_server(parser)
    add_json(parser, "print events, one JSON object a line")
    add_verbose(parser)


def logs(arguments: argparse.Namespace) -> int:
    """Show what happened in a job; without --follow of one that is not over, only how it stands."""
    from nodegraph.cli.follow import follow
    from nodegraph.cli.progress import LinesView
    from nodegraph.cli.run import choose_view
    from nodegraph.cli.terminal import say

    server = Server.of(arguments)
    job = named(server, arguments.job)
    if job["state"] in ("queued", "running") and not arguments.follow:
        say(f"{job['id']}: {job['state']}; stay with --follow")
        return FINE
    plain = job["state"] not in ("queued", "running") and not arguments.json and not arguments.quiet
    return follow(server, job["id"], LinesView(verbose=arguments.verbose) if plain else choose_view(arguments))


def add_cancel_options(parser: argparse.ArgumentParser) -> None:
    """The options of `cancel`."""
    parser.add_argument("jobs", metavar="JOB", nargs="*", help="ids of jobs, or their beginnings")
    parser.add_argument("--all", action="store_true", help="all that wait or run")
    add_server(parser)
    add_verbose(parser)


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel jobs."""
    from nodegraph.cli.terminal import count, say
    from nodegraph.errors import Problem, ProblemError

    if bool(arguments.jobs) == arguments.all:
        raise ProblemError(
            Problem("usage", "name the jobs to cancel, or say --all", hint="'nodegraph jobs' lists them")
        )
    server = Server.of(arguments)
    body = {} if arguments.all else {"ids": [named(server, name)["id"] for name in arguments.jobs]}
    cancelled: int = server.ask("POST", "/api/v1/queue/cancel", body)["cancelled"]
    say(f"{count(cancelled, 'job')} cancelled")
    return FINE if cancelled or arguments.all else PROBLEMS


def named(server: Server, name: str) -> dict[str, Any]:
    """The job of an id, or of the only one that begins so. Raises ProblemError."""
    from nodegraph.errors import Problem, ProblemError

    found: list[dict[str, Any]] = server.ask("GET", "/api/v1/jobs?limit=1000")["jobs"]
    exact = [job for job in found if job["id"] == name]
    matching = exact or [job for job in found if job["id"].startswith(name)]
    if len(matching) == 1:
        return matching[0]
    many = f"there are {len(matching)} jobs whose ids begin with '{name}'"
    message = many if matching else f"there is no job '{name}'"
    raise ProblemError(Problem("not_found", message, got=name, hint="'nodegraph jobs' lists them"))


JOBS = Command("jobs", "list the jobs of a server", add_list_options, list_jobs)
LOGS = Command("logs", "show what happened in a job of a server", add_log_options, logs)
CANCEL = Command("cancel", "cancel jobs of a server", add_cancel_options, cancel)
