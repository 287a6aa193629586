"""Options that the command line leaves out, from the configuration file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from nodegraph.errors import Problem
    from nodegraph.execution.config import Config, Entry

NOT_KEYS: Final = frozenset({"help", "config", "version"})


class Given(list[Any]):
    """Values of a repeatable option from the configuration; those of the command line take their place."""

    def __init__(self, values: Sequence[Any]) -> None:
        super().__init__(values)
        self.known = len(values)

    def __copy__(self) -> Given:
        copy = Given(self)
        copy.known = self.known
        return copy


def config_of(argv: Sequence[str] | None) -> Config:
    """The configuration that a command line names, or the user's. Raises ProblemError."""
    from nodegraph.execution.config import load_config

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", type=Path)
    named: Path | None = parser.parse_known_args(argv)[0].config
    return load_config(named)


def keys_of(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a command that a configuration may set, by key."""
    found: dict[str, argparse.Action] = {}
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage] (argparse has no other way to list them)
        names = [name for name in action.option_strings if name.startswith("--")]
        if names and action.dest not in NOT_KEYS:
            found[names[0][2:].replace("-", "_")] = action
    return found


def configure(parsers: Mapping[str, argparse.ArgumentParser], config: Config) -> list[Problem]:
    """Make the configuration's values the defaults of all commands; returns what is wrong with it."""
    from nodegraph.execution.config import SETTINGS, unknown_entry

    if not config.sections:
        return []
    options = {name: keys_of(parser) for name, parser in parsers.items()}
    everything = {key for keys in options.values() for key in keys} | set(SETTINGS)
    problems: list[Problem] = []
    for section, entries in config.sections.items():
        if section and section not in options:
            some = next(iter(entries.values()), None)
            if some is not None:
                problems.append(
                    unknown_entry(section, some, options, "the configuration, where sections are commands,")
                )
            continue
        known = options[section] if section else everything
        owner = f"the command '{section}'" if section else "the configuration"
        problems += [unknown_entry(name, entry, known, owner) for name, entry in entries.items() if name not in known]
    for name, parser in parsers.items():
        problems += _defaults(parser, options[name], config.of(name))
    return list(dict.fromkeys(problems))


def _defaults(
    parser: argparse.ArgumentParser, options: Mapping[str, argparse.Action], entries: Mapping[str, Entry]
) -> Iterator[Problem]:
    for key, entry in entries.items():
        action = options.get(key)
        if action is None:
            continue
        try:
            parser.set_defaults(**{action.dest: _value(action, entry.value)})
        except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
            from nodegraph.cache.address import without_secrets
            from nodegraph.errors import Problem, shorten
            from nodegraph.execution.config import without_words

            shown = without_secrets(shorten(entry.value))
            reason = str(error) or "it is something else"
            yield Problem("bad_value", f"'{key}' cannot be {shown}: {reason}", without_words(entry.place), got=shown)


def _value(action: argparse.Action, given: object) -> object:
    """A value as its option would give it. Raises ArgumentTypeError, ValueError or TypeError."""
    if action.nargs == 0:
        if not isinstance(given, bool):
            raise TypeError("it is true or false")
        return given
    if isinstance(action.default, list):
        items = cast("list[object]", given) if isinstance(given, list) else [given]
        return Given([_one(action, item) for item in items])
    return _one(action, given)


def _one(action: argparse.Action, given: object) -> object:
    if isinstance(given, bool | list | dict) or given is None:
        raise TypeError("it is a text or a number")
    text = str(given)
    if action.type is Path:
        return Path(text).expanduser()
    value = action.type(text) if callable(action.type) else text
    if action.choices is not None and value not in action.choices:
        raise ValueError(f"it is one of {', '.join(map(str, action.choices))}")
    return value


def settle(arguments: argparse.Namespace) -> None:
    """Let values of the command line take the place of the configuration's, instead of following them."""
    for name, value in vars(arguments).items():
        if isinstance(value, Given):
            everything: list[Any] = list(cast("list[Any]", value))
            setattr(arguments, name, everything[value.known :] or everything)
