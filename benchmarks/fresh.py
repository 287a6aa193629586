"""What a checkpoint costs a new process: seconds and memory of loading its recipe, its networks, and a first picture.

`python -m benchmarks.fresh FILE SIDE` prints JSON; `benchmarks.checkpoint` starts it, since a process tells only the
most memory that it ever had. SIDE is the latent's; what is known of the file's digest comes by the standard input.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.digests import Known

CFG = 7.5


def peak() -> int:
    """The most memory that this process ever had, in bytes.

    On Linux getrusage also counts what the process had that started this one, before it became this program.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Load, materialise, draw; print what each took."""
    began = time.perf_counter()
    path, side, digest = Path(sys.argv[1]), int(sys.argv[2]), sys.stdin.read()
    import torch

    from nodegraph.cache.pool import LivePool
    from nodegraph.context import Context, Roots
    from nodegraph.files import FileDigests
    from nodes.checkpoints import CheckpointLoaderSimple
    from nodes.models import module_of
    from nodes.prompt import CLIPTextEncode
    from nodes.sampling import KSampler
    from nodes.vae import VAEDecode

    _import_libraries()
    told: dict[str, float] = {"import s": time.perf_counter() - began, "import bytes": peak()}
    roots = Roots(models=(), extra_models=(("checkpoints", path.parent),))
    context = Context(roots=roots, dtype="fp32", pool=LivePool(), digest_file=FileDigests(Known(digest)).digest)

    began = time.perf_counter()
    model, clip, vae = CheckpointLoaderSimple(path.name, context)
    told["recipe s"] = time.perf_counter() - began
    modules: list[Any] = []
    for name, handle in (("unet", model), ("vae", vae), ("text encoder", clip)):
        began = time.perf_counter()
        modules.append(module_of(handle, context))
        told |= {f"{name} s": time.perf_counter() - began, f"{name} bytes": peak()}
    sampler: Any = KSampler
    began = time.perf_counter()
    with torch.inference_mode():
        positive, negative = (CLIPTextEncode(text, clip, context) for text in ("a cat", "blurry"))
        latent = sampler(
            model, 1, 1, CFG, "euler", "normal", positive=positive, negative=negative,
            latent_image={"samples": torch.zeros(1, 4, side, side)}, context=context,
        )  # fmt: skip
        told["sampled bytes"] = peak()
        VAEDecode(latent, vae, context)
    told |= {"picture s": time.perf_counter() - began, "picture bytes": peak()}
    told["weights bytes"] = sum(each.nbytes for module in modules for each in module.parameters())
    print(json.dumps(told))


def _import_libraries() -> None:
    """What nodes import when they first need it."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    assert all((AutoencoderKL, UNet2DConditionModel, CLIPTextModel, CLIPTokenizer))


if __name__ == "__main__":
    main()
