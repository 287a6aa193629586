"""`comfy_api.latest` of ComfyUI's interface, as far as nodegraph has it."""

from nodegraph.comfy_compat.v3 import io, ui
from nodegraph.comfy_compat.v3.api import ComfyAPI, ComfyAPISync
from nodegraph.comfy_compat.v3.nodes import ComfyExtension

__all__ = ["ComfyAPI", "ComfyAPISync", "ComfyExtension", "io", "ui"]
