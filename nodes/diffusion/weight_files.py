"""Writing safetensors files: the same tensors and texts give the same bytes, and only one tensor is copied at a time.

The format: the length of the header (u64, little-endian), the header (JSON), and the bytes of the tensors one after
another. The library's own writer orders texts at random, and wants all tensors on the CPU at once.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from typing import BinaryIO

import torch
from torch import Tensor

FORMATS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
ALIGNMENT = 8


def write_weights(
    file: BinaryIO,
    tensors: Mapping[str, Tensor],
    texts: Mapping[str, str],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Write tensors by name, and texts as the file's metadata. Raises OSError."""
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))  # so that all lie aligned
    header: dict[str, object] = {"__metadata__": dict(texts)} if texts else {}
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": FORMATS[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode("utf-8", "replace")
    text += b" " * (-len(text) % ALIGNMENT)
    file.write(struct.pack("<Q", len(text)))
    file.write(text)
    for i, (_, tensor) in enumerate(ordered):
        progress(i, len(ordered))
        if tensor.numel():
            file.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
