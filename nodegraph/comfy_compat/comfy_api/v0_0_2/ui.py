"""`comfy_api.v0_0_2.ui` of ComfyUI's interface, as far as nodegraph has it."""

from nodegraph.comfy_compat.v3.ui import *  # noqa: F403
