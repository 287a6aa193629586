"""Where models run and in which number format, chosen by what the machine can do."""

from __future__ import annotations

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def pick_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the first of CUDA, Apple's MPS and the CPU that is there.

    Raises ValueError for a device that this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"there is no kind of device called {name!r}; use auto, cpu, cuda or mps") from error
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < max(1, torch.cuda.device_count()),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise ValueError(f"this machine has no device {name!r}; use auto or cpu")
    return device


def pick_dtype(name: str, device: torch.device, stored: str = "") -> torch.dtype:
    """The number format called `name`; `auto` is float16 on CUDA and float32 elsewhere, but bfloat16 for weights that
    are stored so where the device computes in it.

    Elsewhere it would be emulated, which is slower than float32, as float16 is on all CPUs. stored: the format of the
    weights by safetensors' name. Raises ValueError.
    """
    if name == "auto":
        if stored == "BF16" and computes_bf16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise ValueError(f"there is no number format called {name!r}; use auto, {', '.join(DTYPES)}")
    return DTYPES[name]


def dtype_name(dtype: torch.dtype) -> str:
    """What users call a number format."""
    return next(name for name, known in DTYPES.items() if known == dtype)


def computes_bf16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 by instructions of its own."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")  # private to torch, so that they may go
    return any(probe() for name in probes if (probe := getattr(torch.cpu, name, None)) is not None)
