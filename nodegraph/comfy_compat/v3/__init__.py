"""ComfyUI's second form of nodes, classes with a schema: what packs import as `comfy_api.latest`."""
