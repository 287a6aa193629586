"""`nodegraph config`: where the configuration stands, and what holds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from nodegraph.cli.command import Command, add_json, add_verbose
from nodegraph.cli.exit_codes import FINE

SECRET: Final = frozenset({"token"})


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `config`."""
    parser.add_argument(
        "action",
        choices=("show", "path"),
        help="show: every key with its value and where that comes from; path: where the file stands",
    )
    add_json(parser, "print one JSON object")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """Show the configuration."""
    import json

    from nodegraph.cache.address import without_secrets
    from nodegraph.cli.configured import config_of
    from nodegraph.cli.terminal import say

    named: Path | None = arguments.config
    config = config_of(["--config", str(named)] if named is not None else [])
    if arguments.action == "path":
        say(json.dumps({"path": str(config.path)}) if arguments.json else str(config.path))
        return FINE
    shown: dict[str, dict[str, dict[str, object]]] = {}
    for section, entries in config.sections.items():
        for key, entry in entries.items():
            value = "…" if key in SECRET else entry.value
            value = without_secrets(value) if isinstance(value, str) else value
            shown.setdefault(section, {})[key] = {"value": value, "from": str(entry.place)}
    rest = {key: commands for key, commands in all_keys().items() if key not in shown.get("", {})}
    if arguments.json:
        say(json.dumps({"path": str(config.path), "keys": shown, "defaults": rest}, indent=2))
        return FINE
    say(f"# {config.path}" + ("" if config.path.is_file() else " (there is no such file)"))
    for section, keys in sorted(shown.items()):
        if section:
            say(f"\n[{section}]")
        for key, facts in keys.items():
            say(f"{key} = {toml(facts['value'])}  # {facts['from']}")
    say("\n# with their defaults:")
    for key, commands in rest.items():
        say(f"# {key}  ({commands})")
    return FINE


def all_keys() -> dict[str, str]:
    """Every key, and the commands that it is for."""
    from nodegraph.cli.configured import keys_of
    from nodegraph.cli.main import command_parsers
    from nodegraph.execution.config import SETTINGS

    found: dict[str, list[str]] = {key: [] for key in SETTINGS}
    parsers = command_parsers()
    for name, parser in parsers.items():
        for key in keys_of(parser):
            found.setdefault(key, []).append(name)
    everywhere = len(parsers)
    return {
        key: "all commands" if len(names) == everywhere else ", ".join(names) or "everywhere"
        for key, names in sorted(found.items())
    }


def toml(value: object) -> str:
    """A value as TOML has it."""
    import json

    return json.dumps(value, ensure_ascii=False)


COMMAND = Command("config", "show the configuration", add_options, call)
