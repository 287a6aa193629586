"""Folders of models by kind, as packs see and extend them, and names of files within the folders."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from nodegraph.comfy_compat import current
from nodegraph.context import MODEL_SUFFIXES

KINDS: Final = (
    "checkpoints", "configs", "loras", "vae", "text_encoders", "clip", "diffusion_models", "unet", "clip_vision",
    "style_models", "embeddings", "diffusers", "vae_approx", "controlnet", "t2i_adapter", "gligen", "upscale_models",
    "hypernetworks", "photomaker", "classifiers", "ipadapter",
)  # fmt: skip
EXTENSIONS: Final = frozenset({*MODEL_SUFFIXES, ".pt2", ".pkl"})
ANNOTATED: Final = re.compile(r"(.*?) ?\[(output|input|temp)\]", re.DOTALL)
SUFFIXES: Final = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    "video": (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif"),
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a"),
    "model": (".glb", ".gltf", ".obj", ".fbx", ".stl"),
}

#: Kind of model → its folders and the endings of its files. Packs add to it.
Folders = dict[str, tuple[list[str], set[str]]]


class FileList(list[str]):
    """Names of the files of a kind, which know of what kind they are."""

    def __init__(self, names: Iterable[str], kind: str) -> None:
        super().__init__(names)
        self.kind = kind


class KnownFolders(Folders):
    """The folders of each kind: those of the settings, looked up when first asked for, unless a pack has set others."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: dict[str, list[str]] = {}  # what the settings gave, before packs added to it

    def __missing__(self, kind: str) -> tuple[list[str], set[str]]:
        if kind not in KINDS:
            raise KeyError(kind)
        paths = [str(folder.absolute()) for folder in current.roots().model_folders(kind)]
        self.plain[kind] = list(paths)
        self[kind] = (paths, set(EXTENSIONS))
        return self[kind]

    def __contains__(self, kind: object) -> bool:
        return super().__contains__(kind) or kind in KINDS

    def get(self, kind: str, default: object = None) -> object:  # type: ignore[override]
        try:
            return self[kind]
        except KeyError:
            return default


FOLDERS: Final = KnownFolders()


def refresh() -> None:
    """Look the settings' folders up again; what packs added to them stays."""
    for kind, plain in tuple(FOLDERS.plain.items()):
        paths, _ = FOLDERS.pop(kind, ([], set()))
        added = [path for path in paths if path not in plain]
        FOLDERS[kind][0].extend(added)


def add_folder(kind: str, folder: str, *, first: bool = False) -> None:
    """One more folder for a kind of models."""
    if kind not in FOLDERS:
        FOLDERS[kind] = ([folder], set())
        return
    paths, endings = FOLDERS[kind]
    if folder not in paths:
        FOLDERS[kind] = ([folder, *paths] if first else [*paths, folder], endings)


def file_list(kind: str) -> FileList:
    """Names of the files of a kind, looked up now. Raises KeyError for a kind that nobody knows."""
    paths, endings = FOLDERS[kind]
    wanted = tuple(ending.lower() for ending in endings)
    found = current.roots().list_files(tuple(map(Path, paths)), wanted) if wanted else _all_files(paths)
    return FileList(found, kind)


def _all_files(paths: Sequence[str]) -> list[str]:
    names = [
        path.relative_to(folder).as_posix()
        for folder in map(Path, paths)
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.is_file()
    ]
    return sorted(set(names))


def full_path(kind: str, name: str) -> str | None:
    """The file of a kind that a name stands for, None if there is none or it would lie outside."""
    for folder in FOLDERS[kind][0]:
        found = below(Path(folder), name)
        if found is not None and found.is_file():
            return str(found)
    return None


def below(root: Path, name: str) -> Path | None:
    """`root/name`, or None where that leads out of the folder."""
    if not name or "\0" in name or Path(name).is_absolute() or ".." in Path(name.replace("\\", "/")).parts:
        return None
    return root / name


def annotated(name: str, default: str = "input") -> Path | None:
    """The path of a name that may say which folder it means, as in `a.png [output]`; None if it leads outside."""
    match = ANNOTATED.fullmatch(name)
    if match is not None:
        name, default = match[1], match[2]
    if default == "input":
        where = current.roots()
        return where.find_input(name) or below(where.input[0], name)
    folder = current.folder_of(default)
    return None if folder is None else below(folder, name)


def of_content(names: Iterable[str], kinds: Iterable[str]) -> list[str]:
    """Those of some file names that are pictures, videos …, by their ending."""
    wanted = tuple(suffix for kind in kinds for suffix in SUFFIXES.get(kind, ()))
    return [name for name in names if name.lower().endswith(wanted)]
