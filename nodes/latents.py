"""Latents: making, resizing, laying over each other, saving and loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, Range, node
from nodegraph.sockets import Latent, Mask, Saved
from nodes.foresight import latents, masked
from nodes.images import picture_texts
from nodes.saving import file_name, saved_file, saving

if TYPE_CHECKING:
    from torch import Tensor

Width = Annotated[int, Range(16, 16384, step=8, multiple=8)]
ResizedWidth = Annotated[int, Range(0, 16384, step=8)]
Offset = Annotated[int, Range(0, 16384, step=8)]
LatentUpscaleMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]
Crop = Literal["disabled", "center"]
SUFFIX = ".latent"


@node(category="latent", display_name="Empty Latent Image", foresee=latents())
def EmptyLatentImage(width: Width = 512, height: Width = 512, batch_size: Annotated[int, Range(1, 4096)] = 1) -> Latent:
    """A blank latent to begin a picture from; width and height are in pixels, multiples of 8."""
    import torch

    return {"samples": torch.zeros(batch_size, 4, height // 8, width // 8)}


@node(category="latent", display_name="Upscale Latent")
def LatentUpscale(
    samples: Latent,
    upscale_method: LatentUpscaleMethod = "nearest-exact",
    width: ResizedWidth = 512,
    height: ResizedWidth = 512,
    crop: Crop = "disabled",
) -> Latent:
    """Resize a latent to a size in pixels; a size of 0 keeps the proportions, both 0 keeps everything."""
    from nodes.diffusion.resize import fill_size, resize

    tensor = samples["samples"]
    wanted = fill_size(width, height, tensor.shape[-1] * 8, tensor.shape[-2] * 8, minimum=64)
    resized = resize(tensor, max(1, wanted[0] // 8), max(1, wanted[1] // 8), upscale_method, crop=crop == "center")
    return {**samples, "samples": resized}


@node(category="latent", display_name="Upscale Latent By")
def LatentUpscaleBy(
    samples: Latent,
    upscale_method: LatentUpscaleMethod = "nearest-exact",
    scale_by: Annotated[float, Range(0.01, 8.0, step=0.01)] = 1.5,
) -> Latent:
    """Resize a latent by a factor; its proportions stay."""
    from nodes.diffusion.resize import resize

    tensor = samples["samples"]
    height, width = (max(1, round(side * scale_by)) for side in tensor.shape[-2:])
    return {**samples, "samples": resize(tensor, width, height, upscale_method)}


@node(category="latent/inpaint", display_name="Set Latent Noise Mask", numeric=False, foresee=masked)
def SetLatentNoiseMask(
    samples: Latent, mask: Annotated[Mask, Help("1 where to draw, 0 what to keep; of any size")]
) -> Latent:
    """Let a sampler draw only where the mask is 1; the rest of the latent stays as it is."""
    return {**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])}


@node(category="latent", display_name="Latent Composite")
def LatentComposite(
    samples_to: Latent,
    samples_from: Latent,
    x: Annotated[Offset, Help("in pixels, from the left")] = 0,
    y: Annotated[Offset, Help("in pixels, from the top")] = 0,
    feather: Annotated[Offset, Help("in pixels: how far its edges fade in")] = 0,
) -> Latent:
    """Lay a latent over another one; what sticks out is cut off.

    A batch that is shorter than the one below is repeated. Noise mask and batch index are those of the latent below.
    """
    from nodes.diffusion.latents import composite, repeat_to_batch

    onto = samples_to["samples"]
    check_channels(samples_to, samples_from, "samples_from")
    pasted = repeat_to_batch(samples_from["samples"], onto.shape[0]).to(onto)
    return {**samples_to, "samples": composite(onto, pasted, x // 8, y // 8, feather // 8)}


@node(category="latent", display_name="Latent Blend")
def LatentBlend(
    samples1: Latent,
    samples2: Latent,
    blend_factor: Annotated[float, Range(0, 1, step=0.01), Help("the share of samples1")] = 0.5,
) -> Latent:
    """Mix two latents; the second one is made as large as the first, and its batch repeated."""
    first, second = matched(samples1, samples2, "samples2", "bicubic")
    return {**samples1, "samples": first * blend_factor + second * (1 - blend_factor)}


def check_channels(samples1: Latent, samples2: Latent, name: str) -> None:
    """Raise ProblemError for latents of different kinds of models; `name` is the second one's input."""
    first, second = samples1["samples"].shape, samples2["samples"].shape
    if len(first) != len(second) or first[1] != second[1]:
        raise bad_value(
            name,
            f"latents of {first[1]} and of {second[1]} channels do not go together",
            hint="take both from models of one family",
        )


def matched(samples1: Latent, samples2: Latent, name: str, method: str = "bilinear") -> tuple[Tensor, Tensor]:
    """Two latents' tensors, the second of the first one's size and batch. Raises ProblemError if they never fit."""
    from nodes.diffusion.latents import match

    check_channels(samples1, samples2, name)
    first = samples1["samples"]
    return first, match(samples2["samples"], first, method).to(first)


def bad_value(name: str, message: str, *, got: str | None = None, hint: str | None = None) -> ProblemError:
    """The error for an input that does not fit."""
    return ProblemError(Problem(code="bad_value", message=message, input=name, got=got, hint=hint))


# --- files


def list_latents(roots: Roots) -> list[str]:
    """Names of the latents in the input folders."""
    return roots.list_files(roots.input, (SUFFIX,))


def find_latent(name: str, roots: Roots) -> Path | None:
    """The latent `name` in the input folders, or None."""
    return roots.find_input(name) if name.lower().endswith(SUFFIX) else None


@node(category="latent", display_name="Load Latent", numeric=False)
def LoadLatent(
    latent: Annotated[
        str, Choices(list_latents, find_latent, kind="latent"), Help("a .latent file in the input folder")
    ],
    context: Context = NO_CONTEXT,
) -> Latent:
    """Load a latent that was saved before, from the input folder or from beside the workflow file."""
    from nodes.diffusion.latent_files import UnusableLatent, read_latent

    try:
        return {"samples": read_latent(context.input_file(latent))}
    except UnusableLatent as error:
        raise bad_value("latent", str(error), got=latent, hint="choose a file that Save Latent wrote") from error


@node(category="latent", display_name="Save Latent", output_node=True, numeric=False)
def SaveLatent(
    samples: Latent,
    filename_prefix: Annotated[
        str, Help("may hold a subfolder, %date:yyyy-MM-dd%, %width%, %height%")
    ] = "latents/nodegraph",
    context: Context = NO_CONTEXT,
) -> Saved:
    """Save latents in the output folder, with the workflow inside; existing files are never replaced.

    The file holds the latents alone: a noise mask is left out.
    """
    from nodes.diffusion.latent_files import latent_bytes
    from nodes.diffusion.numbered import write_numbered

    tensor, root = samples["samples"], context.roots.output
    width, height = tensor.shape[-1] * 8, tensor.shape[-2] * 8
    with saving("the latent", filename_prefix, root):
        name = file_name(filename_prefix, width, height)
        path = write_numbered(root, name, SUFFIX, latent_bytes(tensor, picture_texts(context)))
    return Saved((saved_file(path, root, "output", width, height),))
