"""`comfy_execution` of ComfyUI's interface, as far as nodegraph has it."""
