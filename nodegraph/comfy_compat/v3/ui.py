"""`ui` of ComfyUI's second form of nodes, as far as nodegraph has it."""

from nodegraph.comfy_compat.v3.shown import ImageSaveHelper, PreviewImage, PreviewMask, PreviewText, SavedImages

__all__ = ["ImageSaveHelper", "PreviewImage", "PreviewMask", "PreviewText", "SavedImages"]
