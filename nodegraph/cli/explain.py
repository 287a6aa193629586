"""`nodegraph explain`: which nodes would run, and why."""

from __future__ import annotations

import argparse
import json as json_format
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nodegraph.cli.command import Command, add_json, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS
from nodegraph.cli.run import add_what, worth_telling

if TYPE_CHECKING:
    from nodegraph.execution.explain import Cause, Explained


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `explain`: what `run` would be told."""
    add_what(parser)
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Explain FILE. The exit code says whether it could run."""
    from nodegraph.cli.examine import examine
    from nodegraph.cli.setup import registry_of, settings_of
    from nodegraph.cli.terminal import show_problems
    from nodegraph.execution.session import Session

    settings = settings_of(arguments)
    registry = registry_of(arguments, settings)
    examined = examine(arguments.file, arguments, registry, settings)
    show_problems(worth_telling(examined.problems))
    if examined.graph is None:
        return PROBLEMS
    with Session(settings, registry) as session:
        explained = session.explain(examined.graph, only=arguments.only, want=())
    tell(explained, json=arguments.json)
    return FINE


def tell(explained: Sequence[Explained], *, json: bool) -> None:
    """Print what will run and why."""
    from nodegraph.cli.terminal import count, say

    runs, hits = (sum(each.action == action for each in explained) for action in ("run", "hit"))
    if json:
        nodes = [each.to_json() for each in explained]
        data = {"event": "explained", "hits": hits, "runs": runs, "nodes": nodes}
        say(json_format.dumps(data, ensure_ascii=False))
        return
    width = min(40, max((len(each.node) for each in explained), default=0))
    for each in explained:
        if each.action == "hit":
            say(f"{each.node:<{width}}  cached{'  in the remote cache' if each.remote else ''}", style="dim")
        elif each.action == "off":
            say(f"{each.node:<{width}}  off     its 'when' does not hold", style="dim")
        elif each.action == "idle":
            say(f"{each.node:<{width}}  idle    it runs only if a node asks for it", style="dim")
        else:
            say(f"{each.node:<{width}}  runs    {why(each)}")
    known = sum(each.seconds or 0.0 for each in explained if each.action == "hit")
    saved = f", which saves {known:.1f} s" if known >= 0.05 else ""
    say(f"{count(len(explained), 'node')}: {runs:,} to run, {hits:,} cached{saved}")


def why(each: Explained) -> str:
    """The reason why a node runs, as a sentence; of a chain of changes, where it began."""
    cause, root = each.cause, each.root
    if cause is None:
        return ""
    if root is not None and root.node != each.node:
        return f"follows {root.node}: {reason(root)}"
    return reason(cause)


def reason(cause: Cause) -> str:
    """What differs, in words."""
    from nodegraph.errors import shorten

    old, new = (shorten(value, limit=40) for value in (cause.old, cause.new))
    match cause.reason:
        case "never_run":
            return "it has not run here before"
        case "input_changed" if cause.new is None:
            return f"{cause.field} was {old}, and is gone"
        case "input_changed" if cause.old is None:
            return f"{cause.field} is {new}, and was not there"
        case "input_changed":
            return f"{cause.field} was {old}, is {new}"
        case "upstream_changed":
            return f"what comes in as {cause.field} is another"
        case "file_changed":
            return f"the file that {cause.field} names has changed"
        case "code_changed" if cause.field == "version":
            return f"the node's version was {old}, is {new}"
        case "code_changed":
            return "the node's code has changed"
        case "environment_changed":
            return f"it ran under {old}, now it is {new}"
        case "evicted":
            return cause.detail or "its result was evicted to make room"
        case "blob_missing":
            return "its stored result is missing"
        case "output_missing":
            return "a file that it saved is gone, or is another one now"
        case "cache_off" | "not_deterministic" | "not_kept":
            return cause.detail


COMMAND = Command("explain", "say which nodes would run, and why", add_options, call)
