"""From files to modules: the UNet, autoencoder or text encoder that a folder or a single file holds.

A module is built hollow by its configuration, and the mapped tensors of the files are put into it under the names that
the libraries use today. Nothing is fetched, and nothing is drawn at random.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodes.diffusion.headers import UnreadableModel, is_pickle, read_header
from nodes.diffusion.memory import is_out_of_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# The libraries import themselves piece by piece, and two threads at it at once may meet a half-made module.
IMPORTING = threading.Lock()

Weights = dict[str, "Tensor"]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """How a module is made: its class and configuration, the files that hold its weights, and which of them, renamed.

    place: what to call it in messages. prefixes: what stands before the names of its weights in the files.
    apart: names of weights begin with the number of their file (`0:`), where files use the same names.
    """

    place: str
    class_name: str
    config: Mapping[str, Any]
    files: tuple[Path, ...]
    select: Callable[[Weights], Weights]
    prefixes: tuple[str, ...] = ("",)
    apart: bool = False


def load_module(
    plan: Blueprint,
    device: torch.device,
    dtype: torch.dtype,
    *,
    allow_pickle: bool = False,
    rounding: torch.dtype | None = None,
) -> nn.Module:
    """The module of a blueprint, in evaluation mode. rounding: weights of more bytes are rounded to this format first.

    On the CPU, weights that are stored as `dtype` stay in their files, mapped into memory: the files must not be
    written to as long as the module lives (see `files_stamp`). Every weight comes from the files: raises
    UnreadableModel when one is missing or has another shape.
    """
    from nodes.diffusion.weights import map_files

    def mapped() -> Weights:
        return plan.select(map_files(plan.files, allow_pickle=allow_pickle, apart=plan.apart))

    def read() -> Weights:
        return mapped() if rounding is None else _rounded(mapped, plan.files, rounding, device, dtype)

    return assemble(plan.place, lambda: unfilled(plan.class_name, plan.config), read, device, dtype)


def assemble(
    place: str,
    make: Callable[[], nn.Module],
    read: Callable[[], Mapping[str, Tensor]],
    device: torch.device,
    dtype: torch.dtype,
    *,
    misshapen: str = "have another shape than the model's configuration says",
) -> nn.Module:
    """The module that `make` makes with the weights that `read` gives, under its own names, in evaluation mode.

    place, misshapen: what messages call it, and say of weights of a wrong shape. Every weight comes from `read`: raises
    UnreadableModel when one is missing or has another shape. On the CPU, weights that are stored as `dtype` stay in
    their file, mapped into memory.
    """
    from nodes.diffusion.weights import build_hollow, fill

    quiet_libraries()
    try:
        module = build_hollow(make)
        misfits = fill(module, read(), device, dtype)
    except UnreadableModel:
        raise
    except Exception as error:  # libraries raise what they like when a file is hostile
        if is_out_of_memory(error):
            raise
        raise UnreadableModel(f"{place} cannot be loaded: {first_line(error)}") from error
    complain(place, misfits.missing, "are missing")
    complain(place, misfits.misshapen, misshapen)
    return module.eval().requires_grad_(False)


def _rounded(
    mapped: Callable[[], Weights],
    files: Sequence[Path],
    rounding: torch.dtype,
    device: torch.device,
    dtype: torch.dtype,
) -> Weights:
    """Weights rounded to a number format, with as little memory as their kind allows."""
    from nodes.diffusion.weights import rounded_in_parts, rounded_to

    weights = mapped()
    # `fill` lays out convolutions that it copies anew, and a pickle is not mapped anew for nothing.
    if any(tensor.ndim == 4 for tensor in weights.values()) or any(is_pickle(file) for file in files):
        return rounded_to(weights, rounding)
    del weights
    return rounded_in_parts(mapped, rounding, dtype if device.type == "cpu" else rounding)


def complain(place: str, weights: Sequence[str], what: str) -> None:
    """Raise UnreadableModel for weights that would have to be made up."""
    if weights:
        names = sorted(weights)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise UnreadableModel(f"{place}: weights {what}: {', '.join(names[:3])}{more}")


def unfilled(class_name: str, config: Mapping[str, Any]) -> Any:
    """The module that a configuration describes, with whatever weights its library begins with."""
    with IMPORTING:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
        from diffusers.models.autoencoders.vae import DecoderTiny
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
    diffusers = {each.__name__: each for each in (AutoencoderKL, AutoencoderTiny, UNet2DConditionModel)}
    if class_name in diffusers:
        return diffusers[class_name].from_config(dict(config))
    if class_name == "DecoderTiny":
        return DecoderTiny(**config)
    # A configuration may name an implementation of attention that transformers would fetch, unless told another.
    made = CLIPTextConfig.from_dict(dict(config), attn_implementation="sdpa")
    return {"CLIPTextModel": CLIPTextModel, "CLIPTextModelWithProjection": CLIPTextModelWithProjection}[class_name](
        made
    )


def files_stamp(files: Sequence[Path]) -> str:
    """What tells whether files were written to since: their inodes, sizes and times.

    A mapped module changes with its files, so that its place in a pool is named by this as well as by its digest.
    Raises UnreadableModel.
    """
    try:
        stats = [file.stat() for file in files]
    except OSError as error:
        raise UnreadableModel(f"{error.filename} cannot be read any more: {error.strerror}") from error
    return ",".join(f"{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}" for s in stats)


def estimate_bytes(files: Sequence[Path], prefixes: Sequence[str], dtype: torch.dtype) -> int:
    """Bytes that the weights below some prefixes will take as `dtype`, from headers; 0 if they cannot be read."""
    from math import prod

    try:
        tensors = {name: info for file in files for name, info in read_header(file).tensors.items()}
    except UnreadableModel:
        return 0
    begins = tuple(prefixes)
    return dtype.itemsize * sum(prod(info.shape) for name, info in tensors.items() if name.startswith(begins))


def quiet_libraries() -> None:
    """Keep loading bars and advice of the model libraries off the terminal; their errors are raised anyway."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def first_line(error: BaseException) -> str:
    """The beginning of a library's message; the rest tends to be advice about downloads."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines[0] += " " + lines[1]
    return lines[0][:300] if lines else type(error).__name__


def module_pieces(module: Any) -> dict[Hashable, int]:
    """Where a module's parameters and buffers lie → bytes there; modules that share weights share such pieces.

    True as long as the module lives: afterwards something else may lie there.
    """
    storages = [tensor.untyped_storage() for tensor in (*module.parameters(), *module.buffers())]
    return {(str(storage.device), storage.data_ptr()): storage.nbytes() for storage in storages if storage.nbytes()}
