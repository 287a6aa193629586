"""Build hook: a wheel carries the examples, the canvas and the embedded model as data below nodegraph/.

An editable install gets no copies: there the folders of the checkout are read, so an edit shows at once.
A missing folder fails the build; a wheel without its model would only fail later, at the user's.
What only developers of the canvas need, such as its tests, stays behind.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DATA = {folder: f"nodegraph/_data/{folder}" for folder in ("workflows", "web", "models/tiny")}
EXTRAS = ("controlnet", "embeddings", "loras", "vae_approx")
"""Folders of models/ in which there may be small files for the embedded model, beside a developer's own ones."""
LEFT_OUT = {"web/test", "web/vendor-src", "web/tsconfig.json"}


def carried(root: Path) -> dict[str, str]:
    """Where what is below the data folders, and what the embedded model has beside it, goes in the wheel."""
    extras = (file for kind in EXTRAS for file in sorted((root / "models" / kind).glob("tiny[-_]*.safetensors")))
    beside = {name: f"nodegraph/_data/{name}" for name in (file.relative_to(root).as_posix() for file in extras)}
    return beside | {
        f"{folder}/{entry.name}": f"{target}/{entry.name}"
        for folder, target in DATA.items()
        for entry in sorted((root / folder).iterdir())
        if f"{folder}/{entry.name}" not in LEFT_OUT
    }


class DataFolders(BuildHookInterface[Any]):
    """Adds the data folders to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling calls this before a build; `version` is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"].update(carried(Path(self.root)))
