"""Binary frames of the websocket. All numbers are big-endian u32; the first says what kind of frame it is."""

from __future__ import annotations

import json
import struct
from typing import Final

from nodegraph.jobs.model import PreviewEvent

PREVIEW: Final = 1
TEXT: Final = 3
PREVIEW_WITH_METADATA: Final = 4
JPEG: Final = 1
PNG: Final = 2


def preview_frame(event: PreviewEvent) -> bytes:
    """A preview as every client can read it: kind, format, picture."""
    return struct.pack(">II", PREVIEW, _format(event.image)) + event.image


def preview_frame_with_metadata(event: PreviewEvent) -> bytes:
    """A preview that says which node it belongs to: kind, length, JSON, picture."""
    about = {
        "node_id": event.node,
        "prompt_id": event.job,
        "display_node_id": event.display,
        "parent_node_id": event.parent,
        "real_node_id": event.node,
        "image_type": "image/png" if _format(event.image) == PNG else "image/jpeg",
    }
    told = json.dumps(about, ensure_ascii=False).encode("utf-8", "replace")
    return struct.pack(">II", PREVIEW_WITH_METADATA, len(told)) + told + event.image


def text_frame(node: str, text: str) -> bytes:
    """A text that a node shows beside itself: kind, length of the node's id, id, text."""
    id_ = node.encode("utf-8", "replace")
    return struct.pack(">II", TEXT, len(id_)) + id_ + text.encode("utf-8", "replace")


def _format(image: bytes) -> int:
    return PNG if image.startswith(b"\x89PNG") else JPEG
