"""Loading checkpoints. A loader reads no weights: it gives recipes, and the nodes that use them load what they need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.node import Choices, Help, node
from nodegraph.sockets import Clip, ClipVision, Model, Vae
from nodes.foresight import checkpoint
from nodes.models import content_of, reading_model, unreadable
from nodes.single_files import checkpoint_parts, header_and_kind

EMBEDDED = "tiny"
INDEX = "model_index.json"

Prediction = Literal["auto", "epsilon", "v_prediction"]


def list_folders(roots: Roots, kind: str) -> set[str]:
    """Model folders in diffusers' layout below the folders of a kind."""
    return {
        index.parent.relative_to(folder).as_posix()
        for folder in roots.model_folders(kind)
        if folder.is_dir()
        for index in folder.rglob(INDEX)
    }


def list_checkpoints(roots: Roots) -> list[str]:
    """Checkpoint files, model folders in diffusers' layout, and the embedded model."""
    names = list_folders(roots, "checkpoints")
    names.update(name for name in roots.list_models("checkpoints") if not _belongs_to_folder(name, names))
    if any((root / EMBEDDED / INDEX).is_file() for root in roots.models):
        names.add(EMBEDDED)
    return sorted(names)


def _belongs_to_folder(name: str, folders: set[str]) -> bool:
    return any(name.startswith(folder + "/") for folder in folders)


def find_checkpoint(name: str, roots: Roots) -> Path | None:
    """The file or folder of a checkpoint, or None."""
    found = roots.find_model("checkpoints", name)
    if found is not None and (found.is_file() or (found / INDEX).is_file()):
        return found
    if name == EMBEDDED:
        embedded = [root / name for root in roots.models if (root / name / INDEX).is_file()]
        return embedded[-1].resolve() if embedded else None
    return None


def list_configs(roots: Roots) -> list[str]:
    """Configurations of the original training code."""
    return roots.list_models("configs", (".yaml", ".yml"))


def find_config(name: str, roots: Roots) -> Path | None:
    """The file of a configuration, or None."""
    return roots.find_model("configs", name)


def list_diffusers(roots: Roots) -> list[str]:
    """Model folders in diffusers' layout."""
    return sorted(list_folders(roots, "diffusers"))


def find_diffusers(name: str, roots: Roots) -> Path | None:
    """A model folder in diffusers' layout, or None."""
    found = roots.find_model("diffusers", name)
    return found if found is not None and (found / INDEX).is_file() else None


class Checkpoint(NamedTuple):
    """The three parts of a Stable Diffusion checkpoint."""

    MODEL: Annotated[Model, Help("predicts the noise in a latent")]
    CLIP: Annotated[Clip, Help("encodes prompts")]
    VAE: Annotated[Vae, Help("turns pictures into latents and back")]


CheckpointName = Annotated[str, Choices(list_checkpoints, find_checkpoint, kind="checkpoint", folder="checkpoints")]


@node(category="loaders", display_name="Load Checkpoint", foresee=checkpoint(find_checkpoint))
def CheckpointLoaderSimple(
    ckpt_name: CheckpointName,
    context: Context = NO_CONTEXT,
    *,
    prediction: Annotated[
        Prediction, Help("what the model predicts; auto: as a configuration beside the file says, else noise")
    ] = "auto",
) -> Checkpoint:
    """Load a Stable Diffusion checkpoint: a file, a folder in diffusers' layout, or the embedded model `tiny`.

    Stable Diffusion 1.x, 2.x, XL and the XL refiner, also their inpainting variants. Weights are read when a node first
    needs them, and only from safetensors files.
    """
    path = find_checkpoint(ckpt_name, context.roots)
    if path is None:
        raise unreadable(f"there is no checkpoint '{ckpt_name}'")
    found = folder_parts(path, context) if path.is_dir() else Checkpoint(*checkpoint_parts(path, context))
    if prediction != "auto":
        found = found._replace(MODEL=found.MODEL.with_options(prediction=prediction))
    return found


