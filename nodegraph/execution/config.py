"""The configuration: `nodegraph.toml`, with a line for any option of the command line.

    device = "cpu"
    cache_size = "50 GB"
    custom_nodes = ["~/ComfyUI/custom_nodes"]

    [run]                        # only for this command
    output_dir = "pictures"

It stands in `nodegraph` below $XDG_CONFIG_HOME (by default ~/.config), or where $NODEGRAPH_CONFIG or `--config` says.
It is never looked for beside workflows, since it can name packs, which are code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from nodegraph.cache.address import EXAMPLES, MODES, address_of, without_secrets
from nodegraph.errors import Place, Problem, ProblemError, did_you_mean, listing, shorten
from nodegraph.execution.settings import Settings, xdg_home
from nodegraph.workflow.limits import DEFAULT_LIMITS
from nodegraph.workflow.read import read_bytes, read_document
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of

UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
AMOUNT: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
VARIABLE: Final = "NODEGRAPH_CONFIG"
LEAST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 3600.0

Changes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of the configuration, and where it stands."""

    value: object
    place: Place
    key_place: Place


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration as it was read: values by key, those for all commands under "", others under a command's name."""

    path: Path
    sections: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict[str, Mapping[str, Entry]])

    def of(self, command: str) -> dict[str, Entry]:
        """What holds for a command."""
        return {**self.sections.get("", {}), **self.sections.get(command, {})}


def config_file() -> Path:
    """Where this user's configuration stands."""
    named = os.environ.get(VARIABLE, "")
    return Path(named) if named else xdg_home("XDG_CONFIG_HOME", ".config") / "nodegraph" / "nodegraph.toml"


def load_config(path: Path | None = None) -> Config:
    """The configuration in a file, by default the user's; an empty one if there is none. Raises ProblemError."""
    where = path or config_file()
    if path is None and VARIABLE not in os.environ and not where.is_file():
        return Config(where)
    found, problems = read_document(read_bytes(where, DEFAULT_LIMITS), _sections, file=str(where), format="toml")
    if problems:
        raise ProblemError(problems)
    return Config(where, found or {})


def _sections(root: Located, report: Report) -> Mapping[str, Mapping[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {"": {}}
    for name, given in root.value.items() if isinstance(root.value, dict) else ():
        if isinstance(given.value, dict):
            found[name] = {key_of(key): _entry(item, report) for key, item in given.value.items()}
        else:
            found[""][key_of(name)] = _entry(given, report)
    return found


def key_of(name: str) -> str:
    """A key as options are called inside a program: `cache-dir` and `cache_dir` are the same."""
    return name.replace("-", "_")


def _entry(given: Located, report: Report) -> Entry:
    return Entry(_plain(given), report.at(given), report.at_key(given))


def _plain(given: Located) -> object:
    if isinstance(given.value, list):
        return [_plain(item) for item in given.value]
    if isinstance(given.value, dict):
        return {name: _plain(item) for name, item in given.value.items()}
    return None if given.value is UNREADABLE else given.value


def user_settings(config: Config | None = None) -> Settings:
    """The defaults, as the user's configuration changes them. Raises ProblemError for what is wrong in it."""
    config = config if config is not None else load_config()
    changes: Changes = {}
    problems: list[Problem] = []
    for name, entry in config.sections.get("", {}).items():
        if name not in SETTINGS:
            continue
        setting, read, expected = SETTINGS[name]
        value = read(entry.value)
        if value is None:
            problems.append(bad_entry(name, entry, expected))
        else:
            changes[setting] = value
    if problems:
        raise ProblemError(problems)
    return replace(Settings(), **changes)


def bad_entry(name: str, entry: Entry, expected: str) -> Problem:
    """A value that its key does not take."""
    value: object = entry.value
    got = kind_of(cast(object, value)) if isinstance(value, list | dict) else without_secrets(shorten(value))
    message = f"'{name}' is {expected}, not {got}"
    return Problem("bad_value", message, without_words(entry.place), got=got, expected=expected)


def without_words(place: Place) -> Place:
    """A place whose line is not shown with what an address in it may hold of names and passwords."""
    return place if place.text is None else replace(place, text=without_secrets(place.text))


def unknown_entry(name: str, entry: Entry, known: Collection[str], owner: str) -> Problem:
    """A key that nothing goes by."""
    hint = did_you_mean(name, known) or f"its keys are {listing(sorted(known))}"
    return Problem("unknown_key", f"{owner} has no key {shorten(name)}", entry.key_place, got=name, hint=hint)


def bytes_of(value: object) -> int | None:
    """`2 GB`, `500M` or a plain number as bytes; None for what is no amount."""
    if type(value) is int and value >= 0:
        return value
    match = AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(float(match[1]) * UNITS[match[2].lower()]) if match else None


def folder_of(value: object) -> Path | None:
    """A folder, `~` understood; None for what is none."""
    if not isinstance(value, str) or not value or "\0" in value:
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError:  # nobody's home
        return None


def folders_of(value: object) -> tuple[Path, ...] | None:
    """A folder or a list of them; None for what is neither."""
    found = [folder_of(each) for each in _items(value)]
    return tuple([folder for folder in found if folder is not None]) if found and None not in found else None


def names_of(value: object) -> tuple[str, ...] | None:
    """A name or a list of them, which may be empty; None for what is neither."""
    items = _items(value)
    return tuple([each for each in items if isinstance(each, str)]) if all(isinstance(e, str) for e in items) else None


def _items(value: object) -> Sequence[object]:
    return cast("list[object]", value) if isinstance(value, list) else (value,)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def seconds_of(value: object) -> float | None:
    """A number of seconds from a tenth to an hour; None for anything else."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except ValueError:
        return None
    return seconds if LEAST_SECONDS <= seconds <= MOST_SECONDS else None


def _address(value: object) -> str | None:
    try:
        return value if isinstance(value, str) and address_of(value) else None
    except ValueError:
        return None


def _mode(value: object) -> str | None:
    return value if isinstance(value, str) and value in MODES else None


#: key → (setting, how to read it, what it is): the keys that count in Python programs too.
SETTINGS: Final[Mapping[str, tuple[str, Callable[[object], object | None], str]]] = {
    "output_dir": ("output", folder_of, "a folder"),
    "input_dir": ("inputs", folders_of, "a folder or a list of folders"),
    "model_dir": ("models", folders_of, "a folder or a list of folders"),
    "custom_nodes": ("custom_nodes", folders_of, "a folder or a list of folders"),
    "allow_pack": ("allow_packs", names_of, "a list of names"),
    "allow_pickle": ("allow_pickle", _truth, "true or false"),
    "device": ("device", _text, 'a device such as "cpu" or "cuda"'),
    "dtype": ("dtype", _text, 'a number format such as "fp16"'),
    "vae_dtype": ("vae_dtype", _text, 'a number format such as "fp16"'),
    "cache_dir": ("cache_dir", folder_of, "a folder"),
    "cache_size": ("cache_size", bytes_of, 'an amount such as "20 GB"'),
    "cache_free": ("free_space", bytes_of, 'an amount such as "1 GB"'),
    "cache_memory": ("cache_memory", bytes_of, 'an amount such as "2 GB"'),
    "remote_cache": ("remote_cache", _address, f"an address such as {EXAMPLES}"),
    "remote_cache_mode": ("remote_cache_mode", _mode, '"read" or "read-write"'),
    "remote_cache_timeout": ("remote_cache_timeout", seconds_of, "seconds, such as 10"),
    "model_memory": ("model_memory", bytes_of, 'an amount such as "8 GB"'),
}
