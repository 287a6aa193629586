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

from nodegraph.errors import Place, Problem
from nodegraph.node import NodeSpec

ENTRY_POINT_GROUP = "nodegraph.nodes"
BUILTIN_PACK = "nodes"
IMPORT_SECONDS = 30.0
TRACEBACK_LINES = 6


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
    """Find and import all packs: the built-in one, those of entry points, then those in `folders`, in order."""
    specs: dict[str, NodeSpec] = {}
    broken: list[BrokenPack] = []
    for source in [*(_entry_point_packs() if entry_points else ()), *_folder_packs(folders)]:
        if isinstance(source, BrokenPack):
            broken.append(source)
            continue
        result = _load_pack(source, import_seconds)
        if isinstance(result, list) and (taken := [spec for spec in result if spec.name in specs]):
            owner = specs[taken[0].name].pack
            result = BrokenPack(
                source.name,
                source.origin,
                f"its node '{taken[0].name}' would replace the one of pack '{owner}'; a name belongs to one pack",
            )
        if isinstance(result, BrokenPack):
            broken.append(result)
        else:
            specs.update((spec.name, replace(spec, pack=source.name)) for spec in result)
    return Registry(MappingProxyType(specs), tuple(broken))


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
        if not folder.is_dir():
            packs.append(BrokenPack(folder.name or str(folder), str(folder), "there is no such folder"))
            continue
        for path in sorted(folder.iterdir()):
            if path.name.startswith(("_", ".")):
                continue
            if path.suffix == ".py" or (path / "__init__.py").is_file():
                packs.append(_Source(path.stem, str(path), lambda path=path: _import_path(path)))
    return packs


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
    except BaseException:
        del sys.modules[name]
        raise
    return [module] if path.is_file() else _import_package(name)


def _load_pack(source: _Source, seconds: float) -> list[NodeSpec] | BrokenPack:
    """Import a pack in a thread, so that one that hangs can be left behind; what it prints is swallowed."""
    result: list[list[NodeSpec] | BrokenPack] = []

    def work() -> None:
        try:
            result.append([spec for module in source.modules() for spec in specs_of_module(module)])
        except SystemExit as error:
            result.append(BrokenPack(source.name, source.origin, f"it exits at import (code {error.code!r})"))
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            result.append(BrokenPack(source.name, source.origin, f"it fails at import: {reason}", _tail(error)))

    if source.name == "builtin":
        work()
        return result[0]
    thread = threading.Thread(target=work, name=f"import-{source.name}", daemon=True)
    with contextlib.redirect_stdout(_Sink()), contextlib.redirect_stderr(_Sink()):
        thread.start()
        thread.join(seconds)
    if not result:
        return BrokenPack(source.name, source.origin, f"its import took longer than {seconds:g} s")
    return result[0]


class _Sink(io.TextIOBase):
    """Takes any amount of text and keeps none."""

    def write(self, text: str, /) -> int:
        return len(text)

    def writable(self) -> bool:
        return True


def _tail(error: BaseException) -> str:
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    return "\n".join(lines[-TRACEBACK_LINES:])
