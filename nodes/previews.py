"""What is shown while a sampler works: its progress, and a picture of what the model sees at each step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.context import Context
from nodegraph.errors import ProblemError
from nodegraph.sockets import Model
from nodes.models import place_named, reading_model

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor, nn

    from nodes.diffusion.preview import LatentRGB
    from nodes.diffusion.samplers import Step

#: Latents in sampling space → the picture of the first one.
Previewer = Callable[["Tensor"], "Image"]


def step_reporter(model: Model, context: Context) -> Callable[[Step], None]:
    """A sampler's callback that tells the context of progress, shows previews, and stops when cancelled."""
    picture_of: Previewer | None = None

    def report(step: Step) -> None:
        nonlocal picture_of
        context.progress(step.i + 1, step.n)
        if context.wants_previews:  # somebody may begin to look while the sampler works
            picture_of = picture_of or previewer(model, context)
            context.preview(picture_of(step.denoised))

    return report


def previewer(model: Model, context: Context) -> Previewer:
    """How previews of a model are made: by TAESD's decoder if it lies in `vae_approx`, else by a linear map.

    A model that brings a map of its own has latents of its own, which TAESD does not know: its decoder is one that is
    called like its folder. A decoder that cannot be used is warned of: previews are not worth a failure.
    """
    from nodes.diffusion.preview import decoded_preview, preview_image

    own = _own_map(model)
    rgb = preview_map(model) if own is None else own
    name = Path(model.path).name if own is not None else "taesdxl" if _is_xl(model) else "taesd"
    decoder = None
    try:
        decoder = _preview_decoder(name, context)
    except ProblemError as error:
        known = "TAESD" if own is None else f"the decoder of {name}"
        context.warn(f"previews are rough, since {known} cannot be used: {error.problems[0].message}")

    def picture_of(latent: Tensor) -> Image:
        if decoder is not None and latent.shape[-3] == 4:
            return decoded_preview(latent, decoder)
        return preview_image(latent, rgb)

    return picture_of


def preview_map(model: Model) -> LatentRGB:
    """The model's own latent → RGB map from `preview.json` in its folder, else Stable Diffusion's."""
    from nodes.diffusion.preview import SD15_PREVIEW, SDXL_PREVIEW

    return _own_map(model) or (SDXL_PREVIEW if _is_xl(model) else SD15_PREVIEW)


def _own_map(model: Model) -> LatentRGB | None:
    import torch

    from nodes.diffusion.folders import read_preview
    from nodes.diffusion.preview import LatentRGB

    own = reading_model(lambda: read_preview(Path(model.path))) if model.loader == "diffusers" else None
    return None if own is None else LatentRGB(torch.tensor(own[0]).float(), torch.tensor(own[1]).float())


def _is_xl(model: Model) -> bool:
    return str(model.option("family", "")).startswith("sdxl")


def _preview_decoder(name: str, context: Context) -> nn.Module | None:
    """The small decoder of that name, kept by the pool; None if there is none. Raises ProblemError."""
    from nodes.diffusion.loading import files_stamp, load_module, module_pieces
    from nodes.diffusion.small_vae import decoder_blueprint

    path = context.roots.find_model("vae_approx", f"{name}_decoder.safetensors")
    if path is None or not path.is_file():
        return None
    device, dtype = place_named(context.device, "fp32")
    stamp = reading_model(lambda: files_stamp([path]))
    return context.pool.get(
        f"preview/{path}/{stamp}/{device}",
        lambda: reading_model(lambda: load_module(decoder_blueprint(path), device, dtype)),
        module_pieces,
    )
