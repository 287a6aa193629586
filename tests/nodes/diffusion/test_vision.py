"""CLIP's encoder of pictures and the style adapter: files, preparation of pictures, what they give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.style import StyleAdapter, load_style
from nodes.diffusion.vision import MEAN, STD, encode, load_vision, prepared, read_vision_file, vision_config
from tests.nodes.steering_models import Weights, open_clip_vision, pictures, randn, save, style_adapter, vision_model

CPU = torch.device("cpu")


def load(path: Path) -> Any:
    return load_vision(path, CPU, torch.float32)


LAYOUTS: dict[str, Callable[[Any], Weights]] = {
    "transformers": lambda model: model.state_dict(),
    "a whole CLIP": lambda model: {
        **model.state_dict(), "text_model.embeddings.token_embedding.weight": torch.zeros(3, 3),
        "logit_scale": torch.zeros(()), "vision_model.embeddings.position_ids": torch.arange(5)[None],
    },
    "open_clip": open_clip_vision,
    "in an unCLIP checkpoint": lambda model: open_clip_vision(model, "embedder.model.visual."),
    "open_clip, bare": lambda model: open_clip_vision(model, ""),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_vision_model_in_any_layout_is_what_transformers_made(layout: str, tmp_path: Path) -> None:
    model = vision_model()
    loaded = load(save(tmp_path / "vision.safetensors", LAYOUTS[layout](model)))
    pixels = randn(2, 3, 28, 28)
    with torch.no_grad():
        given, wanted = loaded(pixels, output_hidden_states=True), model(pixels, output_hidden_states=True)
    for name in ("image_embeds", "last_hidden_state"):
        torch.testing.assert_close(given[name], wanted[name], atol=1e-5, rtol=1e-5)
    for part in ("image_size", "patch_size", "hidden_act", "num_attention_heads", "projection_dim"):
        assert getattr(loaded.config, part) == getattr(model.config, part)


@pytest.mark.parametrize(
    ("width", "inner", "layers", "projection", "patch", "side", "heads", "activation"),
    [
        (1024, 4096, 24, 768, 14, 224, 16, "quick_gelu"),
        (1024, 4096, 24, 768, 14, 336, 16, "quick_gelu"),
        (1280, 5120, 32, 1024, 14, 224, 16, "gelu"),
        (1664, 8192, 48, 1280, 14, 224, 16, "gelu"),
    ],
)
def test_the_known_sizes_get_their_published_configurations(
    width: int, inner: int, layers: int, projection: int, patch: int, side: int, heads: int, activation: str
) -> None:
    shapes = {
        "visual.conv1.weight": (width, 3, patch, patch),
        "visual.positional_embedding": ((side // patch) ** 2 + 1, width),
        "visual.class_embedding": (width,),
        "visual.proj": (width, projection),
        **{f"visual.transformer.resblocks.{i}.mlp.c_fc.weight": (inner, width) for i in range(layers)},
    }
    assert vision_config(shapes, "open_clip", "visual.") == {
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": projection,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "image_size": side,
        "patch_size": patch,
        "hidden_act": activation,
    }


WRONG: dict[str, tuple[Callable[[], Weights], str]] = {
    "nothing": (dict, "holds no CLIP vision model"),
    "without a projection": (
        lambda: {k: v for k, v in vision_model().state_dict().items() if "projection" not in k},
        "make no sense",
    ),
    "places in no square": (
        lambda: vision_model().state_dict() | {"vision_model.embeddings.position_embedding.weight": torch.zeros(7, 64)},
        "make no sense",
    ),
    "without a layer's half": (
        lambda: {k: v for k, v in vision_model().state_dict().items() if "layers.1.mlp.fc2" not in k},
        "are missing",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_files_that_hold_no_vision_model_are_refused(what: str, tmp_path: Path) -> None:
    make, reason = WRONG[what]
    path = save(tmp_path / "wrong.safetensors", make())
    with pytest.raises(UnreadableModel, match=reason):
        load(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UnreadableModel):
        read_vision_file(path)


def by_pillow(picture: Tensor, size: int, *, crop: bool) -> Tensor:
    """CLIP's preparation through 8-bit images, as it was published."""
    image = Image.fromarray((picture * 255).round().to(torch.uint8).numpy())
    width, height = image.size
    if crop:
        short = min(width, height)
        width, height = int(size * width / short), int(size * height / short)
    else:
        width = height = size
    array = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    top, left = (height - size) // 2, (width - size) // 2
    array = array[top : top + size, left : left + size]
    return torch.from_numpy((array - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).movedim(-1, 0)


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (90, 61), (33, 200), (20, 20), (28, 28)])
def test_pictures_are_prepared_as_clip_prepares_them(height: int, width: int, crop: bool) -> None:
    # Pillow also cuts off what overshoots between the two directions; no such extremes here.
    picture = ((pictures(1, height, width)[0] * 0.5 + 0.25) * 255).round() / 255
    ours, theirs = prepared(picture[None], 28, crop=crop)[0], by_pillow(picture, 28, crop=crop)
    assert ours.shape == (3, 28, 28)
    assert (ours - theirs).abs().max() <= 2.1 / 255 / min(STD)  # both round to steps of 1/255 along the way


