"""Pictures as CLIP sees them, and prompts that they speak in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, Range, node
from nodegraph.sockets import ClipVision, ClipVisionOutput, Conditioning, Image, StyleModel
from nodes.models import reading_model
from nodes.networks import digest_of_file, file_in, files_in, found, module_from_file
from nodes.vae import bad_value

if TYPE_CHECKING:
    from torch import Tensor

find_clip_vision = file_in("clip_vision")
find_style_model = file_in("style_models")


@node(category="loaders", display_name="Load CLIP Vision", numeric=False)
def CLIPVisionLoader(
    clip_name: Annotated[
        str,
        Choices(files_in("clip_vision"), find_clip_vision, kind="CLIP vision model", folder="clip_vision"),
        Help("a safetensors file in the models' folder clip_vision"),
    ],
    context: Context = NO_CONTEXT,
) -> ClipVision:
    """Load CLIP's encoder of pictures: one safetensors file, with the names of transformers or of open_clip."""
    from nodes.diffusion.vision import read_vision_file

    path = found(find_clip_vision, clip_name, "CLIP vision model", context)
    reading_model(lambda: read_vision_file(path))
    return ClipVision("clip_vision", str(path), digest_of_file(path, context), "clip_vision")


@node(category="conditioning", display_name="CLIP Vision Encode")
def CLIPVisionEncode(
    clip_vision: ClipVision,
    image: Image,
    crop: Annotated[Literal["center", "none"], Help("cut the middle out, or squeeze all of it in")] = "center",
    context: Context = NO_CONTEXT,
) -> ClipVisionOutput:
    """Encode pictures, so that other nodes can use what is in them."""
    import torch

    from nodes.diffusion.autoencoder import rgb
    from nodes.diffusion.vision import encode, load_vision

    model = module_from_file(clip_vision, context, load_vision)
    seen: list[dict[str, Tensor]] = []
    for i, picture in enumerate(rgb(image).split(1)):
        context.progress(i, len(image))
        seen.append(encode(model, picture, crop=crop == "center"))
    joined: Any = {name: torch.cat([each[name] for each in seen]) for name in seen[0]}
    return cast(ClipVisionOutput, joined)


@node(category="conditioning", display_name="unCLIPConditioning", numeric=False)
def unCLIPConditioning(
    conditioning: Conditioning,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[float, Range(-10, 10, step=0.01)] = 1.0,
    noise_augmentation: Annotated[
        float, Range(0, 1, step=0.01), Help("how little of the picture need be kept; 0 keeps close to it")
    ] = 0.0,
) -> Conditioning:
    """Show a picture to a model that draws variations of pictures (unCLIP). Several in a row are blended."""
    if strength == 0:
        return conditioning
    picture = {
        "clip_vision_output": clip_vision_output,
        "strength": strength,
        "noise_augmentation": noise_augmentation,
    }
    return Conditioning(
        [
            (context, {**options, "unclip_conditioning": [*options.get("unclip_conditioning", ()), picture]})
            for context, options in conditioning
        ]
    )


@node(category="loaders", display_name="Load Style Model", numeric=False)
def StyleModelLoader(
    style_model_name: Annotated[
        str,
        Choices(files_in("style_models"), find_style_model, kind="style model", folder="style_models"),
        Help("a safetensors file in the models' folder style_models"),
    ],
    context: Context = NO_CONTEXT,
) -> StyleModel:
    """Load a style adapter (T2I-Adapter's), which turns an encoded picture into words of a prompt."""
    from nodes.diffusion.style import read_style_file

    path = found(find_style_model, style_model_name, "style model", context)
    reading_model(lambda: read_style_file(path))
    return StyleModel("style", str(path), digest_of_file(path, context), "style_model")


@node(category="conditioning/style_model", display_name="Apply Style Model")
def StyleModelApply(
    conditioning: Conditioning,
    style_model: StyleModel,
    clip_vision_output: ClipVisionOutput,
    strength: Annotated[float, Range(0, 10, step=0.001)] = 1.0,
    strength_type: Annotated[Literal["multiply", "attn_bias"], Help("only multiply is supported")] = "multiply",
    context: Context = NO_CONTEXT,
) -> Conditioning:
    """Append what a picture looks like to a prompt, as words of it."""
    import torch

    from nodes.diffusion.style import load_style

    if strength_type != "multiply":
        raise ProblemError(
            Problem(
                code="bad_value",
                message="a style model's words are strengthened by multiplication only",
                input="strength_type",
                got=strength_type,
                expected="multiply",
                hint="choose multiply, with a smaller strength",
            )
        )
    adapter: Any = module_from_file(style_model, context, load_style)
    seen, wanted = clip_vision_output["last_hidden_state"], adapter.style_embedding.shape[-1]
    if seen.shape[-1] != wanted:
        raise bad_value(
            "clip_vision_output", f"this style model wants pictures encoded {wanted} wide, not {seen.shape[-1]}"
        )
    with torch.no_grad():
        words = adapter(seen.to(adapter.proj.device)).float().cpu() * strength
    words = words.flatten(0, 1).unsqueeze(0)  # several pictures speak one after another
    for prompt, _ in conditioning:
        if prompt.shape[-1] != words.shape[-1]:
            message = (
                f"this style model makes words of width {words.shape[-1]}, and the prompt's are {prompt.shape[-1]}"
            )
            raise bad_value("conditioning", message)
    return Conditioning(
        [
            (torch.cat([prompt, words.expand(len(prompt), -1, -1).to(prompt)], dim=1), options)
            for prompt, options in conditioning
        ]
    )
