"""The tokenizer: every word of the captions is one token, and growing it changes nothing that was there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from training.captions import LANDSCAPE_WORDS, PAIR_WORDS, PLACE_WORDS, SHAPE_WORDS, SIZE_WORDS
from training.common import MODEL
from training.scenes import COLOURS
from training.tokenizer import END, START, extend_files, load_tokenizer, write_files

_TABLES = (SHAPE_WORDS, SIZE_WORDS, PLACE_WORDS, LANDSCAPE_WORDS)
_OLD = [*(phrase for table in _TABLES for phrases in table.values() for phrase in phrases), *COLOURS]


def test_files_made_from_nothing_have_a_token_for_each_word_once_extended(tmp_path: Path) -> None:
    before = write_files(tmp_path)
    short = load_tokenizer(tmp_path)
    old = {text: short(text).input_ids for text in (*_OLD, "a zebra über 7 toys")}
    vocab = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    after = extend_files(tmp_path)
    long = load_tokenizer(tmp_path)
    assert after > before == len(vocab)
    grown = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert {token: grown[token] for token in vocab} == vocab and sorted(grown.values()) == list(range(after))
    assert {text: long(text).input_ids for text in _OLD} == {text: old[text] for text in _OLD}
    for phrase in PAIR_WORDS:
        assert len(long(phrase).input_ids) == len(phrase.split()) + 2
    assert (long.bos_token, long.eos_token) == (START, END)
    assert long.eos_token_id == short.eos_token_id


def test_extending_twice_adds_nothing(tmp_path: Path) -> None:
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(MODEL / "tokenizer" / name, tmp_path / name)
    first = extend_files(tmp_path)
    files = [(tmp_path / name).read_bytes() for name in ("vocab.json", "merges.txt")]
    assert extend_files(tmp_path) == first
    assert [(tmp_path / name).read_bytes() for name in ("vocab.json", "merges.txt")] == files
