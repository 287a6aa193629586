"""The files that recipes name, found by what they hold where a worker runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from nodegraph.context import MODEL_SUFFIXES, Roots
from nodegraph.errors import Problem, ProblemError
from nodegraph.files import FileDigests
from nodegraph.sockets.handles import Handle, Patch


class _Wanted(NamedTuple):
    """A file as a recipe names it: where it is for the driver, its digest, and the part of it that is meant."""

    path: Path
    digest: str
    part: str


class Locator:
    """Finds files by their digest: by the same path, by the same name in the worker's folders of models, or by any.

    near: the driver has just read the files under the same names, so that they need not be digested to be found.
    """

    def __init__(self, files: FileDigests, *, near: bool) -> None:
        self.files, self.near = files, near
        self._found: dict[_Wanted, str] = {}

    def located(self, value: object, roots: Roots) -> object:
        """A value in which all recipes name files that are here. Raises ProblemError for a file that is not."""
        if isinstance(value, list | tuple):
            items = cast("list[object] | tuple[object, ...]", value)
            found = [self.located(item, roots) for item in items]
            if all(new is old for new, old in zip(found, items, strict=True)):
                return items
            return found if isinstance(value, list) else tuple(found)
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value)
            new = {name: self.located(item, roots) for name, item in items.items()}
            return items if all(new[name] is item for name, item in items.items()) else new
        if not is_dataclass(value) or isinstance(value, type):
            return value
        changed: dict[str, object] = {}
        for field in fields(value):
            old = getattr(value, field.name)
            new = self.located(old, roots)
            if new is not old:
                changed[field.name] = new
        if isinstance(value, Handle | Patch) and value.path:
            digest, part = (value.content, value.part) if isinstance(value, Handle) else (value.digest, "")
            here = self._here(_Wanted(Path(value.path), digest, part), roots)
            changed |= {"path": here} if here != value.path else {}
        return replace(cast(Any, value), **changed) if changed else value

    def _here(self, wanted: _Wanted, roots: Roots) -> str:
        known = self._found.get(wanted)
        if known is None or not Path(known).exists():
            self._found[wanted] = known = self._search(wanted, roots)
        return known

    def _search(self, wanted: _Wanted, roots: Roots) -> str:
        path = wanted.path
        if self.near or self._holds(path, wanted):
            return str(path)
        for candidate in _candidates(path, roots):
            if self._holds(candidate, wanted):
                return str(candidate)
        raise ProblemError(
            Problem(
                "model_missing",
                f"the worker has no file that holds what {path.name} holds (SHA-256 {wanted.digest[:12]}…)",
                got=str(path),
                expected=wanted.digest,
                hint="copy it into a folder of models there: " + ", ".join(str(root) for root in roots.models),
            )
        )

    def _holds(self, path: Path, wanted: _Wanted) -> bool:
        """Whether a file is the one. Of a folder, that counts which holds the part; and of several digests the first:
        the others are of files beside it."""
        try:
            if path.is_dir() != (path / wanted.part).is_dir() if wanted.part else path.is_dir():
                return False
            found = self.files.digest(path / wanted.part if path.is_dir() else path)
            return found in wanted.digest.split(" ")
        except OSError:
            return False


def _candidates(path: Path, roots: Roots) -> Iterator[Path]:
    """Files and folders that may be the same as one of the driver's: those of its name, then all others of its kind."""
    rest: list[Path] = []
    folders = [*roots.models, *(folder for _, folder in roots.extra_models)]
    for root in dict.fromkeys(folders):
        if not root.is_dir():
            continue
        for each in sorted(root.rglob("*")):
            if each.name == path.name:
                yield each
            elif each.suffix.lower() == path.suffix.lower() and path.suffix.lower() in MODEL_SUFFIXES:
                rest.append(each)
    yield from rest
