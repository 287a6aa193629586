"""Loading models. A loader reads no weights: it gives recipes, and the nodes that use them load what they need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.node import Choices, Help, node
from nodegraph.sockets import Clip, Model, Vae
from nodes.models import reading_model, unreadable

EMBEDDED = "tiny"


def list_checkpoints(roots: Roots) -> list[str]:
    """Model folders in diffusers' layout below `checkpoints/` of the model folders, and the embedded model."""
    names: set[str] = set()
    for root in roots.models:
        if (root / EMBEDDED / "model_index.json").is_file():
            names.add(EMBEDDED)
        checkpoints = root / "checkpoints"
        if checkpoints.is_dir():
            names.update(
                index.parent.relative_to(checkpoints).as_posix() for index in checkpoints.rglob("model_index.json")
            )
    return sorted(names)


def find_checkpoint(name: str, roots: Roots) -> Path | None:
    """The folder of a checkpoint, or None."""
    found = roots.find_model("checkpoints", name)
    if found is not None and (found / "model_index.json").is_file():
        return found
    if name == EMBEDDED:
        embedded = [root / name for root in roots.models if (root / name / "model_index.json").is_file()]
        return embedded[-1].resolve() if embedded else None
    return None


class Checkpoint(NamedTuple):
    """The three parts of a Stable Diffusion checkpoint."""

    MODEL: Annotated[Model, Help("predicts the noise in a latent")]
    CLIP: Annotated[Clip, Help("encodes prompts")]
    VAE: Annotated[Vae, Help("turns pictures into latents and back")]


@node(category="loaders", display_name="Load Checkpoint", light=False)
def CheckpointLoaderSimple(
    ckpt_name: Annotated[str, Choices(list_checkpoints, find_checkpoint, kind="checkpoint")],
    context: Context = NO_CONTEXT,
) -> Checkpoint:
    """Load a Stable Diffusion checkpoint: a folder in diffusers' layout, or the embedded model `tiny`.

    Weights are read when a node first needs them, and only from safetensors files.
    """
    from nodes.diffusion.loading import check_folder, read_preview, read_scaling_factor, read_schedule

    folder = find_checkpoint(ckpt_name, context.roots)
    if folder is None:
        raise unreadable(f"there is no checkpoint '{ckpt_name}'")
    reading_model(lambda: check_folder(folder))
    schedule = reading_model(lambda: read_schedule(folder))
    scale = reading_model(lambda: read_scaling_factor(folder))
    reading_model(lambda: read_preview(folder))
    path = str(folder)
    model = Model("diffusers", path, context.digest(folder / "unet"), "unet").with_options(
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule=schedule.kind,
        steps=schedule.steps,
        prediction=schedule.prediction,
        latent_scale=scale,
        previews=_preview_digest(folder, context),
    )
    clip_content = f"{context.digest(folder / 'text_encoder')} {context.digest(folder / 'tokenizer')}"
    return Checkpoint(
        model,
        Clip("diffusers", path, clip_content, "text_encoder"),
        Vae("diffusers", path, context.digest(folder / "vae"), "vae"),
    )


def _preview_digest(folder: Path, context: Context) -> str:
    """Digest of the model's own preview map, empty if it has none (then Stable Diffusion's is used)."""
    file = folder / "preview.json"
    return context.digest(file) if file.is_file() else ""
