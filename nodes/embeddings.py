"""Textual inversions by name: where their files lie, and which of them a prompt asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.context import Context, Roots
from nodes.models import reading_model

if TYPE_CHECKING:
    from torch import Tensor

KIND = "embeddings"
SUFFIXES = ("", ".safetensors", ".pt", ".bin")


def find_embedding(name: str, roots: Roots) -> Path | None:
    """The file of a textual inversion, whose suffix may be left out; None if there is none."""
    for suffix in SUFFIXES:
        found = roots.find_model(KIND, name + suffix)
        if found is not None and found.is_file():
            return found
    return None


def embeddings_in(text: str, roots: Roots) -> Sequence[Path]:
    """The files of all textual inversions that a prompt asks for, as far as they are there."""
    from nodes.diffusion.prompt_text import mentions

    found = [find_embedding(name, roots) or find_embedding(name.rstrip(","), roots) for name in mentions(text)]
    return [path for path in found if path is not None]


def all_embeddings(roots: Roots) -> Sequence[Path]:
    """The files of all textual inversions."""
    names = roots.list_models(KIND, SUFFIXES[1:])
    return [path for name in names if (path := roots.find_model(KIND, name)) is not None]


def vectors_for(width: int, context: Context) -> Callable[[str], Tensor | None]:
    """A function that finds the vectors of a name for a text encoder of a width, and warns of names it cannot use."""
    from nodes.diffusion.embeddings import read_embedding

    def find(name: str) -> Tensor | None:
        path = find_embedding(name, context.roots)
        if path is None:
            if not name.endswith(","):
                folders = ", ".join(str(folder) for folder in context.roots.model_folders(KIND))
                context.warn(f"there is no textual inversion '{name}' in {folders}; the prompt goes on without it")
            return None
        tables = reading_model(lambda: read_embedding(path))
        fitting = [table for table in tables if table.shape[1] == width]
        if not fitting:
            widths = " and ".join(str(table.shape[1]) for table in tables)
            context.warn(f"the textual inversion '{name}' is for text encoders of width {widths}, not {width}")
            return None
        return fitting[0]

    return find
