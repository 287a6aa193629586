"""The user's configuration: `nodegraph/config.yaml` below $XDG_CONFIG_HOME (by default ~/.config).

cache:
  dir: /data/nodegraph-cache
  size: 50 GB
  free: 2 GB
  memory: 4 GB
models:
  memory: 12 GB
packs:
  custom_nodes: [~/ComfyUI/custom_nodes]
  allow_packs: [my-pack, other-pack]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from nodegraph.errors import ProblemError, did_you_mean, listing, shorten
from nodegraph.execution.settings import Settings, xdg_home
from nodegraph.workflow.limits import DEFAULT_LIMITS
from nodegraph.workflow.read import read_bytes, read_document
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of

UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
AMOUNT: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)

Changes = dict[str, Any]


def config_file() -> Path:
    """Where this user's configuration stands."""
    return xdg_home("XDG_CONFIG_HOME", ".config") / "nodegraph" / "config.yaml"


def user_settings(path: Path | None = None) -> Settings:
    """The defaults, as the user's configuration changes them. Raises ProblemError for what is wrong in it."""
    path = path or config_file()
    if not path.is_file():
        return Settings()
    changes, problems = read_document(read_bytes(path, DEFAULT_LIMITS), read_config, file=str(path), format="yaml")
    if problems:
        raise ProblemError(problems)
    return replace(Settings(), **(changes or {}))


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
    found = [folder_of(each) for each in items_of(value)]
    return tuple([folder for folder in found if folder is not None]) if found and None not in found else None


def names_of(value: object) -> tuple[str, ...] | None:
    """A name or a list of them, which may be empty; None for what is neither."""
    items = items_of(value)
    return tuple([each for each in items if isinstance(each, str)]) if all(isinstance(e, str) for e in items) else None


def items_of(value: object) -> Sequence[object]:
    """The items of a list as it stands in a file, or the one value that there is."""
    if not isinstance(value, list):
        return (value,)
    return [each.value if isinstance(each, Located) else each for each in cast("list[object]", value)]


#: section → key → (setting, how to read it, what it is)
KEYS: Final[Mapping[str, Mapping[str, tuple[str, Callable[[object], object | None], str]]]] = {
    "cache": {
        "dir": ("cache_dir", folder_of, "a folder"),
        "size": ("cache_size", bytes_of, "an amount such as 20 GB"),
        "free": ("free_space", bytes_of, "an amount such as 1 GB"),
        "memory": ("cache_memory", bytes_of, "an amount such as 2 GB"),
    },
    "models": {"memory": ("model_memory", bytes_of, "an amount such as 8 GB")},
    "packs": {
        "custom_nodes": ("custom_nodes", folders_of, "a folder or a list of folders"),
        "allow_packs": ("allow_packs", names_of, "a list of names"),
    },
}


def read_config(root: Located, report: Report) -> Changes:
    """The settings that a configuration changes."""
    changes: Changes = {}
    for section, entry in _members(root, "the configuration", KEYS, report).items():
        known = KEYS[section]
        for name, given in _members(entry, f"'{section}'", known, report).items():
            setting, read, expected = known[name]
            value = read(given.value)
            if value is not None:
                changes[setting] = value
            elif given.value is not UNREADABLE:
                got = kind_of(given.value) if isinstance(given.value, list | dict) else shorten(given.value)
                message = f"'{section}: {name}' is {expected}, not {got}"
                report.add("bad_value", message, report.at(given), got=got, expected=expected)
    return changes


def _members(entry: Located, owner: str, known: Mapping[str, object], report: Report) -> dict[str, Located]:
    """The known members of a mapping; others are reported."""
    if entry.value is None or entry.value is UNREADABLE:
        return {}
    if not isinstance(entry.value, dict):
        report.add("wrong_kind", f"{owner} is a mapping, not {kind_of(entry.value)}", report.at(entry))
        return {}
    for name, given in entry.value.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"its keys are {listing(list(known))}"
            report.add("unknown_key", f"{owner} has no key {shorten(name)}", report.at_key(given), hint=hint)
    return {name: given for name, given in entry.value.items() if name in known}
