"""`ComfyAPI`: what nodes may ask of the program while they run."""

from __future__ import annotations

from nodegraph.comfy_compat.current import this_context
from nodegraph.comfy_compat.progress import picture_of


def _tell(value: float, max_value: float, preview: object) -> None:
    context = this_context()
    context.progress(value, max_value)
    picture = picture_of(preview)
    if picture is not None:
        context.preview(picture)


class Execution:
    """Progress, for `async` nodes."""

    async def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: object = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Say how far the node is."""
        _tell(value, max_value, preview_image)


class ExecutionSync:
    """Progress, for nodes that are not `async`."""

    def set_progress(
        self,
        value: float,
        max_value: float,
        node_id: str | None = None,
        preview_image: object = None,
        ignore_size_limit: bool = False,
    ) -> None:
        """Say how far the node is."""
        _tell(value, max_value, preview_image)


class ComfyAPI:
    """The program, for `async` nodes."""

    def __init__(self) -> None:
        self.execution = Execution()


class ComfyAPISync:
    """The program, for nodes that are not `async`."""

    def __init__(self) -> None:
        self.execution = ExecutionSync()
