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
from nodes.foresight import PICKLE_HINT
from nodes.noise_levels import sigmas_of as sigmas_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nodes.diffusion.loading import Blueprint

T = TypeVar("T")

#: Parts whose weights, where stored in fp32, are rounded to fp16, as ComfyUI loads them, for the same numbers.
ROUNDED = ("text_encoder", "text_encoder_2")


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
    from nodes.diffusion.headers import PickledModel, UnreadableModel

    try:
        return load()
    except PickledModel as error:
        raise ProblemError(Problem(code="model_unreadable", message=str(error), hint=PICKLE_HINT)) from error
    except UnreadableModel as error:
        raise unreadable(str(error)) from error


def blueprint_of(handle: Handle, context: Context) -> Blueprint:
    """How the module of a handle is made, patches left out. Raises ProblemError."""
    from nodes.diffusion import folders, single_file
    from nodes.diffusion.weights import header_of

    path = Path(handle.path)
    if handle.loader == "taesd":
        from nodes.diffusion.small_vae import taesd_blueprint

        return taesd_blueprint(taesd_encoder(path), path, float(handle.option("latent_scale", 0.18215)))
    if handle.loader == "diffusers":
        return reading_model(lambda: folders.blueprint(path, handle.part))
    return reading_model(
        lambda: single_file.blueprint(path, header_of(path, allow_pickle=context.allow_pickle), handle.part)
    )


def module_of(handle: Handle, context: Context) -> nn.Module:
    """The module of a handle on the context's device: a UNet, an autoencoder or a text encoder.

    It is shared: nobody may write to it.
    """
    from nodes.diffusion.loading import estimate_bytes, load_module, module_pieces

    if handle.patches:
        from nodes.patching import patched_module

        return patched_module(handle, context)
    device, dtype = place_of(handle, context)
    if handle.loader == "pixel_space":
        from nodes.diffusion.small_vae import PixelSpace

        return PixelSpace().to(device)
    key = pool_key(handle, context)
    if not handle.path:
        return context.pool.get(key, _nothing_to_load, module_pieces)

    def load() -> nn.Module:
        plan = blueprint_of(handle, context)
        return load_module(plan, device, dtype, allow_pickle=context.allow_pickle, rounding=_rounding(handle))

    def estimate() -> int:
        plan = blueprint_of(handle, context)
        return estimate_bytes(plan.files, plan.prefixes, dtype)

    return context.pool.get(key, lambda: unchanged(handle, context, load), module_pieces, estimate)


def _files_of(handle: Handle, context: Context) -> tuple[Path, ...]:
    """The files that a handle's weights are read from. Those of a single file are known without looking into it."""
    if handle.loader in ("diffusers", "taesd"):
        return blueprint_of(handle, context).files
    return (Path(handle.path),)


def pool_key(handle: Handle, context: Context) -> str:
    """What a handle's module without patches is called in the pool: all that its weights and their place depend on.

    The times of its files belong to that: a mapped module changes with its files. A handle without a file is that of
    whoever fills the pool by other means.
    """
    from nodes.diffusion.loading import files_stamp

    device, dtype = place_of(handle, context)
    plain = handle.unpatched()
    stamp = reading_model(lambda: files_stamp(_files_of(plain, context))) if handle.path else ""
    return f"{plain.weights}/{device}/{dtype}/{_rounding(handle)}/{stamp}"


def _rounding(handle: Handle) -> torch.dtype | None:
    """The number format that a handle's weights are rounded to when they are loaded."""
    import torch

    formats = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
    return formats.get(str(handle.option("rounding", "")), torch.float16 if handle.part in ROUNDED else None)


def taesd_encoder(decoder: Path) -> Path:
    """TAESD's encoder lies beside its decoder."""
    return decoder.with_name(decoder.name.replace("_decoder", "_encoder"))


def _nothing_to_load() -> nn.Module:
    raise unreadable("a model without a file was asked for")


def content_of(path: Path, loader: str, part: str, context: Context) -> str:
    """What determines a part of a model: the digest of its file, or those of the folders it is read from, in hex.

    Raises OSError.
    """
    from nodes.diffusion.folders import TOKENIZERS

    if loader == "taesd":
        return f"{context.digest(taesd_encoder(path))} {context.digest(path)}"
    if loader != "diffusers":
        return context.digest(path)
    folders = [part, *([TOKENIZERS[part]] if part in TOKENIZERS else [])]
    return " ".join([context.digest(path / name) for name in folders])


def unchanged(handle: Handle, context: Context, load: Callable[[], T]) -> T:
    """Run `load`, which reads a handle's files, provided that they are what they were when the handle was made.

    Raises ProblemError.
    """
    path = Path(handle.path)
    return reading_unchanged(
        path, handle.content, lambda: content_of(path, handle.loader, handle.part, context), load, handle.part
    )


