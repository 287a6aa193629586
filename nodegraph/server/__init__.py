"""The HTTP server: the native API, ComfyUI's protocol, and what keeps strangers out. It imports no torch."""