def test_encoding_gives_three_layers_and_writes_to_nothing() -> None:
    model, shown = vision_model(), pictures(2, 40, 60)
    picture = shown.clone()
    given = encode(model, shown, crop=True)
    with torch.no_grad():
        wanted = model(prepared(shown, 28, crop=True), output_hidden_states=True)
    assert torch.equal(given["image_embeds"], wanted.image_embeds)
    assert torch.equal(given["last_hidden_state"], wanted.hidden_states[-1])
    assert torch.equal(given["penultimate_hidden_states"], wanted.hidden_states[-2])
    assert given["image_embeds"].shape == (2, 24) and given["last_hidden_state"].shape == (2, 5, 64)
    assert torch.equal(shown, picture)
    assert not torch.equal(encode(model, shown, crop=False)["image_embeds"], given["image_embeds"])


def by_hand(weights: Weights, seen: Tensor, heads: int = 8) -> Tensor:
    """The style adapter from its weights, written out."""
    tokens = weights["style_embedding"].expand(len(seen), -1, -1)

    def norm(x: Tensor, name: str) -> Tensor:
        return torch.nn.functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = norm(torch.cat([seen, tokens], dim=1), "ln_pre")
    for i in range(2):
        block = f"transformer_layes.{i}"
        normed = norm(x, f"{block}.ln_1")
        qkv = normed @ weights[f"{block}.attn.in_proj_weight"].T + weights[f"{block}.attn.in_proj_bias"]
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        attended = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1) @ v
        x = x + linear(attended.transpose(1, 2).flatten(2), f"{block}.attn.out_proj")
        inner = linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc")
        x = x + linear(inner * torch.sigmoid(1.702 * inner), f"{block}.mlp.c_proj")
    return norm(x[:, -tokens.shape[1] :], "ln_post") @ weights["proj"]


def test_a_style_adapter_is_what_its_weights_say(tmp_path: Path) -> None:
    weights, seen = style_adapter(), randn(2, 5, 64)
    adapter = load_style(save(tmp_path / "style.safetensors", weights), CPU, torch.float32)
    assert isinstance(adapter, StyleAdapter)
    with torch.no_grad():
        words = adapter(seen)
        alone = adapter(seen[:1])
    assert words.shape == (2, 3, 128)
    torch.testing.assert_close(words, by_hand(weights, seen), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(alone, words[:1], atol=1e-4, rtol=1e-4)


def test_files_that_hold_no_style_adapter_are_refused(tmp_path: Path) -> None:
    for i, (weights, reason) in enumerate(
        [
            (vision_model().state_dict(), "no style adapter"),
            (style_adapter() | {"proj": torch.zeros(3, 128)}, "make no sense"),
            ({k: v for k, v in style_adapter().items() if "1.ln_1" not in k}, "are missing"),
        ]
    ):
        path = save(tmp_path / f"{i}.safetensors", weights)
        with pytest.raises(UnreadableModel, match=reason):
            load_style(path, CPU, torch.float32)
