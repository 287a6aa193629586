"""Keys of a file that come from editors: a node's `mode`, `pack` and `models`, and the titles of groups."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from nodegraph.errors import listing, shorten
from nodegraph.workflow.document import Group, Mode, NodeEntry, Wanted
from nodegraph.workflow.texts import free_name
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of

MODES: Final[tuple[Mode, ...]] = ("run", "muted", "bypassed")
EDITOR_KEYS: Final = ("mode", "pack", "models")
MODEL_KEYS: Final = ("name", "folder", "url")


def read_mode(keys: Mapping[str, Located], node: str, report: Report) -> Mode:
    """The key `mode` of a node."""
    entry = keys.get("mode")
    if entry is None or entry.value is UNREADABLE or entry.value is None:
        return "run"
    if isinstance(entry.value, str) and entry.value in MODES:
        return entry.value
    shown = shorten(entry.value) if not isinstance(entry.value, list | dict) else kind_of(entry.value)
    report.add("not_a_choice", f"'mode' is {listing(MODES)}, not {shown}", report.at(entry), node=node)
    return "run"


def read_wanted(keys: Mapping[str, Located], node: str, report: Report) -> tuple[Wanted, ...]:
    """The key `models` of a node: the model files that it needs."""
    entry = keys.get("models")
    if entry is None or entry.value is UNREADABLE or entry.value is None:
        return ()
    found: list[Wanted] = []
    listed = entry.value if isinstance(entry.value, list) else [entry]
    for item in listed:
        members = item.value if isinstance(item.value, dict) else {}
        texts = [members[key].value if key in members else "" for key in MODEL_KEYS]
        name, folder, url = (text if isinstance(text, str) else None for text in texts)
        if not name or folder is None or url is None or not members.keys() <= set(MODEL_KEYS):
            message = "'models' is a list of model files, each with the texts 'name', 'folder' and 'url'"
            report.add("wrong_kind", message, report.at(item), node=node)
            continue
        found.append(Wanted(name, folder, url))
    return tuple(found)


def origin_keys(node: NodeEntry) -> dict[str, str | list[dict[str, str]]]:
    """`pack` and `models` of a node as plain data, as far as they say something."""
    data: dict[str, str | list[dict[str, str]]] = {}
    if node.pack:
        data["pack"] = node.pack
    if node.wanted:
        data["models"] = [
            {key: value for key, value in zip(MODEL_KEYS, (each.name, each.folder, each.url), strict=True) if value}
            for each in node.wanted
        ]
    return data


def group_titles(groups: Sequence[Group]) -> list[str]:
    """A title of its own for each group, which is its key."""
    taken: set[str] = set()
    titles: list[str] = []
    for group in groups:
        # A key is one line, and has a limit.
        stem = (
            re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]+", " ", group.title).strip()[:200] or "group"
        )
        titles.append(free_name(stem, taken, joint=" "))
        taken.add(titles[-1])
    return titles
