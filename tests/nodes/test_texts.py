"""Nodes of texts and plain values: what Python's strings and regular expressions do."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nodegraph
from nodegraph.context import Cancelled, CancelToken, Context
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodes import regexes, texts
from nodes.primitives import PrimitiveBoolean, PrimitiveFloat, PrimitiveInt, PrimitiveString, PrimitiveStringMultiline
from nodes.texts import (
    CaseConverter,
    RegexExtract,
    RegexMatch,
    RegexReplace,
    StringCompare,
    StringConcatenate,
    StringContains,
    StringLength,
    StringReplace,
    StringSubstring,
    StringTrim,
)
from tests.helpers import problem

text = st.text(max_size=30)
few = st.text("abAB \n", max_size=12)
PATTERNS = ["a", "a*", "(a)|(b)", "^a", "b$", ".", "(a)(b)?", r"\s+", "", "(?P<x>[ab])+", r"(.)\1"]


# --- Python's strings


@given(text, text, text)
def test_joining(first: str, second: str, delimiter: str) -> None:
    assert StringConcatenate(first, second, delimiter) == delimiter.join((first, second))
    assert StringConcatenate(first, second) == first + second


@given(text, st.integers(-40, 40), st.integers(-40, 40))
def test_parts(whole: str, start: int, end: int) -> None:
    assert StringSubstring(whole, start, end) == whole[start:end]


@given(text)
def test_lengths_cases_and_ends(whole: str) -> None:
    assert StringLength(whole).length == len(whole)
    assert CaseConverter(whole, "UPPERCASE") == whole.upper()
    assert CaseConverter(whole, "lowercase") == whole.lower()
    assert CaseConverter(whole, "Capitalize") == whole.capitalize()
    assert CaseConverter(whole, "Title Case") == whole.title()
    assert StringTrim(whole) == whole.strip()
    assert StringTrim(whole, "Left") == whole.lstrip()
    assert StringTrim(whole, "Right") == whole.rstrip()


@given(few, few, few)
def test_replacing_finding_and_comparing(whole: str, part: str, other: str) -> None:
    assert StringReplace(whole, part, other) == whole.replace(part, other)
    assert StringContains(whole, part).contains == (part in whole)
    assert StringContains(whole, part, False).contains == (part.lower() in whole.lower())
    assert StringCompare(whole, part) == whole.startswith(part)
    assert StringCompare(whole, part, "Ends With") == whole.endswith(part)
    assert StringCompare(whole, part, "Equal") == (whole == part)
    assert StringCompare(whole.upper(), whole.lower(), "Equal", False)


def test_case_is_that_of_all_languages() -> None:
    assert StringContains("STRASSE", "straße", False).contains
    assert StringCompare("ΣΊΣΥΦΟΣ", "σίσυφος", "Equal", case_sensitive=False)


@pytest.mark.parametrize(
    "call",
    [
        lambda: StringReplace("a" * 10_000, "", "b" * 10_000),
        lambda: StringReplace("a" * 10_000, "a", "b" * 10_000),
        lambda: StringConcatenate("a" * 6_000_000, "a" * 6_000_000),
        lambda: RegexReplace("a" * 10_000, "a", "b" * 10_000),
        lambda: RegexReplace("a" * 200_000, "(a)", r"\1" * 100),
    ],
)
def test_texts_do_not_grow_without_measure(call: Any) -> None:
    found = problem(call)
    assert found.code == "bad_value"
    assert "10,000,000" in found.message


# --- regular expressions; what they give is asked of the functions, and how they are run of the nodes


@given(few, st.sampled_from(PATTERNS), st.booleans(), st.booleans(), st.booleans())
def test_what_a_pattern_finds(whole: str, pattern: str, case: bool, lines: bool, dots: bool) -> None:
    flags = case * re.IGNORECASE | lines * re.MULTILINE | dots * re.DOTALL
    found = list(re.finditer(pattern, whole, flags))
    assert regexes.matches(whole, pattern, flags) == bool(found)
    assert regexes.extract(whole, pattern, flags, "First Match", 1) == (found[0][0] if found else "")
    assert regexes.extract(whole, pattern, flags, "All Matches", 1) == "\n".join(match[0] for match in found)
    groups = re.compile(pattern).groups
    first = (found[0][1] or "") if found and groups else ""
    assert regexes.extract(whole, pattern, flags, "First Group", 1) == first
    each = [match[1] for match in found if match[1] is not None] if groups else []
    assert regexes.extract(whole, pattern, flags, "All Groups", 1) == "\n".join(each)
    assert regexes.extract(whole, pattern, flags, "All Groups", 0) == "\n".join(match[0] for match in found)


@given(few, st.sampled_from(PATTERNS), st.sampled_from(["", "x", r"[\g<0>]", "\\n"]), st.integers(0, 3))
def test_what_replacing_a_pattern_gives(whole: str, pattern: str, replacement: str, count: int) -> None:
    assert regexes.replaced(whole, pattern, 0, replacement, count) == re.sub(pattern, replacement, whole, count=count)


def test_the_nodes_give_that_too() -> None:
    prompt = "steps: 20, Cfg: 7.5\nseed: 42"
    assert RegexMatch(prompt, "CFG").matches
    assert not RegexMatch(prompt, "CFG", case_insensitive=False).matches
    assert not RegexMatch(prompt, "^seed").matches
    assert RegexMatch(prompt, "^seed", multiline=True).matches
    assert not RegexMatch(prompt, "cfg.*seed").matches
    assert RegexMatch(prompt, "cfg.*seed", dotall=True).matches
    assert RegexExtract(prompt, r"(\w+): ([\d.]+)") == "steps: 20"
    assert RegexExtract(prompt, r"(\w+): ([\d.]+)", "All Matches") == "steps: 20\nCfg: 7.5\nseed: 42"
    assert RegexExtract(prompt, r"(\w+): ([\d.]+)", "First Group", group_index=2) == "20"
    assert RegexExtract(prompt, r"(\w+): ([\d.]+)", "All Groups", group_index=2) == "20\n7.5\n42"
    assert RegexExtract(prompt, r"(\w+): ([\d.]+)", "All Groups", group_index=3) == ""
    assert RegexReplace(prompt, r"(\w+): (\d+)", r"\2 \1", count=1) == "20 steps, Cfg: 7.5\nseed: 42"
    assert RegexExtract("星 ★ 🐻 \ud800", r"[^\w\s]", "All Matches") == "★\n🐻\n\ud800"


@pytest.mark.parametrize("pattern", ["(", "[a", "a**", "(?P<1>a)", "*", r"\1", "a" * 5 + "{99999999999}", "(" * 3000])
def test_a_pattern_that_is_wrong_is_told(pattern: str) -> None:
    for call in (RegexMatch, RegexExtract, lambda text, pattern: RegexReplace(text, pattern, "")):
        found = problem(lambda call=call: call("some text", pattern))
        assert (found.code, found.input) == ("bad_value", "regex_pattern")
        assert "cannot be used" in found.message and found.hint


@pytest.mark.parametrize("replacement", [r"\2", r"\g<name>", "\\", r"\g<"])
def test_a_replacement_that_is_wrong_is_told_even_if_nothing_is_found(replacement: str) -> None:
    assert problem(lambda: RegexReplace("bbb", "(a)", replacement)).code == "bad_value"


def test_texts_and_patterns_without_measure_are_refused() -> None:
    assert problem(lambda: RegexMatch("a" * 1_000_001, "a")).input == "string"
    assert problem(lambda: RegexMatch("a", "a" * 10_001)).input == "regex_pattern"
    assert RegexMatch("a" * 1_000_000, "b").matches is False
    assert len(RegexExtract("ab" * 500_000, "a", "All Matches")) == 999_999


CATASTROPHE: dict[str, Any] = {"string": "a" * 60 + "b", "regex_pattern": "(a+)+$"}


def test_a_pattern_that_would_take_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "SECONDS", 0.3)
    found = problem(lambda: RegexMatch(**CATASTROPHE))
    assert (found.code, found.input) == ("bad_value", "regex_pattern")
    assert "given up" in found.message and found.hint and "repeats" in found.hint


def test_a_pattern_that_takes_long_stops_when_the_run_is_cancelled() -> None:
    class Second(CancelToken):
        """Cancelled when it is asked for the second time."""

        asked = 0

        @property
        def cancelled(self) -> bool:
            self.asked += 1
            return self.asked > 1

    with pytest.raises(Cancelled):
        RegexMatch(**CATASTROPHE, context=replace(Context(), token=Second()))


# --- plain values


def test_plain_values_are_what_they_are() -> None:
    assert PrimitiveString("a") == PrimitiveStringMultiline("a") == "a"
    assert PrimitiveInt(-(2**63) + 1) == -(2**63) + 1
    assert PrimitiveFloat(0.1) == 0.1 and type(PrimitiveFloat(2)) is float
    assert PrimitiveBoolean(False) is False


WORKFLOW = """
nodegraph: 1
nodes:
  side: {uses: PrimitiveInt, with: {value: 64}}
  factor: {uses: PrimitiveFloat, with: {value: 2}}
  canvas: {uses: EmptyLatentImage, with: {width: $side, height: $side}}
  larger: {uses: LatentUpscaleBy, with: {samples: $canvas, scale_by: $factor}}
  name: {uses: StringConcatenate, with: {string_a: lat, string_b: ents, delimiter: ""}}
  short: {uses: RegexReplace, with: {string: $name, regex_pattern: "[aeiou]", replace: ""}}
  save: {uses: SaveLatent, with: {samples: $larger, filename_prefix: $short}}
"""


def test_plain_values_and_texts_feed_other_nodes(tmp_path: Path) -> None:
    with Session(Settings(tmp_path / "output", cache_dir=None)) as session:
        (file,) = session.run(nodegraph.loads(WORKFLOW)).saved["save"].files
    assert (file.filename, file.width, file.height) == ("ltnts_00001_.latent", 128, 128)


def test_a_wrong_pattern_is_told_with_its_place_in_the_file(tmp_path: Path) -> None:
    with Session(Settings(tmp_path / "output", cache_dir=None)) as session:
        result = session.run(nodegraph.loads(WORKFLOW.replace("[aeiou]", "[aeiou")))
    (found,) = result.problems
    assert (found.code, found.node, found.place.line) == ("bad_value", "short", 9)
