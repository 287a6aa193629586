"""The registry: which node types exist, found in node packs, with the broken packs listed as broken.

A pack is a Python module or package whose functions carry `@node`. Packs come from entry points of the group
`nodegraph.nodes` and from folders. A pack that raises, exits, takes too long or uses a name that is taken is left out
whole, with its reason; everything else works on.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import pkgutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from nodegraph.errors import Place, Problem, shorten
from nodegraph.node import NodeSpec

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

ENTRY_POINT_GROUP = "nodegraph.nodes"
BUILTIN_PACK = "nodes"
IMPORT_SECONDS = 30.0
TRACEBACK_LINES = 6
MAX_REASON = 400  # characters
READY = "__nodegraph_ready__"  # set on a folder pack's module when its import has come to an end


@dataclass(frozen=True, slots=True)
class BrokenPack:
    """A pack that could not be used: its name, where it lies, why, and the end of its traceback."""

    name: str
    origin: str
    reason: str
    details: str = ""

    def problem(self) -> Problem:
        """The pack as a warning that can be listed with others."""
        return Problem(
            code="broken_pack",
            message=f"node pack '{self.name}' is left out: {self.reason}",
            place=Place(self.origin),
            hint="run 'nodegraph nodes --broken' for the details",
            severity="warning",
        )


@dataclass(frozen=True, slots=True)
class Registry:
    """Node types by name, and the packs that could not be loaded."""

    specs: Mapping[str, NodeSpec] = field(default_factory=lambda: MappingProxyType({}))
    broken: tuple[BrokenPack, ...] = ()

    def get(self, name: str) -> NodeSpec | None:
        return self.specs.get(name)

    def names(self) -> list[str]:
        return sorted(self.specs)

    def with_specs(self, specs: Iterable[NodeSpec]) -> Registry:
        """This registry with more node types, which replace those of the same name (for tests and notebooks)."""
        return replace(self, specs=MappingProxyType(dict(self.specs) | {spec.name: spec for spec in specs}))


def load_registry(
    folders: Sequence[Path] = (), *, entry_points: bool = True, import_seconds: float = IMPORT_SECONDS
) -> Registry:
    """Find and import all packs: the built-in one, those of entry points, then those in `folders`, in order.

    folders: hold packs, or are one; a single `.py` file will do too. import_seconds: how long a pack may take.
    """
    specs: dict[str, NodeSpec] = {}
    broken: list[BrokenPack] = []
    for source in [*(_entry_point_packs() if entry_points else ()), *_folder_packs(folders)]:
        if isinstance(source, BrokenPack):
            broken.append(source)
            continue
        result = _load_pack(source, import_seconds)
        if isinstance(result, list) and (reason := _clash(result, specs)):
            result = BrokenPack(source.name, source.origin, reason)
        if isinstance(result, BrokenPack):
            broken.append(result)
        else:
            specs.update((spec.name, replace(spec, pack=source.name)) for spec in result)
    return Registry(MappingProxyType(specs), tuple(broken))


def _clash(found: Sequence[NodeSpec], specs: Mapping[str, NodeSpec]) -> str | None:
    """Why a pack's names cannot be used beside those that are there, if so."""
    own: set[str] = set()
    for spec in found:
        if spec.name in specs:
            owner = specs[spec.name].pack
            return f"its node '{spec.name}' would replace the one of pack '{owner}'; a name belongs to one pack"
        if spec.name in own:
            return f"it has two nodes called '{spec.name}'"
        own.add(spec.name)
    return None


def specs_of_module(module: ModuleType) -> list[NodeSpec]:
    """The node types defined in a module itself (imported ones belong to where they were written)."""
    found = (getattr(value, "__node__", None) for value in vars(module).values())
    return [spec for spec in found if isinstance(spec, NodeSpec) and spec.function.__module__ == module.__name__]


@dataclass(frozen=True, slots=True)
class _Source:
    name: str
    origin: str
    modules: Callable[[], list[ModuleType]]


