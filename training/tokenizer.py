"""Build the tokenizer of `tiny` (`python -m training.tokenizer`): byte-pair merges in CLIP's two files.

Byte-pair encoding after Sennrich et al. 2016 on bytes, with CLIP's end-of-word mark `</w>`. Its corpus is the
caption grammar itself, whose every word becomes one token; any other text falls apart into bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from transformers import CLIPTokenizer

from training.captions import (
    LANDSCAPE_WORDS,
    PAIR_WORDS,
    PLACE_WORDS,
    SHAPE_WORDS,
    SIZE_WORDS,
    background_words,
    caption,
)
from training.common import SEED, WORK, replace_file
from training.scenes import BACKGROUNDS, COLOURS, sample_scene

FOLDER = WORK / "tokenizer"
LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """A printable letter for each byte, in the order of CLIP's vocabulary (as in GPT-2)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(others))]


def corpus() -> Counter[str]:
    """Words of the grammar with their counts; words that are only possible count once."""
    rng = np.random.default_rng(SEED)
    texts = [caption(sample_scene(rng), rng, loose=i % 2 == 0) for i in range(4000)]
    for table in (SHAPE_WORDS, SIZE_WORDS, PLACE_WORDS, LANDSCAPE_WORDS):
        texts += [phrase for phrases in table.values() for phrase in phrases]
    texts += [phrase for b in BACKGROUNDS for phrase in background_words(b)]
    texts += [*COLOURS, "shape photo painting and or with without no not two three bright dark light tree sun"]
    words = " ".join(texts).lower().replace(",", " ").replace(".", " ").replace("-", " ")
    return Counter(words.split())


def letters_of(word: str) -> list[str]:
    """The word's letters, the last one with the end-of-word mark."""
    return [*word[:-1], word[-1] + "</w>"]


def learn_merges(words: Counter[str], split: dict[str, list[str]] | None = None) -> list[tuple[str, str]]:
    """Merge the commonest pair again and again until every word is one token; words may come split already."""
    split = {word: letters_of(word) for word in words} if split is None else split
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, parts in split.items():
            for pair in zip(parts, parts[1:], strict=False):
                pairs[pair] += words[word]
        if not pairs:
            return merges
        best = max(sorted(pairs), key=lambda pair: pairs[pair])
        merges.append(best)
        split = {word: _merge(parts, best) for word, parts in split.items()}


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    """`parts` with every occurrence of the pair made one."""
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return merged


def write_files(folder: Path) -> int:
    """Write vocab.json and merges.txt; returns the number of tokens."""
    merges = learn_merges(corpus())
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(m) for m in merges), START, END]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    replace_file(folder / "merges.txt", lambda p: p.write_text("\n".join(lines) + "\n", encoding="utf-8"))
    replace_file(folder / "vocab.json", lambda p: p.write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8"))
    return len(vocab)


def extend_files(folder: Path) -> int:
    """Append the words of two-object captions to a folder's files; returns the number of tokens.

    What is there keeps its number and its rank, so weights trained with the shorter files stay valid: their
    embedding only grows at its end. Words that are one token already add nothing.
    """
    vocab: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    known = [(left, right) for left, right in (line.split(" ") for line in lines[1:])]
    words = sorted({word for phrase in PAIR_WORDS for word in phrase.split()})
    split = {word: letters_of(word) for word in words}
    for pair in known:
        split = {word: _merge(parts, pair) for word, parts in split.items()}
    merges = learn_merges(Counter(words), split)
    for merge in merges:
        vocab.setdefault("".join(merge), len(vocab))
    lines += [" ".join(merge) for merge in merges]
    replace_file(folder / "merges.txt", lambda p: p.write_text("\n".join(lines) + "\n", encoding="utf-8"))
    replace_file(folder / "vocab.json", lambda p: p.write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8"))
    return len(vocab)


def load_tokenizer(folder: Path = FOLDER) -> CLIPTokenizer:
    """The tokenizer from its two files."""
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"),
        merges=str(folder / "merges.txt"),
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=LENGTH,
    )


def token_ids(tokenizer: CLIPTokenizer, texts: Sequence[str]) -> Tensor:
    """Token numbers of captions, each as long as the text encoder takes."""
    fixed = {"padding": "max_length", "max_length": LENGTH, "truncation": True, "return_tensors": "pt"}
    return tokenizer(list(texts), **fixed).input_ids


def main() -> None:
    """Build the tokenizer unless it is there."""
    if not (FOLDER / "vocab.json").exists():
        write_files(FOLDER)
        print(f"tokenizer: {extend_files(FOLDER)} tokens")


if __name__ == "__main__":
    main()
