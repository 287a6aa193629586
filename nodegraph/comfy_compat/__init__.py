"""The small part of ComfyUI's Python interface that simple node packs import, written anew for nodegraph.

`comfy`, `comfy_execution`, `comfy_api` and `folder_paths` in here are found under those names once a pack is loaded
that may want them (`finder`). They hold no code of ComfyUI.
"""
