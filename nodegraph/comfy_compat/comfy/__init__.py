"""`comfy` of ComfyUI's interface, as far as nodegraph has it."""
