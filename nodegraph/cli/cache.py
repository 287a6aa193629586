"""`nodegraph cache`: what is kept of earlier runs, whether it is sound, and how to make room."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nodegraph.cli.command import Command, add_cache_dir, add_json, add_remote_cache, add_verbose, amount
from nodegraph.cli.exit_codes import FINE, PROBLEMS
from nodegraph.cli.remote_cache import days, gc_remote, info_of_remote, remote_missing

if TYPE_CHECKING:
    from nodegraph.cache.disk import DiskStore
    from nodegraph.cache.remote_upkeep import RemoteInfo
    from nodegraph.cache.upkeep import Info


OLD_DAYS: Final = 90.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `cache`."""
    parser.add_argument(
        "action",
        choices=("info", "verify", "gc", "clear"),
        help="info: sizes, hit rates, what each node type holds; verify: read everything and drop what is damaged; "
        "gc: drop what is left over and what is beyond the budget; clear: drop everything",
    )
    add_cache_dir(parser)
    add_remote_cache(parser)
    parser.add_argument(
        "--remote", action="store_true", help="gc: delete what is old in the remote cache, too, for all who use it"
    )
    parser.add_argument(
        "--older-than", type=days, metavar="DAYS", default=OLD_DAYS, help="gc --remote: how old that is (default: 90)"
    )
    parser.add_argument("--size", type=amount, metavar="BYTES", help="gc: keep no more than this, such as 5GB")
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Do what was asked for. The exit code of `verify` says whether everything was sound."""
    from nodegraph.cache import upkeep
    from nodegraph.cli.setup import cache_options, config_named
    from nodegraph.cli.terminal import say, show_problem
    from nodegraph.execution.config import user_settings

    settings = replace(user_settings(config_named(arguments)), **cache_options(arguments))
    folder = settings.cache_dir or Path()
    if arguments.remote and (problem := remote_missing(settings)):
        show_problem(problem)
        return PROBLEMS
    store = open_cache(folder, arguments.size if arguments.size is not None else settings.cache_size)
    if store is None:
        return PROBLEMS
    try:
        match arguments.action:
            case "info":
                found, shared = upkeep.info(store), info_of_remote(settings)
                data = found.to_json() | ({"remote": shared.to_json()} if shared is not None else {})
                say(json.dumps(data, indent=2)) if arguments.json else show_info(found, shared)
            case "verify":
                checked = upkeep.verify(store)
                words = f"{checked.sound:,} results are sound, {checked.damaged:,} were damaged and have been dropped"
                say(json.dumps(checked._asdict()) if arguments.json else words)
                return PROBLEMS if checked.damaged else FINE
            case "gc":
                freed = upkeep.collect(store)
                words = f"freed {size(freed.bytes)}: {freed.results:,} results, {freed.files:,} left-over files"
                old = gc_remote(settings, arguments.older_than) if arguments.remote else None
                data = freed._asdict() | ({"remote": old._asdict()} if old is not None else {})
                if old is not None:
                    words += f"\nfreed {size(old.bytes)} in the remote cache: {old.results:,} results"
                say(json.dumps(data) if arguments.json else words)
            case _:
                freed = upkeep.clear(store)
                say(json.dumps(freed._asdict()) if arguments.json else f"freed {size(freed.bytes)} in {store.folder}")
    finally:
        store.close()
    return FINE


def open_cache(folder: Path, budget: int) -> DiskStore | None:
    """The store in a folder; None, with its own words for why, if it cannot be used."""
    from nodegraph.cache.disk import DiskStore
    from nodegraph.cli.terminal import show_problem
    from nodegraph.errors import Place, Problem

    told: list[str] = []
    store = DiskStore(folder, budget=budget, free=0, warn=told.append)
    if store.index is not None:
        return store
    show_problem(Problem("cache_unusable", told[0] if told else "the cache cannot be used", Place(str(folder))))
    return None


def show_info(found: Info, remote: RemoteInfo | None = None) -> None:
    """Sizes and rates for people."""
    from nodegraph.cli.terminal import say

    say(f"{found.folder}")
    share = f", {found.bytes / found.budget:.0%} of {size(found.budget)}" if found.budget else ""
    say(f"{found.results:,} results, {size(found.bytes)}{share}; the index takes {size(found.index_bytes)}")
    if remote is not None:
        held = f"{remote.results:,} results, {size(remote.bytes)}" if remote.bytes is not None else "not counted"
        say(f"remote cache {remote.address} ({remote.mode}): {held}")
    if found.types:
        width = max(len(each.type) for each in found.types)
        say(
            f"{'node type':<{width}}  {'results':>9}  {'size':>9}  {'hits':>7}  {'runs':>7}  {'rate':>5}  saved",
            style="bold",
        )
        for each in found.types:
            rate = f"{each.hits / (each.hits + each.runs):.0%}" if each.hits + each.runs else "-"
            say(
                f"{each.type:<{width}}  {each.results:>9,}  {size(each.bytes):>9}  {each.hits:>7,}  {each.runs:>7,}  "
                f"{rate:>5}  {each.saved:,.1f} s"
            )


def size(number: int) -> str:
    """Bytes as people read them."""
    amount_, unit = float(number), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount_ < 1024 or unit == "TB":
            break
        amount_ /= 1024
    return f"{amount_:.0f} {unit}" if unit == "B" or amount_ >= 100 else f"{amount_:.1f} {unit}"


COMMAND = Command("cache", "show and tend what is kept of earlier runs", add_options, call)
