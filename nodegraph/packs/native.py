"""Packs of nodegraph's own kind: modules whose functions carry `@node`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Final

from nodegraph.packs.found import BrokenPack, Found, Source
from nodegraph.packs.importing import import_package, import_path, tail
from nodegraph.packs.missing import COMFY_MODULES
from nodegraph.spec import NodeSpec

ENTRY_POINT_GROUP: Final = "nodegraph.nodes"
BUILTIN_PACK: Final = "nodes"
BUILTIN: Final = "builtin"


def specs_of_module(module: ModuleType) -> list[NodeSpec]:
    """The node types defined in a module itself (imported ones belong to where they were written)."""
    found = (getattr(value, "__node__", None) for value in vars(module).values())
    return [spec for spec in found if isinstance(spec, NodeSpec) and spec.function.__module__ == module.__name__]


def entry_point_packs() -> list[Source]:
    """The built-in pack, and those of installed packages."""
    names = {BUILTIN_PACK: BUILTIN}
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        names.setdefault(entry_point.value.partition(":")[0], entry_point.name)
    return [
        Source(name, module, lambda module=module: _found(import_package(module))) for module, name in names.items()
    ]


def folder_packs(folders: Sequence[Path]) -> list[Source | BrokenPack]:
    """The packs in some folders, or that these are, in order."""
    packs: list[Source | BrokenPack] = []
    for folder in folders:
        try:
            paths = [folder] if is_pack(folder) else sorted(folder.iterdir())
        except OSError as error:
            reason = "there is no such folder" if not folder.exists() else f"it cannot be read: {error.strerror}"
            packs.append(BrokenPack(folder.name or str(folder), str(folder), reason))
            continue
        visible = [path for path in paths if not path.name.startswith(("_", ".")) and is_pack(path)]
        packs += [Source(path.stem, str(path), lambda path=path: _native(path)) for path in visible]
    return packs


def is_pack(path: Path) -> bool:
    """Whether a file or folder can be imported."""
    return (path.suffix == ".py" and path.is_file()) or (path / "__init__.py").is_file()


def _found(modules: Iterable[ModuleType]) -> Found:
    return Found([spec for module in modules for spec in specs_of_module(module)])


def _native(path: Path) -> Found:
    try:
        found = _found(modules := import_path(path))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in COMFY_MODULES:
            return _of_other_kind(path, error)
        raise
    if not found.specs and hasattr(modules[0], "NODE_CLASS_MAPPINGS"):
        return _of_other_kind(path)
    return found


def _of_other_kind(path: Path, error: ImportError | None = None) -> Found:
    """A pack that was written for ComfyUI: it needs other things at hand, so that it has an option of its own."""
    reason = "it is a pack for ComfyUI" + (f" (it imports {error.name})" if error is not None else "")
    details = tail(error) if error is not None else ""
    hint = f"load it with --custom-nodes {path.parent}"
    return Found((), (replace(BrokenPack(path.stem, str(path), reason, details), hint=hint),))
