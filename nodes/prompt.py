"""Prompts: texts into conditioning, and which layer of the text encoder counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.node import Help, Mentions, Multiline, Range, node
from nodegraph.sockets import Clip, Conditioning
from nodes.embeddings import all_embeddings, embeddings_in, vectors_for
from nodes.foresight import encoded
from nodes.models import module_of, tokenizer_of, unreadable

if TYPE_CHECKING:
    from torch import Tensor

Prompt = Annotated[str, Multiline(), Mentions(embeddings_in, all_embeddings)]
Pixels = Annotated[int, Range(0, 16384)]


@node(category="conditioning", display_name="CLIP Text Encode (Prompt)", foresee=encoded)
def CLIPTextEncode(
    text: Annotated[Prompt, Help("what to draw; (words) in parentheses count more, (words:0.5) less")],
    clip: Clip,
    context: Context = NO_CONTEXT,
) -> Conditioning:
    """Encode a prompt, so that it can guide a model.

    `(a cat)` counts 1.1 times, nested parentheses multiply, `(a cat:1.3)` sets the weight, and `\\(` is a plain
    parenthesis. Prompts of more than 75 tokens are encoded in chunks. `embedding:name` stands for a textual inversion
    from the folder `embeddings`.
    """
    cond, pooled = encode([text, text], clip, context)
    return Conditioning([(cond, {"pooled_output": pooled})])


@node(category="conditioning", display_name="CLIP Set Last Layer", light=True, numeric=False)
def CLIPSetLastLayer(
    clip: Clip, stop_at_clip_layer: Annotated[int, Range(-24, -1, step=1), Help("-1 is the last layer")] = -1
) -> Clip:
    """Take a prompt's encoding from an earlier layer of the text encoder ("clip skip": -2 is clip skip 2)."""
    return clip.with_options(layer=stop_at_clip_layer)


@node(category="advanced/conditioning", display_name="CLIPTextEncodeSDXL", foresee=encoded)
def CLIPTextEncodeSDXL(
    clip: Clip,
    width: Pixels = 1024,
    height: Pixels = 1024,
    crop_w: Pixels = 0,
    crop_h: Pixels = 0,
    target_width: Pixels = 1024,
    target_height: Pixels = 1024,
    *,
    text_g: Prompt,
    text_l: Prompt,
    context: Context = NO_CONTEXT,
) -> Conditioning:
    """Encode a prompt for SDXL: one text for each of its two encoders, and the sizes that it was trained to be told."""
    cond, pooled = encode([text_l, text_g], clip, context)
    options: dict[str, Any] = {
        "pooled_output": pooled,
        "width": width,
        "height": height,
        "crop_w": crop_w,
        "crop_h": crop_h,
        "target_width": target_width,
        "target_height": target_height,
    }
    return Conditioning([(cond, options)])


@node(category="advanced/conditioning", display_name="CLIPTextEncodeSDXLRefiner", foresee=encoded)
def CLIPTextEncodeSDXLRefiner(
    ascore: Annotated[float, Range(0, 1000, step=0.01), Help("how beautiful the picture is to be; about 2 to 7")] = 6.0,
    width: Pixels = 1024,
    height: Pixels = 1024,
    *,
    text: Prompt,
    clip: Clip,
    context: Context = NO_CONTEXT,
) -> Conditioning:
    """Encode a prompt for the SDXL refiner, with the beauty and the size that it was trained to be told."""
    cond, pooled = encode([text, text], clip, context)
    options: dict[str, Any] = {"pooled_output": pooled, "aesthetic_score": ascore, "width": width, "height": height}
    return Conditioning([(cond, options)])


@node(category="_for_testing/conditioning", display_name="CLIPTextEncodeControlnet", experimental=True)
def CLIPTextEncodeControlnet(
    clip: Clip, conditioning: Conditioning, text: Prompt, context: Context = NO_CONTEXT
) -> Conditioning:
    """Give a ControlNet a prompt of its own, which it attends to instead of the picture's."""
    cond, pooled = encode([text, text], clip, context)
    own = {"cross_attn_controlnet": cond, "pooled_output_controlnet": pooled}
    return Conditioning([(tensor, {**options, **own}) for tensor, options in conditioning])


def encode(texts: list[str], clip: Clip, context: Context) -> tuple[Tensor, Tensor]:
    """The encoding [1, T, D] of a prompt, and the pooled one [1, E].

    Of two encoders, the first one reads the first text and the second one the second; their outputs stand side by side,
    padded with the empty prompt's to the same length, and the second one's pooled encoding counts (Podell et al. 2023).
    """
    import torch

    with torch.inference_mode(False), torch.no_grad():
        encoders = [clip] if clip.second is None else [clip, clip.second]
        found = [_encode(text, encoder, context) for text, encoder in zip(texts, encoders, strict=False)]
        if len(found) == 1:
            return found[0]
        length = max(cond.shape[1] for cond, _ in found)
        padded: list[Tensor] = []
        for (cond, _), encoder in zip(found, encoders, strict=True):
            missing = (length - cond.shape[1]) // 77
            blank = [_encode("", encoder, context)[0]] * missing if missing else []
            padded.append(torch.cat([cond, *blank], dim=1))
        return torch.cat(padded, dim=2), found[-1][1]


def _encode(text: str, clip: Clip, context: Context) -> tuple[Tensor, Tensor]:
    """What one encoder makes of a text."""
    from nodes.diffusion.prompt import encode_prompt

    module: Any = module_of(clip, context)
    tokenizer = tokenizer_of(clip, context)
    known = module.config.vocab_size
    if len(tokenizer) > known:
        raise unreadable(f"the tokenizer has {len(tokenizer):,} tokens, and the text encoder knows {known:,}")
    pad = clip.option("pad", -1)
    cond, pooled = encode_prompt(
        text,
        tokenizer,
        module,
        int(clip.option("layer", -1)),
        normed=bool(clip.option("normed", True)),
        pad=None if pad == -1 else int(pad),
        embeddings=vectors_for(module.config.hidden_size, context),
    )
    return cond.float().cpu(), pooled.float().cpu()
