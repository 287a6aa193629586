"""`folder_paths` of ComfyUI's interface: where files lie, and which there are."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

from nodegraph.comfy_compat import current, folders

base_path = str(Path.cwd())
models_dir = str(current.roots().models[0].absolute())
supported_pt_extensions: set[str] = set(folders.EXTENSIONS)
folder_names_and_paths: folders.Folders = folders.FOLDERS
PLACEHOLDERS = {
    "%year%": "%Y", "%month%": "%m", "%day%": "%d", "%hour%": "%H", "%minute%": "%M", "%second%": "%S",
}  # fmt: skip


def get_input_directory() -> str:
    """The folder of input pictures."""
    return str(current.roots().input[0].absolute())


def get_output_directory() -> str:
    """The folder that pictures are saved to."""
    return str(current.roots().output.absolute())


def get_temp_directory() -> str:
    """The folder of what is only shown."""
    return str(current.roots().temp.absolute())


def get_directory_by_type(type_name: str) -> str | None:
    """The folder called `output`, `temp` or `input`."""
    folder = current.folder_of(type_name)
    return None if folder is None else str(folder.absolute())


def get_folder_paths(folder_name: str) -> list[str]:
    """The folders of a kind of models."""
    return list(folders.FOLDERS[folder_name][0])


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """One more folder for a kind of models."""
    folders.add_folder(folder_name, full_folder_path, first=is_default)


def get_filename_list(folder_name: str) -> list[str]:
    """Names of the files of a kind of models."""
    return folders.file_list(folder_name)


def get_full_path(folder_name: str, filename: str) -> str | None:
    """The file that a name of `get_filename_list` stands for."""
    return folders.full_path(folder_name, filename)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    """The same; raises FileNotFoundError where there is none."""
    path = folders.full_path(folder_name, filename)
    if path is None:
        raise FileNotFoundError(f"there is no file {filename!r} of the kind '{folder_name}'")
    return path


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    """The path of an input file, or of another folder's as in `a.png [output]`."""
    path = folders.annotated(name) if default_dir is None else folders.below(Path(default_dir), name)
    if path is None:
        raise ValueError(f"{name!r} leads out of its folder")
    return str(path.absolute())


def exists_annotated_filepath(name: str) -> bool:
    """Whether there is such a file."""
    path = folders.annotated(name)
    return path is not None and path.exists()


def filter_files_content_types(files: Iterable[str], content_types: Iterable[str]) -> list[str]:
    """Those of some file names that are of these kinds (`image`, `video`, `audio`, `model`)."""
    return folders.of_content(files, content_types)


def filter_files_extensions(files: Iterable[str], extensions: Iterable[str]) -> list[str]:
    """Those of some file names that have one of these endings, sorted."""
    endings = tuple(extensions)
    return sorted(name for name in files if not endings or name.lower().endswith(endings))


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """(folder, name, next free number, subfolder, prefix) for files called `PREFIX_00001_.png`; makes the folder."""
    prefix = filename_prefix.replace("%width%", str(image_width)).replace("%height%", str(image_height))
    now = time.localtime()
    for placeholder, field in PLACEHOLDERS.items():
        prefix = prefix.replace(placeholder, time.strftime(field, now))
    target = folders.below(Path(output_dir), prefix)
    if target is None or not target.resolve().is_relative_to(Path(output_dir).resolve()):
        raise ValueError(f"the file name prefix {filename_prefix!r} leads out of the folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    pattern = re.compile(re.escape(target.name) + r"_(\d+)_?(\..*|)", re.IGNORECASE)
    numbers = [int(match[1]) for path in target.parent.iterdir() if (match := pattern.match(path.name)) is not None]
    subfolder = target.parent.relative_to(output_dir).as_posix()
    return str(target.parent), target.name, max(numbers, default=0) + 1, "" if subfolder == "." else subfolder, prefix
