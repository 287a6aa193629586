"""What numeric results depend on beside the code: library versions, the kind of device, the number format.

`auto` is resolved here as nodes resolve it, but without importing torch, which takes seconds: a run whose results are
all known never imports it. Results made on a CPU are then not taken for those of a graphics card that came later.

Which number format `auto` means may depend on how a model is stored: bfloat16 stays so where the device computes in it.
What a model's file holds is part of a key anyway, so that here it is enough to tell `auto` on such a device from the
formats that it chooses between.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PACKAGES = ("torch", "diffusers", "transformers")
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")  # what torch goes by


def environment_class(device: str, dtype: str, vae_dtype: str = "auto") -> bytes:
    """The class of environments that give the same numbers: minor versions, kind of device, number format.

    `cuda:1` is `cuda`; `auto` is what it would be on this machine, whatever the model.
    """
    kind = kind_of(device)
    if dtype == "auto":
        dtype = {"cuda": "fp16 or bf16", "cpu": automatic_dtype(sys.platform)}.get(kind, "fp32")
    versions = [f"{name} {_minor_version(name)}" for name in PACKAGES]
    vae = [] if vae_dtype in ("auto", "fp32") else [f"vae {vae_dtype}"]
    return "; ".join([*versions, kind, dtype, *vae]).encode()


def kind_of(device: str) -> str:
    """The kind of a device: `cuda` of `cuda:1`, and of `auto` what it would be on this machine."""
    kind = device.partition(":")[0]
    return automatic_device(_folder_of("torch"), os.environ) if kind == "auto" else kind


def automatic_device(torch: Path | None, variables: Mapping[str, str], root: Path = Path("/")) -> str:
    """`cuda`, `mps` or `cpu`: what torch, installed in the folder `torch`, would find on the machine.

    root: where the machine's files lie.
    """
    if torch is None:
        return "cpu"
    if sys.platform == "darwin":
        return "mps" if platform.machine() == "arm64" else "cpu"
    hidden = any(variables.get(name, "0").strip()[:1] in ("", "-") for name in HIDING)
    built = _built_for(torch)
    if not hidden and (("cuda" in built and _has_nvidia(root)) or ("hip" in built and (root / "dev/kfd").exists())):
        return "cuda"
    return "cpu"


@cache
def automatic_dtype(platform: str, root: Path = Path("/")) -> str:
    """What `auto` may be on a CPU: `fp32`, and `fp32 or bf16` if that has instructions for bfloat16, or might have."""
    if platform == "darwin":
        return "fp32"  # torch looks for those of x86 alone
    try:
        with (root / "proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:  # long on large machines
            flags = next((set(line.split()) for line in lines if line.startswith("flags")), set[str]())
    except OSError:
        return "fp32 or bf16"
    return "fp32 or bf16" if flags & {"amx_tile", "avx512_bf16"} else "fp32"


def _built_for(torch: Path) -> set[str]:
    """Which of cuda and hip a torch was built for."""
    try:
        text = (torch / "version.py").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return set()
    return set(re.findall(r"^(cuda|hip)\b[^=\n]*=\s*['\"]", text, re.MULTILINE))


def _has_nvidia(root: Path) -> bool:
    """Whether there is an NVIDIA card with its driver: on Linux, in Linux below Windows, or in Windows."""
    if sys.platform == "win32":
        return (root / "Windows/System32/nvcuda.dll").exists()
    card = any((root / "dev").glob("nvidia[0-9]*"))
    return (card and (root / "dev/nvidiactl").exists()) or (root / "usr/lib/wsl/lib/libcuda.so.1").exists()


@cache
def _folder_of(package: str) -> Path | None:
    """Where a package is installed; it is not imported."""
    try:
        found = importlib.util.find_spec(package)
    except ValueError:  # somebody put something in its place
        return None
    return Path(found.origin).parent if found is not None and found.origin is not None else None


@cache
def _minor_version(package: str) -> str:
    folder = _folder_of(package)
    if folder is None:
        return "none"
    beside = [name for name in _names_in(folder.parent) if name.startswith(f"{package}-")]
    try:  # the folder's name says it; reading what is in there takes milliseconds
        found = beside[0].split("-")[1] if len(beside) == 1 else importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
    return ".".join(found.split(".")[:2])


@cache
def _names_in(folder: Path) -> tuple[str, ...]:
    return tuple(name for name in os.listdir(folder) if name.endswith(".dist-info"))  # noqa: PTH208 (names only)
