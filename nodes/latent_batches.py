"""Batches of latents: taking out, repeating, joining. Noise masks and the noise that each latent gets go with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from nodegraph.node import Range, node
from nodegraph.sockets import Latent
from nodes.latents import check_channels


@node(category="latent/batch", display_name="Latent From Batch", numeric=False)
def LatentFromBatch(
    samples: Latent,
    batch_index: Annotated[int, Range(0, 63)] = 0,
    length: Annotated[int, Range(1, 64)] = 1,
) -> Latent:
    """Take latents out of a batch, which get the same noise as in the whole batch.

    Counts from 0; a number behind the last one means the last one.
    """
    from nodes.diffusion.latents import repeat_to_batch

    tensor = samples["samples"]
    start = min(batch_index, len(tensor) - 1)
    taken = slice(start, min(len(tensor), start + length))
    result: Latent = {**samples, "samples": tensor[taken], "batch_index": indices(samples)[taken]}
    if "noise_mask" in samples:
        mask = samples["noise_mask"]
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
        result["noise_mask"] = mask if len(mask) == 1 else repeat_to_batch(mask, len(tensor))[taken]
    return result


@node(category="latent/batch", display_name="Repeat Latent Batch", numeric=False)
def RepeatLatentBatch(samples: Latent, amount: Annotated[int, Range(1, 64)] = 1) -> Latent:
    """Repeat a batch of latents; each repetition gets noise of its own."""
    from nodes.diffusion.latents import repeat_to_batch

    tensor = samples["samples"]
    count = len(tensor)
    result: Latent = {**samples, "samples": repeat_to_batch(tensor, count * amount)}
    if "noise_mask" in samples:
        mask = samples["noise_mask"]
        mask = mask.reshape(-1, 1, *mask.shape[-2:])
        if len(mask) > 1:
            result["noise_mask"] = repeat_to_batch(repeat_to_batch(mask, count), count * amount)
    if "batch_index" in samples and count:
        own = samples["batch_index"]
        reach = max(own) - min(own) + 1  # the first distance at which no number comes up again
        result["batch_index"] = [index + i * reach for i in range(amount) for index in own]
    return result


@node(category="latent/batch", display_name="Latent Batch")
def LatentBatch(samples1: Latent, samples2: Latent) -> Latent:
    """Join two batches; the second one's latents are made as large as the first one's.

    Each latent keeps the noise that it would get in its own batch. If one of them has a noise mask, the other one
    counts as drawn everywhere.
    """
    import torch

    from nodes.diffusion.latents import fit, join_masks
    from nodes.diffusion.sampling import latent_mask

    check_channels(samples1, samples2, "samples2")
    first, other = samples1["samples"], samples2["samples"]
    second = fit(other, first).to(first)
    result: Latent = {
        **samples1,
        "samples": torch.cat((first, second)),
        "batch_index": indices(samples1) + indices(samples2),
    }
    own = samples2.get("noise_mask")
    mask = join_masks(
        samples1.get("noise_mask"),
        None if own is None else fit(latent_mask(own, other), first),
        (first, second),
        axis=0,
    )
    return {**result, "noise_mask": mask} if mask is not None else result


@node(category="latent/advanced", display_name="Latent Batch Seed Behavior", numeric=False)
def LatentBatchSeedBehavior(samples: Latent, seed_behavior: Literal["random", "fixed"] = "fixed") -> Latent:
    """Let all latents of a batch get the same noise (fixed: that of the first one), or each its own (random)."""
    if seed_behavior == "fixed":
        return {**samples, "batch_index": indices(samples)[:1] * len(samples["samples"])}
    result: Latent = {**samples}
    result.pop("batch_index", None)
    return result


@node(category="latent/batch", display_name="Rebatch Latents", numeric=False)
def RebatchLatents(latents: list[Latent], batch_size: Annotated[int, Range(1, 4096)] = 1) -> list[Latent]:
    """Put all latents into batches of a size, each of which what follows then works on by itself.

    Latents stay in their order; those of another size than the ones before begin a new batch. They get the noise that
    they would get as one batch: those without a number are numbered on.
    """
    singles: list[Latent] = []
    for batch in latents:
        numbers = batch.get("batch_index")
        if numbers is None:
            numbers = range(len(singles), len(singles) + len(batch["samples"]))
        singles += _singles(batch, numbers)
    batches: list[list[Latent]] = []
    for single in singles:
        last = batches[-1] if batches else []
        if not last or len(last) == batch_size or last[0]["samples"].shape != single["samples"].shape:
            batches.append([])
        batches[-1].append(single)
    return [_batch(batch) for batch in batches]


def _singles(batch: Latent, numbers: Sequence[int]) -> list[Latent]:
    """Each latent of a batch by itself, with its part of the mask."""
    from nodes.diffusion.latents import repeat_to_batch

    tensor = batch["samples"]
    masks = None
    if "noise_mask" in batch:
        mask = batch["noise_mask"]
        masks = repeat_to_batch(mask.reshape(-1, 1, *mask.shape[-2:]), len(tensor))
    found: list[Latent] = []
    for i, number in enumerate(numbers):
        single: Latent = {**batch, "samples": tensor[i : i + 1], "batch_index": [number]}
        if masks is not None:
            single["noise_mask"] = masks[i : i + 1]
        found.append(single)
    return found


def _batch(singles: Sequence[Latent]) -> Latent:
    """Latents of one size as a batch. If only some have a mask, the others count as drawn everywhere."""
    import torch

    from nodes.diffusion.latents import same_masks

    tensors = [single["samples"] for single in singles]
    result: Latent = {
        **singles[0],
        "samples": torch.cat(tensors),
        "batch_index": [number for single in singles for number in indices(single)],
    }
    mask = same_masks([single.get("noise_mask") for single in singles], tensors)
    return {**result, "noise_mask": mask} if mask is not None else result


def indices(samples: Latent) -> list[int]:
    """Which noise of its seed each latent of a batch gets."""
    given = samples.get("batch_index")
    return list(range(len(samples["samples"]))) if given is None else list(given)