@node(category="advanced/loaders", display_name="Load Checkpoint With Config (DEPRECATED)", deprecated=True)
def CheckpointLoader(
    config_name: Annotated[str, Choices(list_configs, find_config, kind="configuration", folder="configs")],
    ckpt_name: CheckpointName,
    context: Context = NO_CONTEXT,
) -> Checkpoint:
    """Load a checkpoint with a configuration of the original training code, which says what the model predicts."""
    config, path = find_config(config_name, context.roots), find_checkpoint(ckpt_name, context.roots)
    if config is None:
        raise unreadable(f"there is no configuration '{config_name}'")
    if path is None or path.is_dir():
        raise unreadable(f"there is no checkpoint file '{ckpt_name}'")
    return Checkpoint(*checkpoint_parts(path, context, config))


class PictureCheckpoint(NamedTuple):
    """A checkpoint that draws variations of pictures, with its encoder of pictures."""

    MODEL: Model
    CLIP: Clip
    VAE: Vae
    CLIP_VISION: ClipVision


@node(category="loaders", display_name="unCLIPCheckpointLoader", foresee=checkpoint(find_checkpoint))
def unCLIPCheckpointLoader(ckpt_name: CheckpointName, context: Context = NO_CONTEXT) -> PictureCheckpoint:
    """Load an unCLIP checkpoint: a Stable Diffusion 2.x that draws what an encoded picture shows."""
    from nodes.diffusion.families import VISION_PREFIX

    path = find_checkpoint(ckpt_name, context.roots)
    if path is None or path.is_dir():
        raise unreadable(f"there is no checkpoint file '{ckpt_name}'")
    model, clip, vae = checkpoint_parts(path, context)
    header, _ = header_and_kind(path, context)
    if not any(name.startswith(VISION_PREFIX) for name in header.tensors):
        raise unreadable(f"{path} is no unCLIP checkpoint: it has no encoder of pictures")
    vision = ClipVision("clip_vision", str(path), context.digest(path), "clip_vision")
    return PictureCheckpoint(model, clip, vae, vision)


@node(category="advanced/loaders/deprecated", display_name="Load Diffusers Model")
def DiffusersLoader(
    model_path: Annotated[str, Choices(list_diffusers, find_diffusers, kind="diffusers folder", folder="diffusers")],
    context: Context = NO_CONTEXT,
) -> Checkpoint:
    """Load a folder in diffusers' layout from the folder `diffusers`."""
    folder = find_diffusers(model_path, context.roots)
    if folder is None:
        raise unreadable(f"there is no diffusers folder '{model_path}'")
    return folder_parts(folder, context)


def folder_parts(folder: Path, context: Context) -> Checkpoint:
    """The three recipes of a folder in diffusers' layout. Raises ProblemError."""
    from nodes.diffusion import folders
    from nodes.diffusion.families import FAMILY_OF_WIDTH

    reading_model(lambda: folders.check_folder(folder))
    parts = reading_model(lambda: folders.parts_of(folder))
    schedule = reading_model(lambda: folders.read_schedule(folder))
    scale = reading_model(lambda: folders.read_scaling_factor(folder))
    reading_model(lambda: folders.read_preview(folder))
    width = reading_model(lambda: folders.read_json(folder / "unet" / "config.json")).get("cross_attention_dim")
    family = FAMILY_OF_WIDTH.get(width, "sd1") if isinstance(width, int) else "sd1"
    model = Model("diffusers", str(folder), _content(folder, "unet", context), "unet").with_options(
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule=schedule.kind,
        steps=schedule.steps,
        prediction=schedule.prediction,
        latent_scale=scale,
        family=family,
        previews=_preview_digest(folder, context),
    )
    texts = [_text_part(folder, part, family, context) for part in parts if part.startswith("text_encoder")]
    clip = Clip.of(*texts)
    return Checkpoint(model, clip, Vae("diffusers", str(folder), _content(folder, "vae", context), "vae"))


def _text_part(folder: Path, part: str, family: str, context: Context) -> Clip:
    from nodes.diffusion.folders import read_json
    from nodes.single_files import text_options

    width = reading_model(lambda: read_json(folder / part / "config.json")).get("hidden_size", 0)
    handle = Clip("diffusers", str(folder), _content(folder, part, context), part)
    return handle.with_options(**text_options(family, int(width)))


def _content(folder: Path, part: str, context: Context) -> str:
    return content_of(folder, "diffusers", part, context)


def _preview_digest(folder: Path, context: Context) -> str:
    """Digest of the model's own preview map, empty if it has none (then Stable Diffusion's is used)."""
    file = folder / "preview.json"
    return context.digest(file) if file.is_file() else ""
