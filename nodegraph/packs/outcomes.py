"""What a pack's node returned, as an `Outcome`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from nodegraph.comfy_compat.folders import below
from nodegraph.comfy_compat.graphs import ExecutionBlocker, is_link
from nodegraph.context import Context, Roots
from nodegraph.packs.copies import copied
from nodegraph.sockets.flow import Blocked, Call, Out, Outcome
from nodegraph.sockets.values import Saved, SavedFile


def outcome_of(result: object, lists: Sequence[bool], context: Context) -> object:
    """A returned tuple, dictionary or blocker as an `Outcome`; lists: which outputs give several items.

    What is none of these is given back as it is, and so are values too many or too few: whoever called tells of that.
    """
    if hasattr(type(result), "as_v1"):  # the second form's NodeOutput
        result = cast(Any, result).as_v1()
    if result is None:
        return Outcome()
    if isinstance(result, ExecutionBlocker):
        return Outcome(tuple(_blocked(result) for _ in lists))
    if isinstance(result, tuple | list):
        return Outcome(_values(cast("Sequence[object]", result), lists, links=False))
    if (
        not isinstance(result, Mapping)
        or not {"ui", "result", "expand"} & cast("Mapping[object, object]", result).keys()
    ):
        return Outcome() if isinstance(result, Mapping) and not result and not lists else cast(object, result)
    parts = cast("Mapping[str, object]", result)
    expand, ui = parts.get("expand"), parts.get("ui")
    values = parts.get("result", ())
    if isinstance(values, ExecutionBlocker):
        values = (values,) * len(lists)
    calls = _calls(cast("Mapping[str, Any]", expand)) if isinstance(expand, Mapping) and expand else None
    return Outcome(
        _values(cast("Sequence[object]", values), lists, links=calls is not None)
        if isinstance(values, tuple | list)
        else (values,),
        _saved(cast("Mapping[str, object]", ui), context.roots) if isinstance(ui, Mapping) else None,
        calls,
        complete_ids=calls is not None,
    )


def _values(values: Sequence[object], lists: Sequence[bool], *, links: bool) -> tuple[object, ...]:
    found: list[object] = []
    for i, value in enumerate(values):
        several = i < len(lists) and lists[i] and not (links and is_link(value))
        if several and isinstance(value, list | tuple):
            found.append([_value(item, links=False) for item in cast("Sequence[object]", value)])
        else:
            found.append(_value(value, links=links))
    return tuple(found)


def _value(value: object, *, links: bool) -> object:
    if isinstance(value, ExecutionBlocker):
        return _blocked(value)
    return _out(value) if links and is_link(value) else copied(value, tensors=False)  # packs may keep it, and add to it


def _blocked(blocker: ExecutionBlocker) -> Blocked:
    return Blocked(None if blocker.message is None else str(blocker.message))


def _out(link: object) -> Out:
    node, output = cast("Sequence[Any]", link)
    return Out(str(node), int(output))


def _calls(graph: Mapping[str, Any]) -> dict[str, Call]:
    """The nodes of an expansion, in API format, as calls."""
    calls: dict[str, Call] = {}
    for id, node in graph.items():
        given = cast("Mapping[str, object]", node.get("inputs") or {})
        inputs = {name: _value(_plain(value), links=is_link(value)) for name, value in given.items()}
        calls[str(id)] = Call(str(node.get("class_type", "")), inputs, node.get("override_display_id"))
    return calls


def _plain(value: object) -> object:
    """A literal list, which API format wraps so that it does not read as a link."""
    parts = cast("Mapping[str, object]", value if isinstance(value, Mapping) else {})
    return parts["__value__"] if len(parts) == 1 and "__value__" in parts else cast(object, value)


def _saved(ui: Mapping[str, object], roots: Roots) -> Saved:
    """What a node shows, and those of the files in there that it made."""
    folders = {"output": roots.output, "temp": roots.temp}
    files: list[SavedFile] = []
    for entries in ui.values():
        for entry in cast("Sequence[object]", entries) if isinstance(entries, list | tuple) else ():
            if isinstance(entry, Mapping):
                file = _file(cast("Mapping[str, object]", entry), folders)
                files += [] if file is None else [file]
    return Saved(tuple(files), cast("Mapping[str, object]", _json(ui)))


def _file(entry: Mapping[str, object], folders: Mapping[str, Path]) -> SavedFile | None:
    filename, subfolder, type_ = (entry.get(key, "") for key in ("filename", "subfolder", "type"))
    if not isinstance(filename, str) or not isinstance(subfolder, str) or not isinstance(type_, str):
        return None
    name = f"{subfolder}/{filename}" if subfolder else filename
    path = below(folders[type_], name) if type_ in folders else None
    return SavedFile(str(path), filename, subfolder, type_) if path is not None and path.is_file() else None


def _json(value: object) -> object:
    """A value as JSON has it; what JSON does not have, as a text."""
    try:
        return json.loads(json.dumps(value, default=_odd, skipkeys=True))
    except (ValueError, RecursionError):
        return {}


def _odd(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    if isinstance(value, set | frozenset | tuple):
        return list(cast("Sequence[object]", value))
    item = getattr(value, "item", None)
    try:
        return item() if callable(item) else str(value)
    except Exception:  # a tensor of several numbers
        return str(value)
