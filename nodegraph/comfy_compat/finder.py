"""Has `import comfy.utils` and its like lead here, unless there is a module of that name already."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

#: The top-level modules that are found in this folder.
SERVED: Final = ("comfy", "comfy_api", "comfy_execution", "folder_paths")
FOLDER: Final = str(Path(__file__).parent)


class CompatFinder:
    """Finds the modules of `SERVED` in this folder. It is asked last, so that it never hides a module."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How to load a top-level module of `SERVED`; what is below one is found through its `__path__`."""
        return PathFinder.find_spec(fullname, [FOLDER]) if fullname in SERVED else None


def offer() -> None:
    """From now on, these modules can be imported. Calling it twice is harmless."""
    if CompatFinder not in sys.meta_path:
        sys.meta_path.append(CompatFinder)
        importlib.invalidate_caches()
