"""Saving models: checkpoints as single files that other programs read too, their parts, and LoRAs of differences."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Clip, Model, Saved, SavedFile, Vae
from nodes.images import picture_texts
from nodes.models import module_of, tokenizer_of
from nodes.patching import addressee_of
from nodes.saving import file_name, saved_file, saving

if TYPE_CHECKING:
    from torch import Tensor, nn

T = TypeVar("T")

SUFFIX = ".safetensors"
Prefix = Annotated[str, Help("below the output folder; may hold a subfolder and %date:yyyy-MM-dd%")]


@node(category="advanced/model_merging", display_name="Save Checkpoint", output_node=True)
def CheckpointSave(
    model: Model, clip: Clip, vae: Vae, filename_prefix: Prefix = "checkpoints/nodegraph", context: Context = NO_CONTEXT
) -> Saved:
    """Save a model, its text encoders and its VAE as one safetensors file, patches merged in and the workflow inside.

    Tensors are named as in Stable Diffusion's own checkpoints.
    """
    from nodes.diffusion.single_file_saving import text_prefixes, text_weights, unet_weights, vae_weights

    unet, encoders, autoencoder = module_of(model, context), _encoders(clip, context), module_of(vae, context)
    tensors = _named(lambda: {**unet_weights(unet), **vae_weights(autoencoder)})
    for encoder, (prefix, open_clip) in zip(encoders, text_prefixes(encoders, unet), strict=True):
        tensors |= text_weights(encoder, prefix, open_clip=open_clip)
    facts = _facts(model) | _notes({"unet": unet, "vae": autoencoder}, encoders)
    return _saved([("", tensors | _marks(model))], filename_prefix, context, facts | _words(clip, encoders, context))


@node(category="advanced/model_merging", display_name="Save Model", output_node=True)
def ModelSave(
    model: Model, filename_prefix: Prefix = "diffusion_models/nodegraph", context: Context = NO_CONTEXT
) -> Saved:
    """Save a UNet as a safetensors file, patches merged in and the workflow inside."""
    from nodes.diffusion.single_file_saving import unet_weights

    unet = module_of(model, context)
    tensors = _named(lambda: unet_weights(unet))
    return _saved([("", tensors | _marks(model))], filename_prefix, context, _facts(model) | _notes({"unet": unet}))


@node(category="advanced/model_merging", display_name="Save CLIP", output_node=True)
def CLIPSave(clip: Clip, filename_prefix: Prefix = "clip/nodegraph", context: Context = NO_CONTEXT) -> Saved:
    """Save a text encoder as a safetensors file, patches merged in; of a model with two, one file each."""
    from nodes.diffusion.single_file_saving import text_weights

    ends = ("",) if clip.second is None else ("_clip_l", "_clip_g")
    parts = [
        (end, text_weights(encoder, "text_model.", open_clip=False))
        for end, encoder in zip(ends, _encoders(clip, context), strict=True)
    ]
    encoders = _encoders(clip, context)
    facts = _notes({}, encoders) | _words(clip, encoders, context) if len(encoders) == 1 else {}
    return _saved([(end, _projection_outside(tensors)) for end, tensors in parts], filename_prefix, context, facts)


@node(category="advanced/model_merging", display_name="Save VAE", output_node=True)
def VAESave(vae: Vae, filename_prefix: Prefix = "vae/nodegraph_vae", context: Context = NO_CONTEXT) -> Saved:
    """Save a VAE as a safetensors file, with the workflow inside."""
    from nodes.diffusion.single_file_saving import vae_weights

    module = module_of(vae, context)
    tensors = _named(lambda: vae_weights(module, ""))
    return _saved([("", tensors)], filename_prefix, context, _notes({"vae": module}))


@node(category="_for_testing", display_name="Extract and Save LoRA", output_node=True)
def LoraSave(
    filename_prefix: Prefix = "loras/nodegraph_extracted_lora",
    rank: Annotated[int, Range(1, 4096, step=1), Help("how much of each layer's difference is kept")] = 8,
    lora_type: Annotated[
        Literal["standard", "full_diff"], Help("standard: the best approximation of that rank; full_diff: all of it")
    ] = "standard",
    bias_diff: Annotated[bool, Help("keep differences of biases and normalisations too")] = True,
    model_diff: Annotated[Model, Help("what ModelMergeSubtract gives")] | None = None,
    text_encoder_diff: Annotated[Clip, Help("what CLIPMergeSubtract gives")] | None = None,
    context: Context = NO_CONTEXT,
) -> Saved:
    """Save the difference of two models as a LoRA, which laid over the second gives the first, nearly."""
    import torch

    from nodes.diffusion.lora.extract import extract

    second = None if text_encoder_diff is None else text_encoder_diff.second
    parts = [each for each in (model_diff, text_encoder_diff, second) if each is not None]
    tensors: dict[str, Tensor] = {}
    with torch.inference_mode(False), torch.no_grad():
        for part in parts:
            module, full = module_of(part, context), lora_type == "full_diff"
            tensors |= extract(module, addressee_of(part), rank, full=full, biases=bias_diff, progress=context.progress)
    if not tensors:
        raise ProblemError(
            Problem(
                code="bad_value",
                message="there is no difference to save" if parts else "there is nothing to make a LoRA of",
                input="model_diff",
                hint="connect what ModelMergeSubtract or CLIPMergeSubtract gives for two different models",
            )
        )
    return _saved([("", tensors)], filename_prefix, context, {})


def _encoders(clip: Clip, context: Context) -> list[nn.Module]:
    """The modules of one or two text encoders."""
    return [module_of(each, context) for each in (clip, clip.second) if each is not None]


def _projection_outside(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers keeps the projection beside the encoder, not in it."""
    inside = "text_model.text_projection.weight"
    return {name.removeprefix("text_model.") if name == inside else name: each for name, each in tensors.items()}