def _entry_point_packs() -> list[_Source]:
    names = {BUILTIN_PACK: "builtin"}
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        names.setdefault(entry_point.value.partition(":")[0], entry_point.name)
    return [_Source(name, module, lambda module=module: _import_package(module)) for module, name in names.items()]


def _folder_packs(folders: Sequence[Path]) -> list[_Source | BrokenPack]:
    packs: list[_Source | BrokenPack] = []
    for folder in folders:
        try:
            paths = [folder] if _is_pack(folder) else sorted(folder.iterdir())
        except OSError as error:
            reason = "there is no such folder" if not folder.exists() else f"it cannot be read: {error.strerror}"
            packs.append(BrokenPack(folder.name or str(folder), str(folder), reason))
            continue
        visible = [path for path in paths if not path.name.startswith(("_", ".")) and _is_pack(path)]
        packs += [_Source(path.stem, str(path), lambda path=path: _import_path(path)) for path in visible]
    return packs


def _is_pack(path: Path) -> bool:
    return (path.suffix == ".py" and path.is_file()) or (path / "__init__.py").is_file()


def _import_package(name: str) -> list[ModuleType]:
    """A module, and if it is a package, its direct submodules (packages below it are libraries, not nodes)."""
    package = importlib.import_module(name)
    children = pkgutil.iter_modules(package.__path__) if hasattr(package, "__path__") else ()
    names = [child.name for child in children if not child.ispkg and not child.name.startswith("_")]
    return [package, *(importlib.import_module(f"{name}.{child}") for child in names)]


def _import_path(path: Path) -> list[ModuleType]:
    """Import a file or package folder under a private name of its own, so that packs cannot shadow modules."""
    stem = "".join(c if c.isalnum() else "_" for c in path.stem)
    name = f"nodegraph_pack_{stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        if not hasattr(sys.modules[name], READY):
            raise ImportError("an earlier import of it has not come to an end")
        return [sys.modules[name]] if path.is_file() else _import_package(name)
    file = path if path.is_file() else path / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=None if path.is_file() else [str(path)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        modules = [module] if path.is_file() else _import_package(name)
    except BaseException:
        for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
            del sys.modules[known]
        raise
    setattr(module, READY, True)
    return modules


def _load_pack(source: _Source, seconds: float) -> list[NodeSpec] | BrokenPack:
    """Import a pack in a thread, so that one that hangs can be left behind; what it prints is swallowed."""
    result: list[list[NodeSpec] | BrokenPack] = []

    def work() -> None:
        try:
            result.append([spec for module in source.modules() for spec in specs_of_module(module)])
        except SystemExit as error:
            reason = f"it exits at import (code {shorten(error.code)})"
            result.append(BrokenPack(source.name, source.origin, reason, _tail(error)))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            reason = f"it fails at import: {_sentence(error)}"
            result.append(BrokenPack(source.name, source.origin, reason, _tail(error)))

    if source.name == "builtin":
        work()
        return result[0]
    thread = threading.Thread(target=work, name=f"import-{source.name}", daemon=True)
    with contextlib.redirect_stdout(_sink()), contextlib.redirect_stderr(_sink()):
        thread.start()
        thread.join(seconds)
    if not result:
        return BrokenPack(source.name, source.origin, f"its import took longer than {seconds:g} s")
    return result[0]


class _Sink(io.RawIOBase):
    """Takes any amount of bytes and keeps none."""

    name = "<nowhere>"

    def write(self, data: Buffer, /) -> int:
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True


def _sink() -> io.TextIOWrapper:
    return io.TextIOWrapper(_Sink(), encoding="utf-8", errors="replace", write_through=True)


def _sentence(error: BaseException) -> str:
    """An exception's type and message, cut to a length that can be shown."""
    try:
        message = str(error)
    except Exception:
        message = "its message cannot be told"
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return text if len(text) <= MAX_REASON else text[:MAX_REASON] + "…"


def _tail(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    cut = [line if len(line) <= MAX_REASON else line[:MAX_REASON] + "…" for line in lines[-TRACEBACK_LINES:]]
    return "\n".join(cut)
