"""Configurations of models by the names and shapes of their weights, for files that bring none.

Each function takes names → shapes in one layout, without any prefix, and gives what diffusers or transformers want.
What shapes cannot tell (the number of attention heads) follows from the family, or from what the writer of the file
noted in its metadata (`METADATA`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from nodes.diffusion.headers import Header, UnreadableModel
from nodes.diffusion.ldm_keys import unet_layers

Shapes = Mapping[str, tuple[int, ...]]

#: Where nodegraph notes the configuration of a part when it writes a file: metadata key of each part.
METADATA = {
    "unet": "nodegraph.unet_config",
    "vae": "nodegraph.vae_config",
    "text_encoder": "nodegraph.text_encoder_config",
    "text_encoder_2": "nodegraph.text_encoder_2_config",
    "tokenizer": "nodegraph.tokenizer",
}
HEAD_WIDTH = 64  # of attention heads in SD 2, SDXL and CLIP
SD1_HEADS = 8
GROUPS = 32


def noted_config(header: Header, part: str) -> dict[str, Any] | None:
    """The configuration of a part that a file's writer noted in its metadata. Raises UnreadableModel."""
    text = header.metadata.get(METADATA[part])
    if text is None:
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableModel(f"the configuration {METADATA[part]} in the file's metadata is no JSON") from error
    if not isinstance(config, dict):
        raise UnreadableModel(f"the configuration {METADATA[part]} in the file's metadata is no table")
    return config


def unet_config(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a UNet2DConditionModel by its LDM names. Raises UnreadableModel for another structure."""
    try:
        return _unet_config(shapes)
    except (KeyError, IndexError) as error:
        raise UnreadableModel(f"its UNet has no {error.args[0] if error.args else 'known structure'}") from error


def _unet_config(shapes: Shapes) -> dict[str, Any]:
    layers = unet_layers(shapes)
    channels, depths = list[int](), list[int]()
    block = 1
    for level, count in enumerate(layers):
        found = {_depth(shapes, f"input_blocks.{block + i}.1.") for i in range(count)}
        if len(found) != 1:
            raise UnreadableModel("its UNet has transformers of different depths in one level, which is not supported")
        depths.append(found.pop())
        channels.append(shapes[f"input_blocks.{block + count - 1}.0.out_layers.3.weight"][0])
        block += count + (level < len(layers) - 1)
    middle = _depth(shapes, "middle_block.1.")
    width = next((shape[1] for name, shape in shapes.items() if name.endswith(".attn2.to_k.weight")), 0)
    linear = any(name.endswith(".proj_in.weight") and len(shape) == 2 for name, shape in shapes.items())
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    # diffusers gives the middle block as many transformers as the last level, whether that has any or not.
    last = [*[max(1, depth) for depth in depths[:-1]], middle or max(1, depths[-1])]
    return {
        "in_channels": shapes["input_blocks.0.0.weight"][1],
        "out_channels": shapes["out.2.weight"][0],
        "block_out_channels": channels,
        "layers_per_block": layers[0] if len(set(layers)) == 1 else list(layers),
        "down_block_types": down,
        "mid_block_type": "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D",
        "up_block_types": [kind.replace("Down", "Up") for kind in reversed(down)],
        "transformer_layers_per_block": last,
        "cross_attention_dim": width or 1280,
        # diffusers' `attention_head_dim` is the number of heads, for reasons of its history.
        "attention_head_dim": [count // HEAD_WIDTH for count in channels] if linear else SD1_HEADS,
        "use_linear_projection": linear,
        "norm_num_groups": GROUPS,
        **_class_embedding(shapes, channels[0]),
    }


def _depth(shapes: Shapes, prefix: str) -> int:
    """How many transformer blocks there are below a name."""
    begin = f"{prefix}transformer_blocks."
    return 1 + max((int(name[len(begin) :].split(".")[0]) for name in shapes if name.startswith(begin)), default=-1)


def _class_embedding(shapes: Shapes, first: int) -> dict[str, Any]:
    """What else than prompts and timesteps a UNet is told: SDXL's sizes, unCLIP's pictures, an upscaler's noise."""
    width = shapes.get("label_emb.0.0.weight", ())
    if width:
        if _is_xl(shapes):
            return {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": width[1],
            }
        return {"class_embed_type": "projection", "projection_class_embeddings_input_dim": width[1]}
    classes = shapes.get("label_emb.weight", ())
    return {"num_class_embeds": classes[0]} if classes else {}


def _is_xl(shapes: Shapes) -> bool:
    """SDXL and its refiner tell the UNet of sizes, unCLIP variants of SD 2 of pictures; they differ in depth."""
    return any(re.search(r"transformer_blocks\.[1-9]\.", name) for name in shapes)


def vae_config(shapes: Shapes) -> dict[str, Any]:
    """The configuration of an AutoencoderKL by its LDM names. Raises UnreadableModel for another structure."""
    blocks: dict[int, int] = {}
    for name in shapes:
        match = re.match(r"encoder\.down\.(\d{1,3})\.block\.(\d{1,3})\.", name)
        if match:
            level = int(match[1])
            blocks[level] = max(blocks.get(level, 0), int(match[2]) + 1)
    if not blocks or sorted(blocks) != list(range(len(blocks))) or len(set(blocks.values())) != 1:
        raise UnreadableModel("its VAE has a structure that is not known")
    try:
        channels = [shapes[f"encoder.down.{level}.block.0.conv2.weight"][0] for level in range(len(blocks))]
        latent = shapes["decoder.conv_in.weight"][1]
        return {
            "in_channels": shapes["encoder.conv_in.weight"][1],
            "out_channels": shapes["decoder.conv_out.weight"][0],
            "latent_channels": latent,
            "block_out_channels": channels,
            "layers_per_block": blocks[0],
            "down_block_types": ["DownEncoderBlock2D"] * len(channels),
            "up_block_types": ["UpDecoderBlock2D"] * len(channels),
            "norm_num_groups": GROUPS,
            "mid_block_add_attention": "encoder.mid.attn_1.q.weight" in shapes,
            "use_quant_conv": "quant_conv.weight" in shapes,
            "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        }
    except (KeyError, IndexError) as error:
        raise UnreadableModel(f"its VAE has no {error.args[0]}") from error


def text_config(shapes: Shapes) -> dict[str, Any]:
    """The configuration of a CLIPTextModel by transformers' names without `text_model.`. Raises UnreadableModel."""
    try:
        vocabulary, width = shapes["embeddings.token_embedding.weight"]
        inner = shapes["encoder.layers.0.mlp.fc1.weight"][0]
        places = shapes["embeddings.position_embedding.weight"][0]
    except (KeyError, IndexError, ValueError) as error:
        raise UnreadableModel(f"its text encoder has no {error.args[0]}") from error
    layers = 1 + max(int(m[1]) for name in shapes if (m := re.match(r"encoder\.layers\.(\d{1,3})\.", name)))
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // HEAD_WIDTH),
        "max_position_embeddings": places,
        # OpenAI trained its CLIP models with an approximation of GELU, LAION its own with GELU itself.
        "hidden_act": "quick_gelu" if width == 768 else "gelu",
        "projection_dim": shapes.get("text_projection.weight", (width,))[0],
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407 if width == 768 else 0,
    }
