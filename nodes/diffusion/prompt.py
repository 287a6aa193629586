"""Prompts: emphasis in parentheses, chunks of 75 tokens, and the text encoder's weighted output.

`(cat)` weighs 1.1, `((cat))` 1.21, `(cat:1.3)` exactly 1.3; `\\(` and `\\)` are parentheses. Square
brackets, BREAK and braces mean nothing. A prompt longer than 75 tokens is encoded in chunks, joined along
the token axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

EMPHASIS = 1.1
CHUNK_LENGTH = 77
UNSPLIT_BELOW = 8
"""A weighted segment of fewer tokens than this stays in one chunk."""
MAX_NESTING = 100
"""Parentheses nested deeper than this are read as text."""

Token = int
Chunk = list[tuple[Token, float]]
"""CHUNK_LENGTH pairs of a token id and its weight."""

# Escaped parentheses wait as characters that no keyboard types, and that are removed from the prompt first.
_OPEN, _CLOSE = "\ue000", "\ue001"
_HIDE = str.maketrans({_OPEN: None, _CLOSE: None})
_REVEAL = str.maketrans({_OPEN: "(", _CLOSE: ")"})


def _groups(text: str) -> Iterator[str]:
    """Cut a text before each parenthesis that opens at depth 0 and after each that closes back to it.

    A closing parenthesis too many takes the depth below 0, where no group opens (as in ComfyUI, so that a
    prompt with an odd `:)` in it means the same here).
    """
    depth = begin = 0
    for i, character in enumerate(text):
        if character == "(":
            if depth == 0:
                if i > begin:
                    yield text[begin:i]
                begin = i
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                yield text[begin : i + 1]
                begin = i + 1
    if begin < len(text):
        yield text[begin:]


def _weighted(inner: str, weight: float) -> tuple[str, float]:
    """What stands in a pair of parentheses, and its weight: the number after its last colon, or 1.1 times."""
    text, colon, number = inner.rpartition(":")
    if colon and text:
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return text, value
    return inner, weight * EMPHASIS


def parse_weights(text: str) -> list[tuple[str, float]]:
    """Split a prompt into segments of one weight each, in order; escapes are resolved.

    Never fails: parentheses that do not pair up, and weights that are no finite number, are text.
    """
    text = text.translate(_HIDE).replace("\\)", _CLOSE).replace("\\(", _OPEN)
    segments: list[tuple[str, float]] = []
    # Groups still to be looked at, the next one last: (text, weight, depth).
    stack = [(group, 1.0, 0) for group in _groups(text)][::-1]
    while stack:
        group, weight, depth = stack.pop()
        if len(group) > 1 and group[0] == "(" and group[-1] == ")" and depth < MAX_NESTING:
            inner, inner_weight = _weighted(group[1:-1], weight)
            stack.extend([(part, inner_weight, depth + 1) for part in _groups(inner)][::-1])
        else:
            segments.append((group.translate(_REVEAL), weight))
    return segments


def tokenize(text: str, tokenizer: Any) -> list[Chunk]:
    """The chunks of a prompt: each 77 (id, weight), from BOS to EOS and then padding, at least one chunk.

    `tokenizer` is a transformers CLIPTokenizer, or anything with its `bos_token_id`, `eos_token_id`,
    `pad_token_id` (EOS when None) and call. Segments of fewer than 8 tokens are not split over two chunks.
    """
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    pad = eos if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    room = CHUNK_LENGTH - 2
    bodies: list[Chunk] = [[]]
    for segment, weight in parse_weights(text):
        ids = tokenizer(segment, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        tokens: Chunk = [(token, weight) for token in ids]
        keep_whole = len(tokens) < UNSPLIT_BELOW
        while tokens:
            free = room - len(bodies[-1])
            if len(tokens) <= free:
                bodies[-1].extend(tokens)
                break
            if not keep_whole:
                bodies[-1].extend(tokens[:free])
                tokens = tokens[free:]
            bodies.append([])
    return [[(bos, 1.0), *body, (eos, 1.0), *[(pad, 1.0)] * (room - len(body))] for body in bodies]


def _run_text_model(ids: Tensor, text_model: Any, clip_skip: int | None) -> tuple[Tensor, Tensor]:
    """(hidden [N, 77, D], pooled [N, D]) of ids [N, 77]; hidden after the last layer or an earlier one."""
    layers = text_model.config.num_hidden_layers
    early = clip_skip is not None and -layers <= clip_skip < -1
    output = text_model(ids, output_hidden_states=early)
    if not early:
        return output.last_hidden_state, output.pooler_output
    # CLIPTextModel lost its inner `text_model` in transformers 5.
    inner = getattr(text_model, "text_model", text_model)
    return inner.final_layer_norm(output.hidden_states[clip_skip]), output.pooler_output


def encode(
    chunks: Sequence[Chunk], text_model: Any, clip_skip: int | None = None, *, empty: Chunk
) -> tuple[Tensor, Tensor]:
    """Encode a prompt's chunks with a CLIPTextModel: (cond [1, 77 * chunks, D], pooled [1, D]), float32.

    Each token's output z becomes z_empty + w * (z - z_empty), with z_empty the output of `empty` (the chunk
    of the empty prompt) at the same place; nothing is renormalised. `clip_skip` -1 (or None) takes the last
    layer, -2 the one before, ...; a number that goes back beyond the first layer takes the last. `pooled`
    is the first chunk's, unweighted.
    """
    weights = torch.tensor([[weight for _, weight in chunk] for chunk in chunks], dtype=torch.float32)
    weighted = bool((weights != 1).any())
    rows = [[token for token, _ in chunk] for chunk in (*chunks, *([empty] if weighted else []))]
    device = next(text_model.parameters()).device
    with torch.no_grad():
        hidden, pooled = _run_text_model(torch.tensor(rows, device=device), text_model, clip_skip)
    hidden, pooled = hidden.float(), pooled.float()
    if weighted:
        nothing, hidden = hidden[-1:], hidden[:-1]
        weight = weights.to(device)[..., None]
        hidden = torch.where(weight == 1, hidden, nothing + weight * (hidden - nothing))
    return hidden.reshape(1, -1, hidden.shape[-1]), pooled[:1]


def encode_prompt(text: str, tokenizer: Any, text_model: Any, clip_skip: int | None = None) -> tuple[Tensor, Tensor]:
    """(cond [1, 77 * chunks, D], pooled [1, D]) of a prompt: `tokenize`, then `encode`."""
    return encode(tokenize(text, tokenizer), text_model, clip_skip, empty=tokenize("", tokenizer)[0])
