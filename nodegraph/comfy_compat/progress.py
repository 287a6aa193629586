"""How far a node is, told in ComfyUI's ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from nodegraph.comfy_compat.current import this_call, this_context

if TYPE_CHECKING:
    import PIL.Image


class ProgressBar:
    """Tells how far the node is that makes it."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self.node_id = node_id
        self._context = this_context()  # threads that the node starts have no call of their own

    def update_absolute(self, value: float, total: float | None = None, preview: object = None) -> None:
        """So much is done; preview: a picture, or (format, picture, greatest side)."""
        if total is not None:
            self.total = total
        self.current = min(value, self.total)
        context = self._context if this_call() is None else this_context()
        context.progress(self.current, self.total)
        picture = picture_of(preview)
        if picture is not None:
            context.preview(picture)

    def update(self, value: float) -> None:
        """So much more is done."""
        self.update_absolute(self.current + value)


def picture_of(preview: object) -> PIL.Image.Image | None:
    """A preview as a picture: one itself, one inside (format, picture, greatest side), or an IMAGE."""
    import PIL.Image

    if isinstance(preview, tuple):
        parts = cast("tuple[object, ...]", preview)
        preview = parts[1] if len(parts) > 1 else None
    if preview is None or isinstance(preview, PIL.Image.Image):
        return preview
    return pictures_of(preview)[0] if hasattr(preview, "movedim") else None


def pictures_of(images: Any) -> list[PIL.Image.Image]:
    """An IMAGE [B, H, W, C] or [H, W, C], or a MASK [B, H, W] of values 0 … 1, as pictures."""
    import numpy as np
    import PIL.Image

    array = (images.detach().cpu().float().clamp(0, 1).numpy() * 255).astype(np.uint8)
    if array.ndim == 3 and array.shape[-1] in (1, 3, 4):
        array = array[None]
    return [PIL.Image.fromarray(one[..., 0] if one.ndim == 3 and one.shape[-1] == 1 else one) for one in array]
