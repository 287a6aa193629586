"""`comfy.comfy_types.node_typing` of ComfyUI's interface."""

from nodegraph.comfy_compat.node_typing import (
    IO,
    CheckLazyMixin,
    ComfyNodeABC,
    HiddenInputTypeDict,
    InputTypeDict,
    InputTypeOptions,
)

__all__ = ["IO", "CheckLazyMixin", "ComfyNodeABC", "HiddenInputTypeDict", "InputTypeDict", "InputTypeOptions"]
