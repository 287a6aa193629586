import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import CLIPTextConfig, CLIPTextModel

from nodes.diffusion.prompt import encode, encode_prompt, tokenize
from nodes.diffusion.prompt_text import MAX_NESTING, parse_weights

WORDS = ["a", "b", "cat", "dog", "photo", "of", "on", "mat", "red", *",()[]", "break"]


class WordTokenizer:
    """A vocabulary of one token a word, and one a character for words that it does not know."""

    bos_token_id, eos_token_id, pad_token_id = 1, 2, 3

    def __call__(self, text, add_special_tokens=True, **_):
        assert not add_special_tokens
        ids = []
        for sign in "(),[]":
            text = text.replace(sign, f" {sign} ")
        for word in text.lower().split():
            ids += [10 + WORDS.index(word)] if word in WORDS else [50 + ord(c) % 40 for c in word]
        return {"input_ids": ids}


TOKENIZER = WordTokenizer()


@pytest.fixture(scope="module")
def clip_tokenizer(tmp_path_factory):
    """A real CLIPTokenizer over a byte-pair vocabulary of letters and a few words."""
    from transformers import CLIPTokenizer

    letters = [*"abcdefghijklmnopqrstuvwxyz,()"]
    merges: Any = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={token: i for i, token in enumerate(vocabulary)},
        merges=merges,
        unk_token="<|endoftext|>",
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )


@pytest.fixture(scope="module")
def text_model():
    config = CLIPTextConfig(
        vocab_size=100,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CLIPTextModel(config).eval()


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", []),
        ("a cat", [("a cat", 1)]),
        ("a (cat) on", [("a ", 1), ("cat", 1.1), (" on", 1)]),
        ("((cat))", [("cat", 1.21)]),
        ("(a (cat:1.3) b)", [("a ", 1.1), ("cat", 1.3), (" b", 1.1)]),
        ("((cat) dog:2)", [("cat", 2.2), (" dog", 2)]),
        ("(cat:0)", [("cat", 0)]),
        ("(cat:-0.5)", [("cat", -0.5)]),
        ("(a:b:1.5)", [("a:b", 1.5)]),
        ("(cat:dog)", [("cat:dog", 1.1)]),
        ("(:1.3)", [(":1.3", 1.1)]),
        ("(cat:nan) (cat:inf)", [("cat:nan", 1.1), (" ", 1), ("cat:inf", 1.1)]),
        ("a \\(cat\\) on", [("a (cat) on", 1)]),
        ("(a \\(b\\):1.2)", [("a (b)", 1.2)]),
        ("\\((cat:2)\\)", [("(", 1), ("cat", 2), (")", 1)]),
        ("[cat] {a|b} BREAK", [("[cat] {a|b} BREAK", 1)]),
        ("()", [("", 1.1)]),
        ("(cat", [("(cat", 1)]),
        ("cat)", [("cat)", 1)]),
        ("a :) (cat)", [("a :) (cat)", 1)]),
    ],
)
def test_weights(text, segments):
    found = [(segment, weight) for segment, weight in parse_weights(text) if segment]
    assert [segment for segment, _ in found] == [segment for segment, _ in segments if segment]
    assert [weight for _, weight in found] == pytest.approx([weight for segment, weight in segments if segment])


plain = st.text(st.characters(exclude_characters="()\\:", exclude_categories=["Co", "Cs"]), min_size=1, max_size=12)


@given(st.text())
def test_no_text_fails_and_weights_are_numbers(text):
    assert all(math.isfinite(weight) for _, weight in parse_weights(text))


@given(st.lists(plain))
def test_a_text_without_parentheses_is_one_segment(parts):
    text = " ".join(parts)
    assert parse_weights(text) == ([(text, 1.0)] if text else [])


@given(st.text(st.characters(exclude_categories=["Co", "Cs"], exclude_characters="\\")))
def test_escaped_parentheses_are_text(text):
    escaped = text.replace("(", "\\(").replace(")", "\\)")
    assert parse_weights(escaped) == ([(text, 1.0)] if text else [])


@given(plain, st.floats(-5, 5).map(lambda weight: round(weight, 3)), st.integers(0, 5))
def test_a_number_sets_the_weight_and_parentheses_multiply_it(text, weight, depth):
    assert parse_weights(f"({text}:{weight})") == [(text, weight)]
    ((found, nested),) = parse_weights("(" * depth + text + ")" * depth)
    assert found == text
    assert nested == pytest.approx(1.1**depth)


@given(st.lists(st.tuples(plain, st.floats(0.1, 3).map(lambda weight: round(weight, 2))), max_size=6))
def test_weighted_segments_come_out_in_order(parts):
    text = "".join(f"({segment}:{weight})" for segment, weight in parts)
    assert parse_weights(text) == parts


def test_parentheses_nested_without_end_are_text_at_last():
    ((text, weight),) = parse_weights("(" * 20_000 + "cat" + ")" * 20_000)
    assert weight == pytest.approx(1.1**MAX_NESTING)
    assert text == "(" * (20_000 - MAX_NESTING) + "cat" + ")" * (20_000 - MAX_NESTING)


def ids(chunk):
    return [token for token, _ in chunk]


