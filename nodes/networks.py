"""Networks that lie in one safetensors file each: which there are, their recipes, and their modules.

A recipe's `content` is the digest of its file. Modules are kept by the context's pool.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nodegraph.context import Context, Roots
from nodegraph.sockets import Handle
from nodes.models import place_named, reading_model, reading_unchanged, unreadable

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")
SUFFIX = ".safetensors"


def files_in(*folders: str) -> Callable[[Roots], list[str]]:
    """A list of the safetensors files in `folders` of the model folders."""

    def names(roots: Roots) -> list[str]:
        return sorted({name for folder in folders for name in roots.list_models(folder, (SUFFIX,))})

    return names


def file_in(*folders: str) -> Callable[[str, Roots], Path | None]:
    """How to find one of those files by its name."""

    def find(name: str, roots: Roots) -> Path | None:
        if not name.lower().endswith(SUFFIX):
            return None
        places = (roots.find_model(folder, name) for folder in folders)
        return next((path for path in places if path is not None and path.is_file()), None)

    return find


def found(find: Callable[[str, Roots], Path | None], name: str, kind: str, context: Context) -> Path:
    """The file `name`. Raises ProblemError when there is none."""
    path = find(name, context.roots)
    if path is None:
        raise unreadable(f"there is no {kind} '{name}'")
    return path


def digest_of_file(path: Path, context: Context) -> str:
    """The content digest of a file. Raises ProblemError when it cannot be read."""
    try:
        return context.digest(path)
    except OSError as error:
        raise unreadable(f"{path} cannot be read: {error.strerror or error}") from error


def module_from_file(
    handle: Handle,
    context: Context,
    load: Callable[[Path, torch.device, torch.dtype], nn.Module],
    *,
    half: bool = False,
) -> nn.Module:
    """The module of a recipe whose `path` is one file, made by `load` when it is first used.

    half: it runs beside the UNet, in the number format of the context; else in float32. Raises ProblemError.
    """
    from nodes.diffusion.loading import files_stamp, module_pieces
    from nodes.diffusion.one_file import file_bytes

    device, dtype = place_named(context.device, context.dtype if half else "fp32")
    path = Path(handle.path)
    stamp = reading_model(lambda: files_stamp([path]))
    return context.pool.get(
        f"{handle.weights}/{device}/{dtype}/{stamp}",
        lambda: unchanged_file(handle, context, lambda: load(path, device, dtype)),
        module_pieces,
        lambda: file_bytes(path, dtype.itemsize),
    )


def unchanged_file(handle: Handle, context: Context, load: Callable[[], T]) -> T:
    """Run `load`, which reads a recipe's file, provided that it is what it was when the recipe was made.

    Raises ProblemError.
    """
    path = Path(handle.path)
    return reading_unchanged(path, handle.content, lambda: context.digest(path), load)
