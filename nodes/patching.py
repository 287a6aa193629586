"""From recipes with patches to modules: what each kind of patch does to the weights of the module it is laid over.

A patched module shares what it does not change with the module it was made from, and is kept by the context's pool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nodegraph.context import Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.sockets import Handle
from nodegraph.sockets.handles import Patch
from nodes.models import gone, module_of, pool_key, reading_model, reading_unchanged

if TYPE_CHECKING:
    from torch import nn

    from nodes.diffusion.changes import Change
    from nodes.diffusion.lora.files import LoraFile
    from nodes.diffusion.lora.keys import Addressee
    from nodes.diffusion.merging import Shares

#: (patch, the recipe it is part of, the module of that recipe without patches, context) → what it changes.
Realise = Callable[[Patch, Handle, "nn.Module", Context], "Change"]

SHOWN = 3


def patched_module(handle: Handle, context: Context) -> nn.Module:
    """The module of a recipe with patches, made from the one without them: weights that no patch changes are shared.

    A recipe whose patches change nothing has the very module without them. Raises ProblemError.
    """
    from nodes.diffusion.changes import apply_changes, changed_bytes
    from nodes.diffusion.loading import module_pieces

    below, own = _split(handle)

    @cache
    def prepared() -> tuple[nn.Module, list[Change]]:
        base = module_of(below, context)
        return base, [_realiser(patch)(patch, handle, base, context) for patch in own]

    return context.pool.get(
        f"{handle.weights}/{handle.option('lora_keys', 'te')}/{_sources(handle, context)}",
        lambda: apply_changes(*prepared(), context.check_cancelled),
        module_pieces,
        lambda: changed_bytes(*prepared()),
    )


def _split(handle: Handle) -> tuple[Handle, tuple[Patch, ...]]:
    """A recipe to start from, and the patches that come after it.

    LoRAs over a merge start from the merge, which is kept by itself: making it takes longer than changing a strength.
    """
    merges = [i for i, patch in enumerate(handle.patches) if patch.kind != "lora"]
    start = merges[-1] + 1 if merges and merges[-1] + 1 < len(handle.patches) else 0
    return replace(handle, patches=handle.patches[:start]), handle.patches[start:]


def _sources(handle: Handle, context: Context) -> str:
    """What the module and all that its patches bring are called in the pool, and when their files were written to."""
    found: dict[str, str] = {}
    waiting: list[Handle] = [handle]
    while waiting:
        recipe = waiting.pop()
        if recipe.weights in found:
            continue
        files = [_stamp(patch) for patch in recipe.patches if patch.path]
        found[recipe.weights] = "+".join([pool_key(recipe, context), *files])
        waiting += [patch.payload for patch in recipe.patches if isinstance(patch.payload, Handle)]
    return "/".join(found[weights] for weights in sorted(found))


def _stamp(patch: Patch) -> str:
    try:
        status = Path(patch.path).stat()
    except OSError as error:
        raise gone(error, Path(patch.path)) from error
    return f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}"


def _realiser(patch: Patch) -> Realise:
    if patch.kind not in REALISERS:
        raise ProblemError(Problem(code="model_unreadable", message=f"there is no patch of kind {patch.kind!r}"))
    return REALISERS[patch.kind]


# --- LoRAs -----------------------------------------------------------------------------------------------------------


def lora_change(patch: Patch, handle: Handle, module: nn.Module, context: Context) -> Change:
    """What a LoRA of some strength changes; warns of keys in its file that the model has no layer for."""
    from nodes.diffusion.lora.apply import lay

    strength = float(patch.setting("strength", 1.0))
    if strength == 0:
        return _nothing()
    lora = lora_file(patch, context)
    laid = reading_model(lambda: lay(lora, module, addressee_of(handle), strength))
    if laid.unmatched:
        first = ", ".join(laid.unmatched[:SHOWN])
        context.warn(f"{lora.name}: {len(laid.unmatched)} keys match no layer of the model: {first}")
    return laid.change


def addressee_of(handle: Handle) -> Addressee:
    """Which keys of a LoRA file are for a model: the UNet's, or those of a text encoder by its option `lora_keys`."""
    return cast("Addressee", "unet" if handle.part == "unet" else str(handle.option("lora_keys", "te")))


def lora_file(patch: Patch, context: Context) -> LoraFile:
    """The file of a LoRA patch, mapped and kept by the pool, provided that it is still the file of the recipe."""
    from nodes.diffusion.changes import storage_pieces
    from nodes.diffusion.lora.files import read_lora

    path = Path(patch.path)

    def read() -> LoraFile:
        return read_lora(path, allow_pickle=context.allow_pickle)

    return context.pool.get(
        f"lora/{patch.digest}/{_stamp(patch)}",
        lambda: reading_unchanged(path, patch.digest, lambda: context.digest(path), read),
        lambda lora: storage_pieces(lora.tensors),
        lambda: path.stat().st_size,
    )


def _nothing() -> Change:
    from nodes.diffusion.changes import Change

    return Change(frozenset(), lambda name, weight: weight)


# --- merges ----------------------------------------------------------------------------------------------------------


def merge_change(patch: Patch, handle: Handle, module: nn.Module, context: Context) -> Change:
    """What merging with another model changes; warns of weights that only one of the two has."""
    from nodes.diffusion.merging import Unlike, merge

    other = module_of(cast(Handle, patch.payload), context)
    try:
        merged = merge(module, other, shares_of(patch))
    except Unlike as error:
        raise ProblemError(
            Problem(
                code="bad_value",
                message=f"these models cannot be merged: {error}",
                hint="merge models of one family, such as two of Stable Diffusion 1",
            )
        ) from error
    if merged.misfits:
        first = ", ".join(merged.misfits[:SHOWN])
        context.warn(f"{len(merged.misfits)} weights are not merged, for the other model has none like them: {first}")
    return merged.change


def shares_of(patch: Patch) -> Shares:
    """What each model counts, by the kind of the merge and its settings."""
    from nodes.diffusion.merging import by_block

    def number(name: str) -> float:
        return float(patch.setting(name, 1.0))

    if patch.kind == "merge_blocks":
        return by_block(number("input"), number("middle"), number("out"))
    fixed: dict[str, Any] = {
        "merge_simple": lambda: (number("ratio"), 1 - number("ratio")),
        "merge_add": lambda: (1.0, 1.0),
        "merge_subtract": lambda: (number("multiplier"), -number("multiplier")),
    }
    shares = fixed[patch.kind]()
    return lambda name: shares


#: kind of a patch → how it is made real.
REALISERS: Mapping[str, Realise] = {
    "lora": lora_change,
    "merge_simple": merge_change,
    "merge_blocks": merge_change,
    "merge_add": merge_change,
    "merge_subtract": merge_change,
}
