"""Build hook: a wheel carries the examples, the canvas and the embedded model as data below nodegraph/.

An editable install gets no copies: there the folders of the checkout are read, so an edit shows at once.
A missing folder fails the build; a wheel without its model would only fail later, at the user's.
"""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DATA = {folder: f"nodegraph/_data/{folder}" for folder in ("workflows", "web", "models/tiny")}


class DataFolders(BuildHookInterface[Any]):
    """Adds the data folders to a standard wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Hatchling calls this before a build; `version` is "standard" or "editable"."""
        if version == "standard":
            build_data["force_include"].update(DATA)
