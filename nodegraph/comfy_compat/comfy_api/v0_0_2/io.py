"""`comfy_api.v0_0_2.io` of ComfyUI's interface, as far as nodegraph has it."""

from nodegraph.comfy_compat.v3.io import *  # noqa: F403