def test_a_short_prompt_is_one_chunk_of_77():
    (chunk,) = tokenize("a (cat:1.3) on", TOKENIZER)
    assert chunk[:5] == [(1, 1.0), (10, 1.0), (12, 1.3), (16, 1.0), (2, 1.0)]
    assert chunk[5:] == [(3, 1.0)] * 72


def test_the_empty_prompt_is_one_chunk():
    assert [ids(chunk) for chunk in tokenize("", TOKENIZER)] == [[1, 2, *[3] * 75]]


def test_padding_is_the_end_token_where_there_is_no_padding_token():
    class Bare(WordTokenizer):
        pad_token_id = None

    assert ids(tokenize("cat", Bare())[0]) == [1, 12, *[2] * 75]


def test_a_long_segment_fills_chunks_to_the_last_place():
    first, second = tokenize("cat " * 80, TOKENIZER)
    assert ids(first) == [1, *[12] * 75, 2]
    assert ids(second) == [1, *[12] * 5, 2, *[3] * 70]


def test_exactly_75_tokens_are_one_chunk():
    assert len(tokenize("cat " * 75, TOKENIZER)) == 1


@pytest.mark.parametrize(("length", "kept"), [(7, True), (8, False)])
def test_a_short_weighted_segment_is_not_split(length, kept):
    first, second = tokenize("cat " * 70 + "(" + "dog " * length + ":1.2)", TOKENIZER)
    inside = [token for token, weight in first if weight == 1.2]
    assert len(inside) == (0 if kept else 5)
    assert ids(first)[-1] == (3 if kept else 2)
    assert [weight for token, weight in second if token == 13] == [1.2] * (length - len(inside))


@given(st.lists(st.tuples(st.integers(1, 90), st.sampled_from([1.0, 1.2, 0.5])), max_size=6))
def test_chunks_hold_every_token_once_and_in_order(parts):
    text = "".join(f"({'cat ' * count}:{weight})" for count, weight in parts)
    chunks = tokenize(text, TOKENIZER)
    assert all(len(chunk) == 77 and chunk[0] == (1, 1.0) for chunk in chunks)
    assert all(ids(chunk).count(2) == 1 for chunk in chunks)
    weights = [weight for chunk in chunks for token, weight in chunk if token == 12]
    assert weights == [weight for count, weight in parts for _ in range(count)]
    if len(chunks) > 1:
        assert all(any(token == 12 for token, _ in chunk) for chunk in chunks)


def test_a_clip_tokenizer_gives_its_own_ids(clip_tokenizer):
    (chunk,) = tokenize("A (cat:1.3), dog", clip_tokenizer)
    tokens = clip_tokenizer.convert_ids_to_tokens(ids(chunk))
    assert tokens[:6] == ["<|startoftext|>", "a</w>", "cat</w>", ",</w>", "dog</w>", "<|endoftext|>"]
    assert [weight for _, weight in chunk[:6]] == [1, 1, 1.3, 1, 1, 1]
    assert set(tokens[6:]) == {"<|endoftext|>"}


def test_an_unweighted_prompt_is_the_text_models_own_output(text_model):
    cond, pooled = encode_prompt("a cat on a mat", TOKENIZER, text_model)
    output = text_model(torch.tensor([ids(tokenize("a cat on a mat", TOKENIZER)[0])]))
    torch.testing.assert_close(cond, output.last_hidden_state)
    torch.testing.assert_close(pooled, output.pooler_output)
    assert not cond.requires_grad


def test_chunks_are_encoded_apart_and_joined(text_model):
    prompt = "cat " * 75 + "dog " * 5
    cond, pooled = encode_prompt(prompt, TOKENIZER, text_model)
    first, pooled_first = encode_prompt("cat " * 75, TOKENIZER, text_model)
    second, _ = encode_prompt("dog " * 5, TOKENIZER, text_model)
    assert cond.shape == (1, 154, 16)
    torch.testing.assert_close(cond, torch.cat([first, second], dim=1))
    torch.testing.assert_close(pooled, pooled_first)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.5, -1.0])
def test_a_weight_moves_a_token_away_from_the_empty_prompt(weight, text_model):
    plain_cond, plain_pooled = encode_prompt("a cat on a mat", TOKENIZER, text_model)
    empty, _ = encode_prompt("", TOKENIZER, text_model)
    cond, pooled = encode_prompt(f"a (cat:{weight}) on a mat", TOKENIZER, text_model)
    expected = plain_cond.clone()
    expected[:, 2] = empty[:, 2] + weight * (plain_cond[:, 2] - empty[:, 2])
    torch.testing.assert_close(cond, expected)
    torch.testing.assert_close(pooled, plain_pooled)


def test_clip_skip_takes_an_earlier_layer_through_the_final_norm(text_model):
    chunks = tokenize("a cat", TOKENIZER)
    empty = tokenize("", TOKENIZER)[0]
    states = text_model(torch.tensor([ids(chunks[0])]), output_hidden_states=True).hidden_states
    last, pooled = encode(chunks, text_model, empty=empty)
    for skip in (-2, -3):
        cond, pooled_early = encode(chunks, text_model, skip, empty=empty)
        torch.testing.assert_close(cond, text_model.final_layer_norm(states[skip]))
        torch.testing.assert_close(pooled_early, pooled)
        assert not torch.allclose(cond, last)
    for skip in (None, -1, -24):
        torch.testing.assert_close(encode(chunks, text_model, skip, empty=empty)[0], last)
