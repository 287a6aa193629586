"""`nodegraph version`: which versions of everything that can change a picture are installed."""

from __future__ import annotations

import argparse

from nodegraph.cli.command import Command, add_json, add_verbose
from nodegraph.cli.exit_codes import FINE
from nodegraph.version import VERSION

PACKAGES = ("torch", "diffusers", "transformers")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `version`."""
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Print the versions."""
    import json

    from nodegraph.cli.terminal import say

    found = versions()
    if arguments.json:
        say(json.dumps(found, indent=2))
    else:
        for name, version in found.items():
            say(f"{name:<13}{version or 'not installed'}")
    return FINE


def versions() -> dict[str, str | None]:
    """Versions by name, read from what is installed without importing it."""
    import importlib.metadata
    import platform

    found: dict[str, str | None] = {"nodegraph": VERSION, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found | {"platform": platform.platform()}


COMMAND = Command("version", "print versions", add_options, call)
