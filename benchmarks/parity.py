"""Numbers beside recorded ones: prompts and latents of a checkpoint, computed here and by ComfyUI 0.3.64.

`python -m benchmarks.parity CHECKPOINT FOLDER`: a checkpoint of Stable Diffusion 1.5's shape, and a folder with what
was recorded with it: `tokens-public.json` (prompts), `conditioning-public.npz`, `latents-public.npz`,
`img2img_input.npz` and `embeddings/`. The recorded latents are of 4 steps, seed 42, cfg 7, 128×128.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.table import print_table
from nodegraph.cache.pool import LivePool
from nodegraph.context import Context, Roots
from nodegraph.files import FileDigests
from nodegraph.sockets import Latent

POSITIVE, NEGATIVE = "a photo of a cat on a mat, highly detailed", "blurry, low quality"
SEED, STEPS, CFG = 42, 4, 7.0
IMG2IMG = "_img2img_d06"


def conditionings(clip: Any, folder: Path, context: Context) -> Iterator[list[Any]]:
    """The largest differences of each recorded prompt: of all tokens, and pooled."""
    import numpy as np

    from nodes.prompt import CLIPSetLastLayer, CLIPTextEncode

    recorded = np.load(folder / "conditioning-public.npz")
    prompts = json.loads((folder / "tokens-public.json").read_text())
    for name, entry in prompts.items():
        ((tokens, options),) = CLIPTextEncode(entry["prompt"], clip, context)
        pooled = options["pooled_output"].numpy()
        yield [name, _worst(tokens.numpy(), recorded[name]), _worst(pooled, recorded[f"{name}__pooled"])]
    skipped = CLIPTextEncode(prompts["pos"]["prompt"], CLIPSetLastLayer(clip, -2), context)
    yield ["pos, clip skip 2", _worst(skipped[0][0].numpy(), recorded["pos__clip_skip_minus2"]), ""]


def _worst(found: Any, wanted: Any) -> str:
    return f"{abs(found - wanted).max():.1e}"


def latents(model: Any, clip: Any, folder: Path, context: Context) -> Iterator[list[Any]]:
    """The relative L2 distance of each recorded latent."""
    import numpy as np
    import torch

    from nodes.prompt import CLIPTextEncode
    from nodes.sampling import KSampler

    recorded = np.load(folder / "latents-public.npz")
    begun = torch.from_numpy(np.load(folder / "img2img_input.npz")["latent"])
    positive, negative = (CLIPTextEncode(text, clip, context) for text in (POSITIVE, NEGATIVE))
    sampler: Any = KSampler
    for name in recorded.files:
        partly = name.endswith(IMG2IMG)
        method, _, schedule = name.removesuffix(IMG2IMG).rpartition("_")
        start: Latent = {"samples": begun if partly else torch.zeros(1, 4, 16, 16)}
        found = sampler(
            model, SEED, STEPS, CFG, method, schedule,
            positive=positive, negative=negative, latent_image=start, denoise=0.6 if partly else 1.0, context=context,
        )["samples"].numpy()  # fmt: skip
        wanted = recorded[name]
        yield [name, f"{np.linalg.norm(found - wanted) / np.linalg.norm(wanted):.1e}"]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("recorded", type=Path)
    options = parser.parse_args()
    folders = (("checkpoints", options.checkpoint.parent), ("embeddings", options.recorded / "embeddings"))
    roots = Roots(models=(), extra_models=folders)
    context = Context(roots=roots, pool=LivePool(), digest_file=FileDigests().digest, device="cpu")

    from nodes.checkpoints import CheckpointLoaderSimple

    model, clip, _ = CheckpointLoaderSimple(options.checkpoint.name, context)
    rows = list(conditionings(clip, options.recorded, context))
    print_table("Prompts", ["largest difference", "tokens", "pooled"], rows, "To reach: 1e-4.")
    print_table(
        "Latents",
        ["relative L2 distance", ""],
        list(latents(model, clip, options.recorded, context)),
        "To reach: 1e-3.",
    )


if __name__ == "__main__":
    main()
