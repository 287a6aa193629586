"""Problems: what a person sees, and what a program gets."""

from __future__ import annotations

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import (
    CATALOGUE,
    Place,
    Problem,
    ProblemError,
    caret_lines,
    did_you_mean,
    display_width,
    listing,
    shorten,
)


def test_the_catalogue_numbers_each_problem_once():
    numbers = [number for number, _ in CATALOGUE.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in CATALOGUE)
    assert all(title and title[0].isupper() and not title.endswith(".") for _, title in CATALOGUE.values())


def test_a_code_that_is_not_in_the_catalogue_is_a_programming_error():
    with pytest.raises(ValueError, match="not in the catalogue"):
        Problem("whatever", "something is wrong")


def test_a_problem_says_where_what_and_what_to_do():
    problem = Problem(
        "unknown_node", "unknown node type 'X'.", Place("w.yaml", 3, 7, "  a: X"), hint="did you mean 'Y'?"
    )
    assert problem.describe() == "w.yaml:3:7: unknown node type 'X'; did you mean 'Y'?"
    assert problem.number == "NG301"
    assert problem.at(Place("v.yaml", 1)).describe().startswith("v.yaml:1: ")
    warning = Problem("unused_param", "parameter 'x' is not used", severity="warning")
    assert warning.describe() == "warning: parameter 'x' is not used"


@pytest.mark.parametrize(
    ("text", "column", "under"),
    [("  a: X", 6, "X"), ("\ta: X", 5, "X"), ("日本: X", 5, "X"), ("e\u0301: X", 5, "X"), ("x" * 500 + "Y", 501, "Y")],
)
def test_the_caret_stands_below_its_column(text: str, column: int, under: str):
    source, caret = caret_lines(text, column)
    assert caret.strip() == "^"
    before, seen = 0, ""
    for character in source:
        if before == len(caret) - 1:
            seen = character
        before += display_width(character)
    assert seen == under
    assert len(source) < 200


@given(st.text(max_size=300), st.integers(1, 400))
def test_any_line_can_be_shown(text: str, column: int):
    source, caret = caret_lines(text, column)
    assert caret.endswith("^")
    assert not any(ord(c) < 32 for c in source)


def test_control_and_direction_characters_are_not_sent_to_the_terminal():
    source, _ = caret_lines("a\x1b[31m\u202eb", 1)
    assert "\x1b" not in source
    assert "\u202e" not in source


def test_json_has_the_facts_and_leaves_out_what_is_not_there():
    problem = Problem(
        "out_of_range", "too much", Place("w.yaml", 3, 7), node="a", input="x", got="11", expected="0 … 10"
    )
    assert problem.to_json() == {
        "code": "out_of_range", "number": "NG309", "severity": "error", "message": "too much", "file": "w.yaml",
        "line": 3, "column": 7, "node": "a", "input": "x", "got": "11", "expected": "0 … 10",
    }  # fmt: skip


def test_an_error_carries_all_its_problems_also_between_processes():
    first, second = Problem("cycle", "round and round", Place("w.yaml", 1, 1, "x")), Problem("usage", "what?")
    error = pickle.loads(pickle.dumps(ProblemError([first, second])))
    assert error.problems == (first, second)
    assert str(error) == f"{first.render()}\n{second.render()}"
    assert ProblemError(first).problems == (first,)


def test_suggestions_are_close_and_keep_their_case():
    assert did_you_mean("ksampler", ["KSampler", "VAEDecode"]) == "did you mean 'KSampler'?"
    assert did_you_mean("prompt", ["promt"], sigil="$") == "did you mean '$promt'?"
    assert did_you_mean("zzz", ["KSampler"]) is None
    assert did_you_mean("", []) is None


def test_listings_and_values_are_cut():
    assert listing(["a", "b"]) == "a, b"
    assert listing([str(i) for i in range(20)], limit=3) == "0, 1, 2 and 17 more"
    assert len(shorten("x" * 10_000_000)) < 80
    assert len(shorten(list(range(10_000)))) < 80
    assert shorten("x") == "'x'"
