"""From safetensors files into modules, with as little copied as can be.

A module is built without weights of its own, and the tensors that the files are mapped to are put into it. Only what
has another number format than wanted, or belongs on another device, is copied. Nothing is drawn at random meanwhile.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from nodes.diffusion.headers import Header, TensorInfo, UnreadableModel, is_pickle, pickled, read_header
from nodes.diffusion.memory import is_out_of_memory

# What diffusers called the projections of a VAE's attention before its release 0.18, and what it calls them since.
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
ATTENTION_WEIGHTS = tuple(f".{name}.weight" for name in OLD_ATTENTION.values())
# transformers puts this before the names of a CLIP text encoder's weights in some releases and not in others.
TEXT_PREFIX = "text_model."
#: Under which names trainers wrap the weights in pickles.
WRAPPERS = ("state_dict", "params_ema", "params", "model")
#: How much of a file is rounded before its mapping is let go.
PART_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Misfits:
    """Names of weights that a module wants and did not get: not there, or of another shape."""

    missing: tuple[str, ...] = ()
    misshapen: tuple[str, ...] = ()


class _Hollow(TorchFunctionMode):
    """Memory that a module asks for to hold weights later is not made; tensors that are computed are real.

    Layers make their parameters by `torch.empty` and then fill them, or draw them by `torch.randn`; neither does
    anything on the meta device. Buffers that no file holds, such as a text encoder's position ids, are computed, and
    so come out right.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if func in (torch.empty, torch.randn):
            given["device"] = "meta"
        return func(*args, **given)


def build_hollow(make: Callable[[], nn.Module]) -> nn.Module:
    """The module that `make` makes, its weights without memory. Affects no other thread, and draws no numbers."""
    with _Hollow():
        return make()


def map_files(files: Sequence[Path], *, allow_pickle: bool = False, apart: bool = False) -> dict[str, Tensor]:
    """All tensors of weights files, mapped: bytes are read when they are first used.

    apart: names begin with the number of their file. Raises SafetensorError, and UnreadableModel for a pickle unless
    those are allowed.
    """
    named: dict[str, Tensor] = {}
    for number, file in enumerate(files):
        begin = f"{number}:" if apart else ""
        if is_pickle(file):
            if not allow_pickle:
                raise pickled(file)
            found = _unpickled(file)
        else:
            found = load_file(file, device="cpu")
        named.update({begin + name: tensor for name, tensor in found.items()})
    return named


def _unpickled(file: Path) -> dict[str, Tensor]:
    """The tensors of a pickle that torch reads without running code of its own choice. Raises UnreadableModel."""
    try:
        data: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise UnreadableModel(f"{file} holds more than weights, or is damaged: {type(error).__name__}") from error
    if isinstance(data, dict):
        data = next((data[name] for name in WRAPPERS if isinstance(data.get(name), dict)), data)
    if not isinstance(data, dict):
        raise UnreadableModel(f"{file} holds no table of weights")
    return {str(name): tensor for name, tensor in data.items() if isinstance(tensor, Tensor)}


def rounded_to(weights: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights of which those that take more bytes than `dtype` are rounded to it; others are left as they are."""
    return {name: tensor.to(dtype) if _is_longer(tensor, dtype) else tensor for name, tensor in weights.items()}


def rounded_in_parts(
    mapped: Callable[[], dict[str, Tensor]], rounding: torch.dtype, dtype: torch.dtype, part_bytes: int = PART_BYTES
) -> dict[str, Tensor]:
    """As `rounded_to`, what was rounded then as `dtype`; the file is mapped anew for every `part_bytes` of it.

    Rounding reads all bytes, and what was read of a mapping takes memory until the mapping goes: the weights would be
    there twice. mapped: maps the weights; each time the same.
    """
    weights = mapped()
    rounded: dict[str, Tensor] = {}
    room = part_bytes
    for name in list(weights):
        if _is_longer(weights[name], rounding):
            rounded[name] = weights[name].to(rounding).to(dtype)
            room -= weights[name].nbytes
        if room < 0:
            weights, room = {}, part_bytes  # the old mapping goes before the next one comes
            weights = mapped()
    return {name: rounded.get(name, tensor) for name, tensor in weights.items()}


def _is_longer(tensor: Tensor, dtype: torch.dtype) -> bool:
    return tensor.is_floating_point() and tensor.itemsize > dtype.itemsize


def header_of(file: Path, *, allow_pickle: bool = False) -> Header:
    """What a file says of its weights, as `read_header` gives it, also of a pickle if those are allowed.

    Raises UnreadableModel.
    """
    if not allow_pickle or not is_pickle(file):
        return read_header(file)
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64"}
    tensors = _unpickled(file)
    return Header({name: TensorInfo(names.get(t.dtype, "I64"), tuple(t.shape)) for name, t in tensors.items()}, {})


def fill(module: nn.Module, weights: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> Misfits:
    """Put weights into a hollow module, on `device` and as `dtype`; the module is ready if nothing misfits.

    Weights that the module does not know are left out. On the CPU those that are stored as `dtype` stay mapped.
    """
    wanted = module.state_dict()
    named = rename(weights, {name: tensor.shape for name, tensor in wanted.items()})
    missing = tuple(name for name in wanted if name not in named)
    misshapen = tuple(name for name in wanted if name in named and named[name].shape != wanted[name].shape)
    if missing or misshapen:
        return Misfits(missing, misshapen)
    module.load_state_dict(_placed({name: named[name] for name in wanted}, device, dtype), assign=True)
    _place_buffers(module, device, dtype)
    tensors = (*module.named_parameters(), *module.named_buffers())
    return Misfits(tuple(name for name, tensor in tensors if tensor.is_meta))


def _place_buffers(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Bring the buffers that no file holds to `device` and `dtype` (not by `module.to`, on which libraries comment)."""
    for part in module.modules():
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = buffer.to(device, dtype if buffer.is_floating_point() else None)


def _placed(weights: dict[str, Tensor], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights where and as they are wanted, the same tensors where they are so already.

    Convolutions that are copied anyway get their channels last, which GPUs compute faster with. On CPUs it gains
    nothing, and would cost the copy of most of a UNet that mapping saves.
    """
    placed = {
        name: tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in weights.items()
    }
    if all(placed[name] is tensor for name, tensor in weights.items() if tensor.ndim == 4):
        return placed
    return {
        name: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in placed.items()
    }


def rename(weights: Mapping[str, Tensor], wanted: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Weights under the names, and attention's in the shapes, that the libraries use today."""
    named: dict[str, Tensor] = {}
    for old, tensor in weights.items():
        new = old if old in wanted else _todays_name(old)
        if new != old and (new in weights or new not in wanted):
            new = old
        shape = wanted.get(new)
        if shape is not None and new.endswith(ATTENTION_WEIGHTS) and tensor.shape == (*shape, 1, 1):
            tensor = tensor[:, :, 0, 0]  # written as a convolution by 1 × 1
        named[new] = tensor
    return named


def _todays_name(name: str) -> str:
    """What an unknown weight may be called now."""
    *path, layer, kind = ["", "", *name.split(".")]
    if layer in OLD_ATTENTION and kind in ("weight", "bias"):
        return ".".join([*path[2:], OLD_ATTENTION[layer], kind])
    return name.removeprefix(TEXT_PREFIX) if name.startswith(TEXT_PREFIX) else TEXT_PREFIX + name
