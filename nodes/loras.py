"""LoRAs: small files that change what a model draws. Loading one makes new recipes and reads no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.node import Choices, Help, Range, node
from nodegraph.sockets import Clip, Handle, Model
from nodegraph.sockets.handles import Patch
from nodes.foresight import lora
from nodes.models import reading_model, unreadable

AnyHandle = TypeVar("AnyHandle", bound=Handle)


def list_loras(roots: Roots) -> list[str]:
    """LoRA files below `loras/` of the model folders, subfolders with `/`."""
    return roots.list_models("loras")


def find_lora(name: str, roots: Roots) -> Path | None:
    """The file of a LoRA, or None."""
    found = roots.find_model("loras", name)
    return found if found is not None and found.is_file() else None


LoraName = Annotated[
    str,
    Choices(list_loras, find_lora, kind="LoRA", folder="loras"),
    Help("a safetensors file in loras/ of the models folder"),
]
Strength = Annotated[float, Range(-100, 100, step=0.01), Help("0 leaves it out; negative turns it around")]


class LoadedLora(NamedTuple):
    """A model and a text encoder with a LoRA."""

    MODEL: Model
    CLIP: Clip


@node(category="loaders", display_name="Load LoRA", numeric=False, foresee=lora(find_lora, "model", "clip"))
def LoraLoader(
    model: Model,
    clip: Clip,
    lora_name: LoraName,
    strength_model: Strength = 1.0,
    strength_clip: Strength = 1.0,
    context: Context = NO_CONTEXT,
) -> LoadedLora:
    """Change what a model draws, and how it understands prompts, by a LoRA.

    LoRA, LoCon, LoHa, LoKr, DoRA, IA³ and full differences are read, under the names that trainers give them. Several
    add up: chain these nodes.
    """
    path = lora_path(lora_name, context)
    return LoadedLora(
        with_lora(model, path, strength_model, context),
        with_lora(clip, path, strength_clip, context),
    )


@node(category="loaders", display_name="Load LoRA (Model Only)", numeric=False, foresee=lora(find_lora, "model"))
def LoraLoaderModelOnly(
    model: Model,
    lora_name: LoraName,
    strength_model: Strength = 1.0,
    context: Context = NO_CONTEXT,
) -> Model:
    """Change what a model draws by a LoRA; prompts are understood as before."""
    return with_lora(model, lora_path(lora_name, context), strength_model, context)


def lora_path(name: str, context: Context) -> Path:
    """The file of a LoRA, its header looked at. Raises ProblemError."""
    from nodes.diffusion.lora.files import check_lora

    path = find_lora(name, context.roots)
    if path is None:
        raise unreadable(f"there is no LoRA '{name}'")
    reading_model(lambda: check_lora(path, allow_pickle=context.allow_pickle))
    return path


def with_lora(handle: AnyHandle, path: Path, strength: float, context: Context) -> AnyHandle:
    """A recipe with a LoRA of some strength; at 0 the recipe itself."""
    if strength == 0:
        return handle
    return handle.patched(Patch("lora", context.digest(path), str(path), (("strength", float(strength)),)))
