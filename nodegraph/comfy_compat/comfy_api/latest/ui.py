"""`comfy_api.latest.ui` of ComfyUI's interface, as far as nodegraph has it."""

from nodegraph.comfy_compat.v3.ui import *  # noqa: F403
