"""`comfy_api.latest.io` of ComfyUI's interface, as far as nodegraph has it."""

from nodegraph.comfy_compat.v3.io import *  # noqa: F403
