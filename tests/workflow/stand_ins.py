"""Model files that say what they are, and hold no weights: headers of the real ones' shapes, and holes behind them."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

from PIL import Image

from nodegraph.context import Roots

Shapes = dict[str, tuple[int, ...]]

UNET = "model.diffusion_model."


def checkpoint(width: int, channels: int = 4) -> Shapes:
    """A checkpoint of Stable Diffusion, told by the width of its prompts: 768, 1024, 2048, 1280."""
    texts = {"cond_stage_model.transformer.text_model.final_layer_norm.weight": (8,)}
    if width in (1280, 2048):
        texts = {"conditioner.embedders.0.model.ln_final.weight": (8,), f"{UNET}label_emb.0.0.weight": (8, 8)}
    return {
        f"{UNET}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, width),
        "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
        **texts,
    }


VAE: Shapes = {"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.down.0.block.0.conv1.weight": (8, 8, 3, 3)}
CONTROL: Shapes = {
    "control_model.input_hint_block.0.weight": (16, 3, 3, 3),
    "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
}
ADAPTER: Shapes = {"body.0.block1.weight": (320, 320, 3, 3), "conv_in.weight": (320, 192, 3, 3)}
GLIGEN: Shapes = {"position_net.linears.0.weight": (512, 832)}
LORA: Shapes = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 768),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (320, 8),
}
VISION: Shapes = {"vision_model.embeddings.patch_embedding.weight": (8, 3, 14, 14)}
UPSCALER: Shapes = {"conv_first.weight": (64, 3, 3, 3), "body.0.rdb1.conv1.weight": (32, 64, 3, 3)}
EMBEDDING: Shapes = {"emb_params": (2, 1024)}

#: The folder of each kind, and what a file in it holds; of checkpoints by a word in their name.
FOLDERS: dict[str, Shapes] = {
    "vae": VAE, "controlnet": CONTROL, "gligen": GLIGEN, "loras": LORA, "clip_vision": VISION,
    "upscale_models": UPSCALER, "embeddings": EMBEDDING,
}  # fmt: skip
WIDTHS = (("inpainting", 1024, 9), ("v2-1", 1024, 4), ("refiner", 1280, 4), ("sd_xl", 2048, 4), ("", 768, 4))


def shapes_of(folder: str, name: str) -> Shapes:
    """What a model file of a kind holds, as far as its name tells."""
    if folder == "checkpoints":
        width, channels = next((width, channels) for word, width, channels in WIDTHS if word in name)
        return checkpoint(width, channels)
    return ADAPTER if "adapter" in name.lower() else FOLDERS[folder]


def write_model(path: Path, shapes: Shapes) -> None:
    """A safetensors file with these tensors, which are holes in the file."""
    header: dict[str, object] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def stand_in(folder: Path, kind: str, name: str) -> None:
    """A file for what a workflow needs, below `folder`/models or `folder`/input."""
    if kind == "input":
        path = folder / "input" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    else:
        write_model(folder / "models" / kind / name, shapes_of(kind, name))


def roots_in(folder: Path) -> Roots:
    """Roots whose files all lie below a folder."""
    return Roots((folder / "input",), folder / "output", folder / "temp", (folder / "models",))
