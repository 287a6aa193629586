"""`comfy_api` of ComfyUI's interface, as far as nodegraph has it."""
