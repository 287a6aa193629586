"""`comfy.comfy_types` of ComfyUI's interface: names of types, and bases for classes of nodes."""

from nodegraph.comfy_compat.node_typing import IO, CheckLazyMixin, ComfyNodeABC, InputTypeDict, InputTypeOptions

__all__ = ["IO", "CheckLazyMixin", "ComfyNodeABC", "InputTypeDict", "InputTypeOptions"]
