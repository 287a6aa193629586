"""Node packs: how they are found and imported, and how those that were written for ComfyUI become node types."""
