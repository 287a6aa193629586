"""Importing packs, whatever they do meanwhile: raise, exit, print, or never come to an end."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import io
import os
import pkgutil
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from nodegraph.errors import shorten
from nodegraph.packs.found import BrokenPack, Found, Source
from nodegraph.packs.missing import what_is_missing

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

TRACEBACK_LINES = 6
MAX_REASON = 400  # characters
READY = "__nodegraph_ready__"  # set on a folder pack's module when its import has come to an end


def read_pack(source: Source, seconds: float, *, trusted: bool = False) -> Found | BrokenPack:
    """Import a pack in a thread, so that one that hangs can be left behind; what it prints is swallowed.

    trusted: import it here and now.
    """
    result: list[Found | BrokenPack] = []

    def work() -> None:
        try:
            result.append(source.read())
        except SystemExit as error:
            reason = f"it exits at import (code {shorten(error.code)})"
            result.append(BrokenPack(source.name, source.origin, reason, tail(error)))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            missing = what_is_missing(error)
            reason = missing.reason if missing is not None else f"it fails at import: {sentence(error)}"
            hint = missing.hint if missing is not None else ""
            result.append(BrokenPack(source.name, source.origin, reason, tail(error), hint=hint))

    if trusted:
        work()
        return result[0]
    thread = threading.Thread(target=work, name=f"import-{source.name}", daemon=True)
    with contextlib.redirect_stdout(_sink()), contextlib.redirect_stderr(_sink()):
        thread.start()
        thread.join(seconds)
    if not result:
        return BrokenPack(source.name, source.origin, f"its import took longer than {seconds:g} s")
    return result[0]


def import_package(name: str) -> list[ModuleType]:
    """A module, and if it is a package, its direct submodules (packages below it are libraries, not nodes)."""
    package = importlib.import_module(name)
    children = pkgutil.iter_modules(package.__path__) if hasattr(package, "__path__") else ()
    names = [child.name for child in children if not child.ispkg and not child.name.startswith("_")]
    return [package, *(importlib.import_module(f"{name}.{child}") for child in names)]


def import_path(path: Path, *, whole: bool = True) -> list[ModuleType]:
    """Import a file or package folder under a private name of its own, so that packs cannot shadow modules.

    whole: also the direct submodules of a package.
    """
    name = private_name(path)
    if name in sys.modules:
        if not hasattr(sys.modules[name], READY):
            raise ImportError("an earlier import of it has not come to an end")
        return import_package(name) if whole and path.is_dir() else [sys.modules[name]]
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
        modules = import_package(name) if whole and path.is_dir() else [module]
    except BaseException:
        for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
            del sys.modules[known]
        raise
    setattr(module, READY, True)
    return modules


def private_name(path: Path) -> str:
    """The name that a pack's module goes by; any file or folder has one, whatever it is called."""
    stem = "".join(c if c.isalnum() else "_" for c in path.stem)
    return f"nodegraph_pack_{stem}_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]}"


def sentence(error: BaseException) -> str:
    """An exception's type and message, cut to a length that can be shown."""
    try:
        message = str(error)
    except Exception:
        message = "its message cannot be told"
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return text if len(text) <= MAX_REASON else text[:MAX_REASON] + "…"


def tail(error: BaseException) -> str:
    """The end of an exception's traceback."""
    lines = "".join(traceback.format_exception(error)).rstrip().splitlines()
    cut = [line if len(line) <= MAX_REASON else line[:MAX_REASON] + "…" for line in lines[-TRACEBACK_LINES:]]
    return "\n".join(cut)


class _Sink(io.RawIOBase):
    """Takes any amount of bytes and keeps none."""

    name = "<nowhere>"

    def write(self, data: Buffer, /) -> int:
        return memoryview(data).nbytes

    def writable(self) -> bool:
        return True


def _sink() -> io.TextIOWrapper:
    return io.TextIOWrapper(_Sink(), encoding="utf-8", errors="replace", write_through=True)
