"""Build the tokenizer of `tiny` (`python -m training.tokenizer`): byte-pair merges in CLIP's two files.

Byte-pair encoding after Sennrich et al. 2016 on bytes, with CLIP's end-of-word mark `</w>`. Its corpus is the
caption grammar itself, whose every word becomes one token; any other text falls apart into bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
from transformers import CLIPTokenizer

from training.captions import (
    LANDSCAPE_WORDS,
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


def learn_merges(words: Counter[str]) -> list[tuple[str, str]]:
    """Merge the commonest pair again and again until every word is one token."""
    split = {word: [*word[:-1], word[-1] + "</w>"] for word in words}
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
        for word, parts in split.items():
            merged: list[str] = []
            for part in parts:
                if merged and (merged[-1], part) == best:
                    merged[-1] += part
                else:
                    merged.append(part)
            split[word] = merged


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


def main() -> None:
    """Build the tokenizer unless it is there."""
    if not (FOLDER / "vocab.json").exists():
        print(f"tokenizer: {write_files(FOLDER)} tokens")


if __name__ == "__main__":
    main()
