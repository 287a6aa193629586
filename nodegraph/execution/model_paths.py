"""`extra_model_paths.yaml`: further folders of models, as ComfyUI's users have them from other programs.

    webui:
        base_path: /data/stable-diffusion-webui
        checkpoints: models/Stable-diffusion
        loras: |
            models/Lora
            models/LyCORIS

Each section has a `base_path` (or none), and the folders of kinds of models below it, one a line. `custom_nodes` are no
models but folders with node packs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nodegraph.errors import ProblemError
from nodegraph.workflow.limits import DEFAULT_LIMITS
from nodegraph.workflow.read import read_bytes, read_document
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of

NAME: Final = "extra_model_paths.yaml"
NOT_KINDS: Final = ("base_path", "is_default")
PACKS: Final = "custom_nodes"

Folders = tuple[tuple[str, Path], ...]


def find_model_paths(models: Sequence[Path]) -> list[Path]:
    """The files of that name in the current folder and beside folders of models, where ComfyUI looks for it too."""
    places = [Path(NAME), *(folder.absolute().parent / NAME for folder in models)]
    return list({place.resolve(): place for place in places if place.is_file()}.values())


def read_model_paths(path: Path) -> Folders:
    """(kind, folder) pairs in order, without folders of node packs. Raises ProblemError for what is wrong in the file;
    folders may be missing."""
    return tuple((kind, folder) for kind, folder in read_paths(path) if kind != PACKS)


def read_pack_paths(path: Path) -> tuple[Path, ...]:
    """The folders with node packs that are there, in order. Raises ProblemError for what is wrong in the file."""
    return tuple(folder for kind, folder in read_paths(path) if kind == PACKS and folder.is_dir())


def read_paths(path: Path) -> Folders:
    """All (kind, folder) pairs in order. Raises ProblemError for what is wrong in the file; folders may be missing."""
    data = read_bytes(path, DEFAULT_LIMITS)
    found, problems = read_document(
        data, lambda root, report: _sections(root, report, path.absolute().parent), file=str(path), format="yaml"
    )
    if problems:
        raise ProblemError(problems)
    return found or ()


def _sections(root: Located, report: Report, beside: Path) -> Folders:
    found: list[tuple[str, Path]] = []
    for section in _members(root, "the file", report).values():
        entries = _members(section, "a section", report)
        base = beside
        if "base_path" in entries:
            base = beside / _path(str(entries["base_path"].value))
        for kind, entry in entries.items():
            if kind in NOT_KINDS:
                continue
            if not isinstance(entry.value, str):
                got = kind_of(entry.value)
                message = f"'{kind}' names folders, one a line, and is not {got}"
                report.add("bad_value", message, report.at(entry), got=got, expected="a text")
                continue
            found += [(kind, base / _path(line.strip())) for line in entry.value.splitlines() if line.strip()]
    return tuple(found)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # nobody's home
        return Path(text)


def _members(entry: Located, owner: str, report: Report) -> dict[str, Located]:
    if entry.value is None or entry.value is UNREADABLE:
        return {}
    if not isinstance(entry.value, dict):
        report.add("wrong_kind", f"{owner} is a mapping, not {kind_of(entry.value)}", report.at(entry))
        return {}
    return entry.value