def reading_unchanged(
    path: Path, known: str, content: Callable[[], str], load: Callable[[], T], part: str | None = None
) -> T:
    """Run `load`, which reads the files at `path`, provided that what they hold, `content()`, is what is known of them.

    Results are kept under the digest of those files, so weights that came later must not be taken for them. They are
    compared before and after, since reading takes its time; files that rest are not read for that. Raises ProblemError.
    """

    def check() -> None:
        try:
            found = content()
        except OSError as error:
            raise gone(error, path) from error
        if found != known:
            of = f" ({part})" if part is not None else ""
            raise _resting("model_changed", f"{path} changed while it was in use{of}")

    check()
    loaded = reading_model(load)
    check()
    return loaded


def gone(error: OSError, path: Path) -> ProblemError:
    """The error for files of a model that could be read before."""
    return _resting("model_unreadable", f"{error.filename or path} cannot be read any more: {error.strerror or error}")


def _resting(code: str, message: str) -> ProblemError:
    hint = "run the workflow again once the model's files stay as they are"
    return ProblemError(Problem(code=code, message=message, hint=hint))


def place_of(handle: Handle, context: Context) -> tuple[torch.device, torch.dtype]:
    """The device and number format of a handle's module. Raises ProblemError for ones that a user named wrongly.

    `auto` goes by the device and by how most of the weights are stored; see `pick_dtype`. Text encoders and
    autoencoders lose more by half precision than they gain, so that `auto` is fp32 for those.
    """
    from nodes.diffusion.devices import computes_bf16

    kinds = {"unet": context.dtype, "control": context.dtype, "vae": context.vae_dtype}
    dtype = kinds.get(handle.part, "fp32")
    if dtype == "auto" and handle.part == "vae":
        dtype = "fp32"
    name = str(handle.option("dtype", dtype))
    device = place_named(str(handle.option("device", context.device)), "fp32")[0]
    stored = _stored_format(handle, context) if name == "auto" and handle.path and computes_bf16(device) else ""
    return place_named(str(device), name, stored)


def place_named(device: str, dtype: str, stored: str = "") -> tuple[torch.device, torch.dtype]:
    """The device and number format of those names, which users give. Raises ProblemError.

    stored: the format of the weights, which counts where `dtype` is auto.
    """
    from nodes.diffusion.devices import pick_device, pick_dtype

    try:
        chosen = pick_device(device)
        return chosen, pick_dtype(dtype, chosen, stored)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise ProblemError(Problem(code="bad_device", message=message, got=device, hint=hint or None)) from error


def _stored_format(handle: Handle, context: Context) -> str:
    """The number format that most of a part's weights have in its files. Raises ProblemError."""
    from nodes.diffusion.headers import stored_format
    from nodes.diffusion.loading import files_stamp
    from nodes.diffusion.weights import header_of

    def read() -> str:
        plan = blueprint_of(handle, context)
        return stored_format((header_of(f, allow_pickle=context.allow_pickle) for f in plan.files), plan.prefixes)

    plain = handle.unpatched()
    stamp = reading_model(lambda: files_stamp(blueprint_of(plain, context).files))
    key = f"{plain.weights}/format/{stamp}"
    return context.pool.get(key, lambda: reading_model(read), len)


def tokenizer_of(clip: Clip, context: Context) -> Any:
    """The tokenizer of a text encoder."""
    from nodes.diffusion.configs import METADATA
    from nodes.diffusion.folders import load_tokenizer
    from nodes.diffusion.text_encoders import clip_tokenizer, noted_tokenizer
    from nodes.diffusion.weights import header_of

    def size(tokenizer: Any) -> int:
        return 50 * len(tokenizer)

    if clip.loader != "diffusers":
        header = reading_model(lambda: header_of(Path(clip.path), allow_pickle=context.allow_pickle))
        noted = header.metadata.get(METADATA["tokenizer"])
        if noted is None:
            return context.pool.get("CLIP's tokenizer", clip_tokenizer, size)
        key = f"{clip.unpatched().weights}/tokenizer"
        return context.pool.get(key, lambda: reading_model(lambda: noted_tokenizer(noted)), size)
    return context.pool.get(
        f"{clip.unpatched().weights}/tokenizer",
        lambda: unchanged(clip, context, lambda: load_tokenizer(Path(clip.path), clip.part)),
        size,
    )


def latent_scale_of(model: Model) -> float:
    """What raw latents are multiplied by for this model."""
    return float(model.option("latent_scale", 0.18215))
