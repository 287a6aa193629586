"""Enlarging pictures with networks made for that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, node
from nodegraph.sockets import Image, UpscaleModel
from nodes.models import reading_model, unreadable

if TYPE_CHECKING:
    import torch

    from nodes.diffusion.upscaling import Upscaler

FOLDER = "upscale_models"


def list_upscale_models(roots: Roots) -> list[str]:
    """Names of the safetensors files below `upscale_models/` of the model folders."""
    return roots.list_files(tuple(root / FOLDER for root in roots.models), (".safetensors",))


def find_upscale_model(name: str, roots: Roots) -> Path | None:
    """The file of an upscale model, or None."""
    found = roots.find_model(FOLDER, name)
    return found if found is not None and found.is_file() else None


@node(category="loaders", display_name="Load Upscale Model", light=False)
def UpscaleModelLoader(
    model_name: Annotated[
        str,
        Choices(list_upscale_models, find_upscale_model, kind="upscale model", folder="upscale_models"),
        Help("a safetensors file below upscale_models/ of a model folder"),
    ],
    context: Context = NO_CONTEXT,
) -> UpscaleModel:
    """Load a network that enlarges pictures, such as Real-ESRGAN.

    ESRGAN and Real-ESRGAN, the compact one too, work as they are; for other kinds install nodegraph[upscale].
    """
    from nodes.diffusion.headers import read_header

    path = find_upscale_model(model_name, context.roots)
    if path is None:
        raise unreadable(f"there is no upscale model '{model_name}'")
    reading_model(lambda: read_header(path))
    return UpscaleModel("upscaler", str(path), context.digest(path), "upscaler")


@node(category="image/upscaling", display_name="Upscale Image (using Model)")
def ImageUpscaleWithModel(upscale_model: UpscaleModel, image: Image, context: Context = NO_CONTEXT) -> Image:
    """Enlarge pictures with a network, as many times as it was made for; large ones in tiles."""
    import torch

    from nodes.diffusion.compositing import with_channels
    from nodes.diffusion.devices import pick_device
    from nodes.diffusion.upscaling import tile_count, upscale

    try:
        device = pick_device(context.device)
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise ProblemError(Problem("bad_device", message, got=context.device, hint=hint or None)) from error
    upscaler = _upscaler_of(upscale_model, device, context)
    pictures = with_channels(image, 4 if upscaler.channels == 4 else 3)
    tiles = tile_count(*pictures.shape[1:3])
    results: list[torch.Tensor] = []
    for i, picture in enumerate(pictures.movedim(-1, 1).split(1)):

        def turn(done: int, total: int, before: int = i) -> None:
            context.progress(before * tiles + done * tiles / total, len(pictures) * tiles)

        results.append(upscale(picture, upscaler, device, turn).movedim(1, -1))
    result = torch.cat(results)
    if not torch.isfinite(result).all():
        message = "the enlarged picture has values that are not numbers"
        raise ProblemError(Problem("not_finite", message, hint="the model's file may be damaged"))
    return Image(result.clamp(0, 1))


def _upscaler_of(handle: UpscaleModel, device: torch.device, context: Context) -> Upscaler:
    """The network of a handle, from the pool. Raises ProblemError."""
    from nodes.diffusion.loading import module_pieces

    return context.pool.get(
        f"{handle.weights}/{device}",
        lambda: _load(handle, device, context),
        lambda upscaler: module_pieces(upscaler.module),
        lambda: _file_size(handle),
    )


def _load(handle: UpscaleModel, device: torch.device, context: Context) -> Upscaler:
    """Read a handle's file, provided that it is what it was when the handle was made."""
    from nodes.diffusion.upscaling import UnknownNetwork, load_upscaler

    path = Path(handle.path)
    _check_unchanged(handle, context)
    try:
        upscaler = reading_model(lambda: load_upscaler(path, device))
    except ProblemError as error:
        if isinstance(error.__cause__, UnknownNetwork):
            hint = 'pip install "nodegraph[upscale]"'
            problem = Problem("missing_package", str(error.__cause__), input="upscale_model", hint=hint)
            raise ProblemError(problem) from error
        raise
    _check_unchanged(handle, context)
    return upscaler


def _check_unchanged(handle: UpscaleModel, context: Context) -> None:
    try:
        found = context.digest(Path(handle.path))
    except OSError as error:
        raise unreadable(f"{handle.path} cannot be read any more: {error.strerror or error}") from error
    if found != handle.content:
        raise unreadable(f"{handle.path} changed while it was in use")


def _file_size(handle: UpscaleModel) -> int:
    try:
        return Path(handle.path).stat().st_size
    except OSError:
        return 0
