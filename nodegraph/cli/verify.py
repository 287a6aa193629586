"""`nodegraph verify`: run again what a picture or a manifest records, and say where the outcome differs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.cli.command import Command, add_cache_dir, add_folders, add_json, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.execution.manifest import Manifest
    from nodegraph.execution.settings import Settings
    from nodegraph.execution.verify import Verdict


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `verify`."""
    parser.add_argument("file", metavar="FILE", help="a picture that nodegraph saved, or the manifest (.json) of a run")
    add_folders(parser)
    parser.add_argument("--device", default="auto", help="where to run it again (default: auto)")
    parser.add_argument("--dtype", default="auto", choices=("auto", "fp32", "fp16", "bf16"), help="the number format")
    add_cache_dir(parser)
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Verify FILE. The exit code says whether everything came out the same."""
    from nodegraph.cache.disk import DiskStore
    from nodegraph.cli.setup import registry_of, settings_of
    from nodegraph.cli.signals import StopSignals, write_stopping
    from nodegraph.cli.terminal import say, show_problems
    from nodegraph.context import CancelToken
    from nodegraph.execution.session import open_store
    from nodegraph.execution.verify import verify

    settings = settings_of(arguments)
    registry = registry_of(arguments, settings)
    manifest = find_manifest(Path(arguments.file), settings)
    store = open_store(settings, lambda message: None)
    token = CancelToken()
    try:
        with StopSignals(token, write_stopping) as signals:
            verdict = verify(manifest, settings, registry, recorded=store.values, token=token)
    finally:
        if isinstance(store, DiskStore):
            store.close()
    if signals.exit_code is not None:
        return signals.exit_code
    if arguments.json:
        say(json.dumps(verdict.to_json()))
    else:
        show_problems(verdict.problems)
        for line in lines(verdict):
            say(line)
    return FINE if verdict.same else PROBLEMS


def find_manifest(path: Path, settings: Settings) -> Manifest:
    """The manifest in a file, or that of the run which made a picture. Raises ProblemError."""
    from nodegraph.errors import Place, Problem, ProblemError
    from nodegraph.execution.manifest import read_manifest
    from nodegraph.workflow.png import read_text_chunks
    from nodegraph.workflow.read import PNG_SIGNATURE, read_bytes

    def unusable(reason: str, hint: str | None = None) -> ProblemError:
        return ProblemError(Problem("not_a_manifest", reason, Place(str(path)), hint=hint))

    data = read_bytes(path)
    if not data.startswith(PNG_SIGNATURE):
        try:
            return read_manifest(path)
        except ValueError as error:
            raise unusable(
                f"{path.name}: {error}", "give a picture that nodegraph saved, or a run's manifest"
            ) from error
    texts = read_text_chunks(data)
    try:
        run = json.loads(texts.get("nodegraph.run", "{}")).get("run")
    except (ValueError, AttributeError):
        run = None
    if not isinstance(run, str) or not run.replace("-", "").isalnum():
        raise unusable("the picture does not say which run made it")
    folder = settings.cache_dir
    kept = folder / "v1" / "runs" / f"{run}.json" if folder is not None else None
    if kept is None or not kept.is_file():
        raise unusable(
            f"the record of the run that made the picture ({run}) is not kept here",
            "give the manifest that was written with --manifest, or the --cache-dir that it was run with",
        )
    try:
        return read_manifest(kept)
    except ValueError as error:
        raise unusable(f"{kept}: {error}") from error


def lines(verdict: Verdict) -> list[str]:
    """The verdict in words."""
    from nodegraph.cli.terminal import count

    told = [
        f"{name} was {old or 'not there'}, is {new or 'not there'}" for name, (old, new) in verdict.versions.items()
    ]
    if verdict.same:
        return [*told, f"the same: {count(verdict.compared, 'node')} compared"]
    found = verdict.difference
    if found is None:
        return told
    words = f"'{found.node}' ({found.type}) is the first node whose output differs"
    if found.shape is not None:
        words += f": its shape was {list(found.recorded_shape or ())}, is {list(found.shape)}"
    elif found.largest is not None:
        words += f": by {found.largest:.3g} at most"
    else:
        words += "; how much cannot be said, since what it was is not kept"
    if found.action_differs:
        words += ". It is another action than then: its code, a file it reads or the environment changed"
    return [*told, words]


COMMAND = Command("verify", "run again what made a picture, and compare", add_options, call)
