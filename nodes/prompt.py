"""Prompts: texts into conditioning."""

from __future__ import annotations

from typing import Annotated

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.node import Help, Multiline, node
from nodegraph.sockets import Clip, Conditioning
from nodes.models import module_of, tokenizer_of


@node(category="conditioning", display_name="CLIP Text Encode (Prompt)")
def CLIPTextEncode(
    text: Annotated[str, Multiline(), Help("what to draw; (words) in parentheses count more, (words:0.5) less")],
    clip: Clip,
    context: Context = NO_CONTEXT,
) -> Conditioning:
    """Encode a prompt, so that it can guide a model.

    `(a cat)` counts 1.1 times, nested parentheses multiply, `(a cat:1.3)` sets the weight, and `\\(` is a plain
    parenthesis. Prompts of more than 75 tokens are encoded in chunks.
    """
    import torch

    from nodes.diffusion.prompt import encode_prompt

    with torch.inference_mode(False), torch.no_grad():
        skip = clip.option("stop_at_clip_layer", -1)
        cond, pooled = encode_prompt(text, tokenizer_of(clip, context), module_of(clip, context), int(skip))
    return Conditioning([(cond.float().cpu(), {"pooled_output": pooled.float().cpu()})])
