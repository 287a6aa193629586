"""`nodegraph cache`: what is kept of earlier runs, whether it is sound, and how to make room."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.cli.command import Command, add_cache_dir, add_json, add_verbose, amount
from nodegraph.cli.exit_codes import FINE, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.cache.disk import DiskStore
    from nodegraph.cache.upkeep import Info


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `cache`."""
    parser.add_argument(
        "action",
        choices=("info", "verify", "gc", "clear"),
        help="info: sizes, hit rates, what each node type holds; verify: read everything and drop what is damaged; "
        "gc: drop what is left over and what is beyond the budget; clear: drop everything",
    )
    add_cache_dir(parser)
    parser.add_argument("--size", type=amount, metavar="BYTES", help="gc: keep no more than this, such as 5GB")
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Do what was asked for. The exit code of `verify` says whether everything was sound."""
    from nodegraph.cache import upkeep
    from nodegraph.cli.setup import config_named
    from nodegraph.cli.terminal import say
    from nodegraph.execution.config import user_settings

    settings = user_settings(config_named(arguments))
    folder: Path | None = arguments.cache_dir or settings.cache_dir
    if folder is None:
        folder = Path()
    store = open_cache(folder, arguments.size if arguments.size is not None else settings.cache_size)
    if store is None:
        return PROBLEMS
    try:
        match arguments.action:
            case "info":
                found = upkeep.info(store)
                say(json.dumps(found.to_json(), indent=2)) if arguments.json else show_info(found)
            case "verify":
                checked = upkeep.verify(store)
                words = f"{checked.sound:,} results are sound, {checked.damaged:,} were damaged and have been dropped"
                say(json.dumps(checked._asdict()) if arguments.json else words)
                return PROBLEMS if checked.damaged else FINE
            case "gc":
                freed = upkeep.collect(store)
                words = f"freed {size(freed.bytes)}: {freed.results:,} results, {freed.files:,} left-over files"
                say(json.dumps(freed._asdict()) if arguments.json else words)
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


def show_info(found: Info) -> None:
    """Sizes and rates for people."""
    from nodegraph.cli.terminal import say

    say(f"{found.folder}")
    share = f", {found.bytes / found.budget:.0%} of {size(found.budget)}" if found.budget else ""
    say(f"{found.results:,} results, {size(found.bytes)}{share}; the index takes {size(found.index_bytes)}")
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
