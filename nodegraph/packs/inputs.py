"""Inputs and outputs as ComfyUI's `INPUT_TYPES` and `RETURN_TYPES` write them, read into specs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from nodegraph.comfy_compat import folders
from nodegraph.comfy_compat.folders import FileList
from nodegraph.comfy_compat.node_typing import IO
from nodegraph.context import Roots
from nodegraph.packs.declared import NOTHING, REQUIRED, Taken
from nodegraph.sockets.types import ANY, SocketType
from nodegraph.spec import VALUE_TYPES, Choices, InputSpec, OutputSpec, Range

LOW: Final = -(2**63)
HIGH: Final = 2**64 - 1
#: Types whose values only come by links.
LINKED: Final = frozenset(IO) - VALUE_TYPES
SCALARS: Final = (str, int, float, bool)
SEEDS: Final = ("seed", "noise_seed")
UPLOADS: Final = ("image_upload", "video_upload", "audio_upload", "animated_image_upload", "file_upload")


class Entry(NamedTuple):
    """What `INPUT_TYPES` says of an input: its type, its choices if it has any, and its options."""

    type: SocketType
    choices: Sequence[object] | None
    options: Mapping[str, Any]


def entry_of(written: object) -> Entry:
    """An entry of `INPUT_TYPES`, `(type, options)`; what is left out or odd is taken for what it most likely means."""
    parts = cast("Sequence[object]", written if isinstance(written, tuple | list) and written else (written,))
    first = parts[0]
    options = cast("Mapping[str, Any]", parts[1]) if len(parts) > 1 and isinstance(parts[1], Mapping) else NOTHING
    offered: object = options.get("options") if isinstance(first, str) and _text(first) == "COMBO" else first
    if isinstance(offered, Iterable) and not isinstance(offered, str | bytes | Mapping):
        choices: Sequence[object] = (
            offered if isinstance(offered, FileList) else list(cast("Iterable[object]", offered))
        )
        if options.get("multiselect") or options.get("multi_select"):
            return Entry(SocketType((ANY,)), None, options)
        return Entry(SocketType(("COMBO",)), choices, options)
    if isinstance(first, str) and _text(first) == "COMBO":  # its choices are known to the browser only
        return Entry(SocketType(("STRING",)), None, options)
    return Entry(type_of(first), None, options)


def type_of(written: object) -> SocketType:
    """The socket type that a pack writes: a name, names with commas, a list of choices, or anything that matches all.

    Packs write "matches all" as `*`, or as a text of a class of their own that claims to be equal to every other.
    """
    if isinstance(written, list | tuple):
        return SocketType(("COMBO",))
    if not isinstance(written, str) or _claims_all(written):
        return SocketType((ANY,))
    names = tuple(dict.fromkeys(name for part in _text(written).split(",") if (name := part.strip())))
    return SocketType((ANY,)) if not names or ANY in names else SocketType(names)


def _claims_all(text: str) -> bool:
    kind = type(text)
    return not isinstance(text, Enum) and (kind.__ne__ is not str.__ne__ or kind.__eq__ is not str.__eq__)


def _text(text: str) -> str:
    """The letters of a text, also of an enum's member."""
    return str.__str__(text)


def input_of(
    name: str, written: object, *, required: bool, taken: Taken, again: Callable[[], object], looked_up: bool
) -> InputSpec:
    """One input.

    again: gives the entry as it is now. taken: the arguments of the function, which has defaults of its own.
    looked_up: what `INPUT_TYPES` says depends on the files there are.
    """
    entry = entry_of(written)
    options, type_ = entry.options, entry.type
    choices = _choices(entry, again)
    needed, default = _default(name, entry, required=required, taken=taken, files=looked_up)
    numbers = set(type_.names) & {"INT", "FLOAT"}
    return InputSpec(
        name=name,
        type=type_,
        required=needed,
        default=default,
        range=_range(options) if numbers and set(type_.names) <= {"INT", "FLOAT"} else None,
        choices=choices,
        multiline=bool(options.get("multiline", False)),
        control=type_.names == ("INT",) and (name in SEEDS or bool(options.get("control_after_generate"))),
        help=str(options.get("tooltip") or ""),
        lazy=bool(options.get("lazy", False)),
        raw=bool(options.get("rawLink", False)),
        custom=LINKED.isdisjoint(type_.names) and VALUE_TYPES.isdisjoint(type_.names) and not type_.is_any,
        options=dict(options) if required else {**options, "optional": True},
    )


