"""A checkpoint of Stable Diffusion 1.5's shape with random weights, as a file that nodegraph itself saves.

Its weights are views of one block of random numbers, so that a file of 4.3 GB needs neither that much memory nor a
minute of drawing. What they are worth does not matter to a clock, as long as no picture overflows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.lora import keep
from benchmarks.sampling import SMALL, STABLE_DIFFUSION_15
from nodegraph.cache.pool import LivePool
from nodegraph.context import Context, Roots
from nodegraph.execution.settings import xdg_home
from nodegraph.sockets import Clip, Model, Vae
from nodes.diffusion.weights import build_hollow
from nodes.model_saving import CheckpointSave

if TYPE_CHECKING:
    from torch import Tensor, nn

DEVIATION = 0.02
NAME = "random-sd15.safetensors"


def configurations(small: bool) -> dict[str, dict[str, Any]]:
    """What the UNet, the autoencoder and the text encoder are made by."""
    widths = (32, 64) if small else (128, 256, 512, 512)
    layers, width = (2, SMALL["cross_attention_dim"]) if small else (12, 768)
    return {
        "unet": {"sample_size": 64, "in_channels": 4, "out_channels": 4, **(SMALL if small else STABLE_DIFFUSION_15)},
        "vae": {
            "block_out_channels": widths,
            "down_block_types": ("DownEncoderBlock2D",) * len(widths),
            "up_block_types": ("UpDecoderBlock2D",) * len(widths),
            "layers_per_block": 1 if small else 2,
            "latent_channels": 4,
            "sample_size": 512,
        },
        "text_encoder": {
            "vocab_size": 49408,
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": 4 if small else 12,
            "eos_token_id": 2,
        },
    }


def make_modules(small: bool) -> dict[str, nn.Module]:
    """The three networks, the same on every run."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    made = configurations(small)
    modules: dict[str, nn.Module] = {
        "unet": build_hollow(lambda: UNet2DConditionModel(**made["unet"])),
        "vae": build_hollow(lambda: AutoencoderKL(**made["vae"])),
        "text_encoder": build_hollow(lambda: CLIPTextModel(CLIPTextConfig(**made["text_encoder"]))),
    }
    for module in modules.values():
        _fill(module)
    return modules


def _fill(module: nn.Module) -> None:
    """Random weights for what multiplies, and what leaves numbers as they are for norms and what is added."""
    import torch

    wanted = module.state_dict()
    block = torch.randn(
        max(tensor.numel() for tensor in wanted.values()) + 1_000_000, generator=torch.Generator().manual_seed(0)
    ).mul_(DEVIATION)
    one, nothing, place = torch.ones(()), torch.zeros(()), 0
    weights: dict[str, Tensor] = {}
    for name, tensor in wanted.items():
        if tensor.ndim > 1:
            place = (place + 7919) % 1_000_000  # so that no two layers are alike
            weights[name] = block[place : place + tensor.numel()].view(tensor.shape)
        else:
            weights[name] = (one if name.endswith("weight") else nothing).expand(tensor.shape)
    module.load_state_dict(weights, assign=True)
    module.eval().requires_grad_(False)


def write_checkpoint(folder: Path, small: bool) -> Path:
    """A new checkpoint below a folder, by the node that saves them."""
    modules = make_modules(small)
    context = Context(roots=Roots(output=folder), dtype="fp32", pool=LivePool(8 << 30))
    handles = {
        "unet": Model("benchmark", "", "random", "unet"),
        "vae": Vae("benchmark", "", "random", "vae"),
        "text_encoder": Clip("benchmark", "", "random", "text_encoder"),
    }
    for part, handle in handles.items():
        keep(handle, modules[part], context)
    saved: Any = CheckpointSave
    (file,) = saved(handles["unet"], handles["text_encoder"], handles["vae"], "random", context).files
    return Path(file.path)


def kept_checkpoint() -> Path:
    """The full-size checkpoint in the user's cache folder, written if it is not there."""
    folder = xdg_home("XDG_CACHE_HOME", ".cache") / "nodegraph-benchmarks"
    path = folder / NAME
    if not path.is_file():
        print(f"writing {path} (4.3 GB; remove it when you need the room)")
        write_checkpoint(folder, small=False).replace(path)
    return path