def _marks(model: Model) -> dict[str, Tensor]:
    """The empty tensor by which programs know a model that predicts velocities."""
    import torch

    return {"v_pred": torch.zeros(0)} if model.option("prediction", "") == "v_prediction" else {}


def _facts(model: Model) -> dict[str, str]:
    velocity = model.option("prediction", "") == "v_prediction"
    return {"modelspec.sai_model_spec": "1.0.0", "modelspec.prediction_type": "v" if velocity else "epsilon"}


def _notes(modules: Mapping[str, Any], encoders: Sequence[Any] = ()) -> dict[str, str]:
    """The configurations of modules, for what their shapes do not tell."""
    from nodes.diffusion.configs import METADATA

    notes = {METADATA[part]: json.dumps(dict(module.config), default=list) for part, module in modules.items()}
    texts = zip(("text_encoder", "text_encoder_2"), encoders, strict=False)
    return notes | {METADATA[part]: json.dumps(encoder.config.to_dict()) for part, encoder in texts}


def _words(clip: Clip, encoders: Sequence[Any], context: Context) -> dict[str, str]:
    """The tokenizer of a text encoder that knows other words than CLIP."""
    from nodes.diffusion.configs import METADATA
    from nodes.diffusion.text_encoders import CLIP_WORDS

    if encoders[0].config.vocab_size == CLIP_WORDS:
        return {}
    return {METADATA["tokenizer"]: tokenizer_of(clip, context).backend_tokenizer.to_str()}


def _named(make: Callable[[], T]) -> T:
    from nodes.diffusion.single_file_saving import NoSuchName

    try:
        return make()
    except NoSuchName as error:
        hint = "save a Stable Diffusion model without networks added to it"
        raise ProblemError(Problem(code="bad_value", message=str(error), hint=hint)) from error


def _saved(
    parts: list[tuple[str, dict[str, Tensor]]], prefix: str, context: Context, facts: Mapping[str, str]
) -> Saved:
    """Write (end of the prefix, tensors) as files below the output folder."""
    from nodes.diffusion.numbered import write_numbered
    from nodes.diffusion.weight_files import write_weights

    root, texts = context.roots.output, {"format": "pt", **facts, **picture_texts(context)}
    files: list[SavedFile] = []
    with saving("the model", prefix, root):
        name = file_name(prefix)
        for end, tensors in parts:

            def write(file: Any, tensors: dict[str, Tensor] = tensors) -> None:
                write_weights(file, tensors, texts, context.progress)

            files.append(saved_file(write_numbered(root, name + end, SUFFIX, write), root))
    return Saved(tuple(files))
