"""Prompts into numbers: chunks of 75 tokens, and the text encoder's weighted output.

A prompt longer than 75 tokens is encoded in chunks, joined along the token axis. What a prompt may say is in
`prompt_text`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nodes.diffusion.clones import structural_clone
from nodes.diffusion.prompt_text import MENTION, parse_weights

CHUNK_LENGTH = 77
UNSPLIT_BELOW = 8
"""A weighted segment of fewer tokens than this stays in one chunk."""
Token = int | Tensor
"""A token's id, or a vector [D] that takes a token's place (Gal et al. 2022, textual inversion)."""
Chunk = list[tuple[Token, float]]
"""CHUNK_LENGTH pairs of a token and its weight."""
Embeddings = Callable[[str], Tensor | None]
"""The vectors [n, D] of a textual inversion by its name, None if there is none of that name."""


def _pieces(segment: str, embeddings: Embeddings | None) -> Iterator[str | Tensor]:
    """A segment cut at its textual inversions: texts and vectors. Unknown names are left out."""
    if embeddings is None:
        yield segment
        return
    end = 0
    for match in MENTION.finditer(segment):
        yield segment[end : match.start()]
        end = match.end()
        name = match[1]
        vectors = embeddings(name)
        bare = name.rstrip(",")
        if vectors is None and bare != name:
            vectors = embeddings(bare)
            end -= len(name) - len(bare)  # the comma is text
        if vectors is not None:
            yield vectors
    yield segment[end:]


def _tokens(segment: str, tokenizer: Any, embeddings: Embeddings | None) -> list[Token]:
    tokens: list[Token] = []
    for piece in _pieces(segment, embeddings):
        if isinstance(piece, Tensor):
            tokens += list(piece)
        elif piece:
            tokens += tokenizer(piece, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    return tokens


def tokenize(text: str, tokenizer: Any, *, pad: int | None = None, embeddings: Embeddings | None = None) -> list[Chunk]:
    """The chunks of a prompt: each 77 (token, weight), from BOS to EOS and then padding, at least one chunk.

    `tokenizer` is a transformers CLIPTokenizer, or anything with its `bos_token_id`, `eos_token_id`,
    `pad_token_id` (EOS when None) and call; `pad` overrules what it pads with. Segments of fewer than 8 tokens are not
    split over two chunks. `embeddings` finds the vectors that `embedding:name` stands for.
    """
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    filler: Token = next(each for each in (pad, tokenizer.pad_token_id, eos) if each is not None)
    room = CHUNK_LENGTH - 2
    bodies: list[Chunk] = [[]]
    for segment, weight in parse_weights(text):
        tokens: Chunk = [(token, weight) for token in _tokens(segment, tokenizer, embeddings)]
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
    return [[(bos, 1.0), *body, (eos, 1.0), *[(filler, 1.0)] * (room - len(body))] for body in bodies]


class _WithVectors(nn.Module):
    """A table of token embeddings that goes on behind its end with vectors of textual inversions."""

    def __init__(self, table: nn.Embedding, vectors: Tensor) -> None:
        super().__init__()
        self.table, self.vectors = table, vectors

    def forward(self, ids: Tensor) -> Tensor:
        known = self.table.num_embeddings
        inside = ids < known
        found = self.table(torch.where(inside, ids, 0))
        added = self.vectors[torch.where(inside, 0, ids - known)]
        return torch.where(inside[..., None], found, added.to(found.dtype))


def _inner(text_model: Any) -> Any:
    """The CLIPTextModel itself: with a projection it is wrapped, and its own inner one went in transformers 5."""
    return getattr(text_model, "text_model", text_model)


def _numbered(rows: Sequence[Sequence[Token]], text_model: Any) -> tuple[Tensor, Any]:
    """Token ids [N, 77] and a model that knows them: vectors get numbers behind the vocabulary's end."""
    vectors = [token for row in rows for token in row if isinstance(token, Tensor)]
    table: nn.Embedding = _inner(text_model).embeddings.token_embedding
    device = table.weight.device
    if not vectors:
        return torch.tensor(rows, device=device), text_model
    fresh = iter(range(table.num_embeddings, table.num_embeddings + len(vectors)))
    ids = [[next(fresh) if isinstance(token, Tensor) else token for token in row] for row in rows]
    clone = structural_clone(text_model)
    inner = _inner(clone)
    inner.embeddings.token_embedding = _WithVectors(
        inner.embeddings.token_embedding, torch.stack(vectors).to(device, torch.float32)
    )
    return torch.tensor(ids, device=device), clone


def _run_text_model(ids: Tensor, text_model: Any, layer: int | None, normed: bool) -> tuple[Tensor, Tensor]:
    """(hidden [N, 77, D], pooled [N, D]) of ids [N, 77]; hidden after the last layer or an earlier one."""
    layers = text_model.config.num_hidden_layers
    early = layer is not None and -layers <= layer < -1
    output = text_model(ids, output_hidden_states=early)
    pooled = output.text_embeds if hasattr(output, "text_embeds") else output.pooler_output
    if not early:
        return output.last_hidden_state, pooled
    hidden = output.hidden_states[layer]
    return _inner(text_model).final_layer_norm(hidden) if normed else hidden, pooled


def encode(
    chunks: Sequence[Chunk], text_model: Any, layer: int | None = None, *, empty: Chunk, normed: bool = True
) -> tuple[Tensor, Tensor]:
    """Encode a prompt's chunks with a CLIPTextModel: (cond [1, 77 * chunks, D], pooled [1, E]), float32.

    Each token's output z becomes z_empty + w * (z - z_empty), with z_empty the output of `empty` (the chunk
    of the empty prompt) at the same place; nothing is renormalised. `layer` -1 (or None) takes the last
    layer, -2 the one before, ...; a number that goes back beyond the first layer takes the last. An earlier layer's
    output goes through the final norm if `normed`. `pooled` is the first chunk's, unweighted, projected where the
    model has a projection.
    """
    weights = torch.tensor([[weight for _, weight in chunk] for chunk in chunks], dtype=torch.float32)
    weighted = bool((weights != 1).any())
    rows = [[token for token, _ in chunk] for chunk in (*chunks, *([empty] if weighted else []))]
    with torch.no_grad():
        ids, model = _numbered(rows, text_model)
        hidden, pooled = _run_text_model(ids, model, layer, normed)
    hidden, pooled = hidden.float(), pooled.float()
    if weighted:
        nothing, hidden = hidden[-1:], hidden[:-1]
        weight = weights.to(ids.device)[..., None]
        hidden = torch.where(weight == 1, hidden, nothing + weight * (hidden - nothing))
    return hidden.reshape(1, -1, hidden.shape[-1]), pooled[:1]


def encode_prompt(
    text: str,
    tokenizer: Any,
    text_model: Any,
    layer: int | None = None,
    *,
    normed: bool = True,
    pad: int | None = None,
    embeddings: Embeddings | None = None,
) -> tuple[Tensor, Tensor]:
    """(cond [1, 77 * chunks, D], pooled [1, E]) of a prompt: `tokenize`, then `encode`."""
    chunks = tokenize(text, tokenizer, pad=pad, embeddings=embeddings)
    return encode(chunks, text_model, layer, empty=tokenize("", tokenizer, pad=pad)[0], normed=normed)
