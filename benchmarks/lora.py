"""What another strength of a LoRA costs: merging it anew from the base, and going back to one that was there before.

A LoRA of 264 layers (the 192 of the UNet's transformers and the 72 of the text encoder that trainers choose) over
networks of Stable Diffusion 1.5's size with random weights. Beside it, in the same run: a copy of both networks with
each product added to its weight, as one would write it down.
"""

from __future__ import annotations

import copy
import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.sampling import SMALL, STABLE_DIFFUSION_15, make_unet
from benchmarks.table import measure, print_table
from nodegraph.cache.pool import LivePool
from nodegraph.context import Context, Roots
from nodegraph.files import FileDigests
from nodegraph.sockets import Clip, Handle, Model
from nodes.loras import LoraLoader
from nodes.models import module_of, pool_key

if TYPE_CHECKING:
    from torch import Tensor, nn

RANK = 16
TRANSFORMERS = ("attentions", "encoder.layers")
STRENGTH = 0.75


def make_text_encoder(small: bool) -> nn.Module:
    """A text encoder of CLIP-L's size with random weights."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    layers, width = (2, 64) if small else (12, 768)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CLIPTextModel(
            CLIPTextConfig(
                vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
                num_attention_heads=8 if small else 12,
            )
        ).eval()  # fmt: skip


def lora_of(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Factors for the linear layers and convolutions by 1 × 1 in a network's transformers, in half precision."""
    import torch

    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, Tensor] = {}
    for name, weight in module.named_parameters():
        if name.endswith(".weight") and weight.ndim > 1 and any(part in name for part in TRANSFORMERS):
            key, ones = prefix + name.removesuffix(".weight").replace(".", "_"), weight.shape[2:]
            down = torch.randn(RANK, weight.shape[1], *ones, generator=generator) / weight.shape[1] ** 0.5
            up = torch.randn(weight.shape[0], RANK, *ones, generator=generator)
            tensors[f"{key}.lora_down.weight"], tensors[f"{key}.lora_up.weight"] = down.half(), up.half()
            tensors[f"{key}.alpha"] = torch.tensor(float(RANK))
    return tensors


def naive(module: nn.Module, tensors: dict[str, Tensor], prefix: str, strength: float) -> nn.Module:
    """A copy of the network with each product added to its weight."""
    import torch

    merged = copy.deepcopy(module)
    with torch.no_grad():
        for name, weight in merged.named_parameters():
            key = prefix + name.removesuffix(".weight").replace(".", "_")
            if f"{key}.lora_up.weight" in tensors:
                up, down = tensors[f"{key}.lora_up.weight"].float(), tensors[f"{key}.lora_down.weight"].float()
                scale = strength * float(tensors[f"{key}.alpha"]) / RANK
                weight += scale * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    return merged


def keep(handle: Handle, module: nn.Module, context: Context) -> None:
    """Have a context's pool hold a module as that of a recipe."""
    from nodes.diffusion.loading import module_pieces

    context.pool.get(pool_key(handle, context), lambda: module, module_pieces)


def main(small: bool = False) -> None:
    """Print the table."""
    import torch
    from safetensors.torch import save_file

    unet, encoder = make_unet(SMALL if small else STABLE_DIFFUSION_15), make_text_encoder(small)
    parts: list[tuple[Any, str]] = [(unet, "lora_unet_"), (encoder, "lora_te_text_model_")]
    tensors = lora_of(*parts[0]) | lora_of(*parts[1])
    model, clip = Model("benchmark", "", "random", "unet"), Clip("benchmark", "", "random", "text_encoder")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "loras" / "some.safetensors"
        path.parent.mkdir()
        save_file(tensors, path)
        context = Context(
            roots=Roots(models=(Path(folder),)), dtype="fp32", pool=LivePool(8 << 30), digest_file=FileDigests().digest
        )
        keep(model, unet, context)
        keep(clip, encoder, context)
        strengths = itertools.count(1)

        def switch(strength: float) -> list[nn.Module]:
            given = LoraLoader(model, clip, path.name, strength, strength, context)
            return [module_of(each, context) for each in given]

        def naive_merge() -> list[nn.Module]:
            return [naive(module, tensors, prefix, STRENGTH) for module, prefix in parts]

        first = measure(lambda: switch(STRENGTH), 1)
        error = max(
            float((a.detach() - b.detach()).abs().max())
            for ours, other in zip(switch(STRENGTH), naive_merge(), strict=True)
            for a, b in zip(ours.parameters(), other.parameters(), strict=True)
        )
        assert error < 1e-4, f"the two merges differ by {error:.1e}"
        peer = measure(naive_merge, 3)
        another = measure(lambda: switch(float(next(strengths))), 3)
        seen = itertools.cycle((2.0, 3.0))
        back = measure(lambda: switch(next(seen)))
    layers = sum(name.endswith("lora_up.weight") for name in tensors)
    print_table(
        f"Another strength of a LoRA: {layers} layers, rank {RANK}, in half precision; the networks in float32",
        ["", "wall s", "cpu s"],
        [
            ["first strength, the file read", first.wall, first.cpu],
            ["another strength", another.wall, another.cpu],
            ["one seen before", f"{back.wall:.4f}", f"{back.cpu:.4f}"],
            ["a copy, products added in place", peer.wall, peer.cpu],
        ],
        f"The least of 3 (5 for one seen before), {torch.get_num_threads()} threads. The two merges differ by "
        f"{error:.0e} at most (target: another strength within 3 s, one seen before within 0.1 s).",
    )
