"""Packs that were written for ComfyUI: where they are found, and what they give."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from nodegraph.comfy_compat import current, finder, folders
from nodegraph.context import Roots
from nodegraph.packs.builtin import class_of
from nodegraph.packs.code import ClassCode, PackCode
from nodegraph.packs.declared import BadNode, Declared
from nodegraph.packs.found import BrokenPack, Found, Source
from nodegraph.packs.importing import import_path, sentence, tail
from nodegraph.packs.missing import what_is_missing
from nodegraph.packs.native import is_pack, specs_of_module
from nodegraph.packs.specs import spec_of_declared
from nodegraph.packs.v1 import declared_v1
from nodegraph.packs.v3 import declared_v3, node_classes
from nodegraph.spec import NodeSpec

MAX_RESOLUTION: Final = 16384
NODES: Final = "nodes"  # the built-in pack's module, by the name that packs import too


class NoPack(ImportError):
    """Raised for a file or folder that has no nodes at all."""

    def __init__(self) -> None:
        super().__init__("it has no nodes: neither NODE_CLASS_MAPPINGS, comfy_entrypoint nor a function with @node")


def comfy_packs(places: Sequence[Path], allow: Collection[str] | None) -> list[Source | BrokenPack]:
    """The packs in some folders, or that these are, in order. allow: only those of these names."""
    packs: list[Source | BrokenPack] = []
    for place in map(folder_of_packs, places):
        try:
            paths = [place] if is_pack(place) else sorted(place.iterdir())
        except OSError as error:
            reason = "there is no such folder" if not place.exists() else f"it cannot be read: {error.strerror}"
            packs.append(BrokenPack(place.name or str(place), str(place), reason))
            continue
        usable = [path for path in paths if path is place or not _is_passed_over(path)]
        packs += [_source(path) for path in usable if is_pack(path) and (allow is None or name_of(path) in allow)]
    found = {pack.name for pack in packs}
    for name in () if allow is None else [name for name in allow if name not in found]:
        reason = "no pack of this name was found"
        packs.append(
            BrokenPack(name, ", ".join(map(str, places)), reason, hint="packs go by the names of their folders")
        )
    return packs


def folder_of_packs(place: Path) -> Path:
    """The folder itself, or the one with the packs where it is ComfyUI's own: the files in there are no packs."""
    inner = place / "custom_nodes"
    return inner if inner.is_dir() and not is_pack(place) else place


def _is_passed_over(path: Path) -> bool:
    return path.name.startswith((".", "__")) or path.name.endswith(".disabled")


def name_of(path: Path) -> str:
    """What a pack goes by: the name of its folder, or of its file without `.py`."""
    return path.stem if path.is_file() else path.resolve().name


def _source(path: Path) -> Source:
    return Source(name_of(path), str(path), lambda: read_comfy_pack(path))


def prepare(specs: Iterable[NodeSpec], places: Sequence[Path], roots: Roots) -> None:
    """Have what packs import at hand: the modules, the folders, and the classes of the nodes there are."""
    current.set_roots(roots)
    folders.refresh()
    folders.FOLDERS["custom_nodes"] = ([str(folder_of_packs(place).absolute()) for place in places], set())
    finder.offer()
    module: Any = importlib.import_module(NODES)
    module.NODE_CLASS_MAPPINGS = {spec.name: class_of(spec) for spec in specs}
    module.NODE_DISPLAY_NAME_MAPPINGS = {spec.name: spec.display_name for spec in specs}
    module.MAX_RESOLUTION = MAX_RESOLUTION


def admit(specs: Iterable[NodeSpec]) -> None:
    """Let the packs that are loaded later look up the classes of these nodes."""
    module: Any = importlib.import_module(NODES)
    for spec in specs:
        own = spec.source.cls if isinstance(spec.source, ClassCode) else class_of(spec)
        module.NODE_CLASS_MAPPINGS[spec.name] = own
        module.NODE_DISPLAY_NAME_MAPPINGS[spec.name] = spec.display_name


def read_comfy_pack(path: Path) -> Found:
    """Import a pack and read its classes; raises whatever it raises. What a single class does wrong is told of it."""
    (module,) = import_path(path, whole=False)
    declare: list[tuple[str, Callable[[], Declared]]] = [*_first_form(module), *_second_form(module)]
    if not declare:
        native = [spec for each in import_path(path) for spec in specs_of_module(each)]
        if not native:
            raise NoPack
        return Found(native, partly=True)
    specs: list[NodeSpec] = []
    broken: list[BrokenPack] = []
    code = PackCode(path)
    for name, make in declare:
        try:
            specs.append(spec_of_declared(make(), code))
        except (Exception, SystemExit) as error:
            missing = what_is_missing(error)
            reason = str(error) if isinstance(error, BadNode) else missing.reason if missing else sentence(error)
            hint = missing.hint if missing else ""
            broken.append(BrokenPack(name_of(path), str(path), reason, tail(error), node=name, hint=hint))
    specs += [spec for spec in specs_of_module(module) if spec.name not in {known.name for known in specs}]
    return Found(specs, tuple(broken), _web(module, path), partly=True)


def _first_form(module: ModuleType) -> list[tuple[str, Callable[[], Declared]]]:
    classes = getattr(module, "NODE_CLASS_MAPPINGS", None)
    if not isinstance(classes, Mapping):
        return []
    titles = getattr(module, "NODE_DISPLAY_NAME_MAPPINGS", None)
    display = cast("Mapping[object, object]", titles if isinstance(titles, Mapping) else {})
    return [
        (name, lambda name=name, cls=cls: declared_any(name, cls, display.get(name)))
        for name, cls in cast("Mapping[object, object]", classes).items()
        if isinstance(name, str)
    ]


def declared_any(name: str, cls: object, display_name: object) -> Declared:
    """What a class of NODE_CLASS_MAPPINGS says of its node; it may be written in the second form too."""
    if callable(getattr(cls, "define_schema", None)):
        return declared_v3(cast(type, cls), name)
    return declared_v1(name, cls, display_name)


def _second_form(module: ModuleType) -> list[tuple[str, Callable[[], Declared]]]:
    entrypoint = getattr(module, "comfy_entrypoint", None)
    if not callable(entrypoint):
        return []
    classes = asyncio.run(node_classes(entrypoint))
    return [(cls.__name__, lambda cls=cls: declared_v3(cls)) for cls in classes]


def _web(module: ModuleType, path: Path) -> Path | None:
    """The pack's folder of files for the browser, if it lies inside the pack."""
    written = getattr(module, "WEB_DIRECTORY", None)
    if not isinstance(written, str) or not path.is_dir():
        return None
    folder = (path / written).resolve()
    return folder if folder.is_dir() and folder.is_relative_to(path.resolve()) else None