def _range(options: Mapping[str, Any]) -> Range | None:
    low, high, step = (_number(options.get(key)) for key in ("min", "max", "step"))
    if low is None and high is None:
        return None
    low, high = LOW if low is None else low, HIGH if high is None else high
    return Range(low, high, step) if low <= high else None


def _number(value: object) -> int | float | None:
    """A number that can be a bound."""
    if isinstance(value, int | float) and not isinstance(value, bool) and LOW * 4 <= value <= HIGH * 4:
        return value
    return None


def _choices(entry: Entry, again: Callable[[], object]) -> tuple[str | int | float | bool, ...] | Choices | None:
    if entry.choices is None:
        return None
    if not all(isinstance(choice, str) for choice in entry.choices):
        return tuple(choice for choice in entry.choices if isinstance(choice, SCALARS))
    known = [_text(cast(str, choice)) for choice in entry.choices]

    def now(roots: Roots) -> Sequence[str]:
        try:
            found = entry_of(again()).choices
        except Exception:  # what was offered at first still is
            return known
        return known if found is None else [_text(choice) for choice in found if isinstance(choice, str)]

    if any(entry.options.get(key) for key in UPLOADS):
        return Choices(list=now, path=_input_file, kind="input file", upload=True)
    if isinstance(entry.choices, FileList):
        kind = entry.choices.kind
        return Choices(list=now, path=lambda name, roots: _model_file(kind, name), kind="file", folder=kind)
    return Choices(list=now, kind="choice")


def _input_file(name: str, roots: Roots) -> Path | None:
    match = folders.ANNOTATED.fullmatch(name)
    if match is None or match[2] == "input":
        return roots.find_input(name if match is None else match[1])
    found = folders.below(roots.output if match[2] == "output" else roots.temp, match[1])
    return found if found is not None and found.is_file() else None


def _model_file(kind: str, name: str) -> Path | None:
    found = folders.full_path(kind, name)
    return None if found is None else Path(found)


def _default(name: str, entry: Entry, *, required: bool, taken: Taken, files: bool) -> tuple[bool, object]:
    """Whether an input must be given, and else what it is.

    A required one need not be given where editors would fill it in. An optional one that is not given is not passed
    on, so that its value is that of the function itself; None stands for that.
    """
    written: object = entry.options.get("default")
    if required:
        if entry.options.get("forceInput"):
            return True, None
        if isinstance(written, SCALARS):
            return False, _fitting(written, entry.type)
        static = entry.choices is not None and not files and len(entry.choices) > 0
        first = entry.choices[0] if static and entry.choices is not None else None
        return (False, first) if isinstance(first, SCALARS) else (True, None)
    own = taken.defaults.get(name)
    if name in taken.defaults and own is REQUIRED and isinstance(written, SCALARS):
        own = written
    return False, _fitting(own, entry.type) if isinstance(own, SCALARS) else None


def _fitting(value: object, type_: SocketType) -> object:
    """A default as the input's type has it: many packs write whole numbers for decimal ones, or the other way."""
    if type_.names == ("FLOAT",) and isinstance(value, int):
        return float(value)
    if type_.names == ("INT",) and isinstance(value, float | bool) and float(value).is_integer():
        return int(value)
    if type_.names == ("BOOLEAN",) and value in (0, 1):
        return bool(value)
    return value


def outputs_of(
    returns: Sequence[object], names: Sequence[object], tooltips: Sequence[object], lists: Sequence[object]
) -> tuple[OutputSpec, ...]:
    """Outputs; two that would have the same name are told apart by a number."""
    outputs: list[OutputSpec] = []
    taken: set[str] = set()
    for i, written in enumerate(returns):
        type_ = type_of(written)
        given = names[i] if i < len(names) else None
        stem = (_text(given) if isinstance(given, str) else "") or ("value" if type_.is_any else type_.wire)
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name.casefold())
        tooltip = tooltips[i] if i < len(tooltips) else None
        outputs.append(
            OutputSpec(
                name,
                type_,
                tooltip if isinstance(tooltip, str) else "",
                is_list=bool(lists[i]) if i < len(lists) else False,
            )
        )
    return tuple(outputs)
