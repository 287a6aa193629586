"""From handles to modules: what the nodes of several stages need to use a model.

Handles are recipes. The modules they stand for are loaded when first used, and kept by the context's pool.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nodegraph.context import Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.sockets import Clip, Handle, Model
from nodes.noise_levels import sigmas_of as sigmas_of

if TYPE_CHECKING:
    import torch
    from torch import nn

T = TypeVar("T")

#: What a part is read from, where that is not only the folder of its name.
FOLDERS = {"text_encoder": ("text_encoder", "tokenizer")}


def unreadable(message: str) -> ProblemError:
    """The error for a model that cannot be used."""
    return ProblemError(
        Problem(
            code="model_unreadable",
            message=message,
            hint="check the model's files, or choose another model",
        )
    )


def reading_model(load: Callable[[], T]) -> T:
    """Run `load`, and tell what is wrong with a model's files as a problem."""
    from nodes.diffusion.loading import UnreadableModel

    try:
        return load()
    except UnreadableModel as error:
        raise unreadable(str(error)) from error


def module_of(handle: Handle, context: Context) -> nn.Module:
    """The module of a handle on the context's device: a UNet, an autoencoder or a text encoder."""
    from nodes.diffusion.loading import estimate_bytes, load_part, module_pieces, weights_stamp

    # Small encoders and autoencoders lose more by half precision than they gain.
    device, dtype = _place(context.device, context.dtype if handle.part == "unet" else "fp32")
    folder, part = Path(handle.path), handle.part
    # A mapped module changes with its files.
    stamp = reading_model(lambda: weights_stamp(folder, part)) if handle.path else ""
    return context.pool.get(
        f"{handle.weights}/{device}/{dtype}/{stamp}",
        lambda: unchanged(handle, context, lambda: load_part(folder, part, device, dtype)),
        module_pieces,
        lambda: estimate_bytes(folder, part, dtype),
    )


def content_of(folder: Path, part: str, context: Context) -> str:
    """What determines a part of a model in diffusers' layout: the digests of the folders it is read from, in hex.

    Raises OSError.
    """
    return " ".join([context.digest(folder / name) for name in FOLDERS.get(part, (part,))])


def unchanged(handle: Handle, context: Context, load: Callable[[], T]) -> T:
    """Run `load`, which reads a handle's files, provided that they are what they were when the handle was made.

    Results are kept under the digest of those files, so weights that came later must not be taken for them. They are
    compared before and after, since reading takes its time; files that rest are not read for that. Raises ProblemError.
    """
    _check_unchanged(handle, context)
    loaded = reading_model(load)
    _check_unchanged(handle, context)
    return loaded


def _check_unchanged(handle: Handle, context: Context) -> None:
    folder = Path(handle.path)
    try:
        found = content_of(folder, handle.part, context)
    except OSError as error:
        raise _changed(f"{error.filename or folder} cannot be read any more: {error.strerror or error}") from error
    if found != handle.content:
        raise _changed(f"the files of {folder} changed while they were in use ({handle.part})")


def _changed(message: str) -> ProblemError:
    return ProblemError(
        Problem(
            code="model_unreadable",
            message=message,
            hint="run the workflow again once the model's files stay as they are",
        )
    )


def _place(device: str, dtype: str) -> tuple[torch.device, torch.dtype]:
    """The device and number format that a user named. Raises ProblemError."""
    from nodes.diffusion.devices import pick_device, pick_dtype

    try:
        chosen = pick_device(device)
        return chosen, pick_dtype(dtype, chosen)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise ProblemError(Problem(code="bad_device", message=message, got=device, hint=hint or None)) from error


def tokenizer_of(clip: Clip, context: Context) -> Any:
    """The tokenizer of a text encoder."""
    from nodes.diffusion.loading import load_tokenizer

    key = f"{clip.weights}/tokenizer"
    return context.pool.get(
        key,
        lambda: unchanged(clip, context, lambda: load_tokenizer(Path(clip.path))),
        lambda tokenizer: 50 * len(tokenizer),
    )


def latent_scale_of(model: Model) -> float:
    """What raw latents are multiplied by for this model."""
    return float(model.option("latent_scale", 0.18215))
