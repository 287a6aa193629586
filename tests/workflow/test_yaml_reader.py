"""YAML: the scalars of the core schema, the features that are refused, and words for syntax errors."""

from __future__ import annotations

import pathlib

import pytest

from tests.workflow.support import HEAD, codes, node_with, only, pointed_at, read, value_of, workflow_of

pytestmark = pytest.mark.usefixtures("parser")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"), ("off", "off"), ("yes", "yes"), ("no", "no"), ("NO", "NO"), ("y", "y"), ("True", True),
        ("TRUE", True), ("true", True), ("tRUE", "tRUE"), ("False", False), ("null", None), ("~", None),
        ("", None), ("Null", None), ("nULL", "nULL"),
        ("7", 7), ("-7", -7), ("+7", 7), ("010", 10), ("0o10", 8), ("0x1F", 31), ("0b11", "0b11"), ("-0", 0),
        ("1_000", "1_000"), ("1:30", "1:30"), ("12:30:45", "12:30:45"), ("2026-11-22", "2026-11-22"),
        ("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63)),
        ("1e3", 1000.0), ("1e-4", 1e-4), ("5e-05", 5e-5), ("1E5", 1e5), (".5", 0.5), ("-.5", -0.5),
        ("3.", 3.0), ("1.0e+2", 100.0), ("nan", "nan"), ("inf", "inf"), ("1e", "1e"), (".", "."),
        ('"7"', "7"), ("'true'", "true"), ('""', ""), ("'~'", "~"), ('"\\u00e9\\t"', "é\t"),
        ("!!str 7", "7"), ('!!int "7"', 7), ("!!float 7", 7.0), ('!!bool "true"', True), ('!!null ""', None),
        ("! 7", "7"), ("a # remark", "a"), ("a#b", "a#b"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_what_yaml_1_2_says(written: str, value: object) -> None:
    read_value = value_of(written)
    assert read_value == value
    assert type(read_value) is type(value)


def test_block_texts_keep_their_lines() -> None:
    assert node_with("\n      x: |\n        a\n         b\n").inputs["x"] == "a\n b\n"
    assert node_with("\n      x: >-\n        a\n        b\n").inputs["x"] == "a b"


def test_lists_and_mappings_are_values() -> None:
    assert node_with("{x: [1, [a, $b]], y: {k: 2.5}}").inputs["y"] == {"k": 2.5}


@pytest.mark.parametrize(
    "number", [".nan", ".inf", "-.INF", "1e999", "18446744073709551616", "-9223372036854775809", "9" * 5000]
)
def test_numbers_that_no_node_takes_are_refused(number: str) -> None:
    problem = only(read(f"{HEAD}    with: {{x: {number}, y: 1}}\n"))
    assert problem.code == "bad_number"
    assert pointed_at(problem).startswith(number[:20])
    assert len(problem.message) < 200


def test_an_input_that_could_not_be_read_is_known_to_have_been_given() -> None:
    workflow = read(f"{HEAD}    with: {{x: .nan, y: 1}}\n").workflow
    assert workflow is not None
    assert workflow.nodes["a"].inputs == {"y": 1}
    assert list(workflow.nodes["a"].key_places) == ["x", "y"]


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system", "!!python/name:os.system", "!!python/object/new:os.system",
     "!!binary",
     "!!timestamp", "!!set", "!!omap", "!mine", "!<tag:example.com,2000:x>"],
)  # fmt: skip
@pytest.mark.parametrize("content", ["[touch marker]", "touch marker", "{a: b}"])
def test_tags_construct_nothing(
    tag: str, content: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = only(read(f"{HEAD}    with:\n      x: {tag} {content}\n"))
    assert problem.code == "unsupported_yaml"
    assert pointed_at(problem).startswith(tag[:2])
    assert list(tmp_path.iterdir()) == []


def test_a_tag_that_the_scalar_does_not_fit() -> None:
    assert only(read(f"{HEAD}    with: {{x: !!int abc}}\n")).code == "wrong_kind"
    assert only(read(f"{HEAD}    with: {{x: !!int true}}\n")).code == "wrong_kind"


def test_duplicate_keys_name_the_first_line() -> None:
    loaded = read(f"{HEAD}    with:\n      steps: 1\n      cfg: 2\n      steps: 3\n")
    problem = only(loaded)
    assert (problem.code, problem.place.line, problem.place.column) == ("duplicate_key", 8, 7)
    assert "line 6" in problem.message
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["a"].inputs == {"steps": 1, "cfg": 2}


def test_quoting_does_not_make_another_key() -> None:
    assert codes(read(f"{HEAD}    with: {{a: 1, 'a': 2}}\n")) == ["duplicate_key"]


def test_merge_keys_are_refused_and_a_quoted_one_is_a_key() -> None:
    problem = only(read(f"{HEAD}    with:\n      <<: {{x: 1}}\n      y: 2\n"))
    assert problem.code == "unsupported_yaml"
    assert pointed_at(problem).startswith("<<")
    assert node_with("{'<<': 1}").inputs == {"<<": 1}


@pytest.mark.parametrize(
    ("key", "shown"),
    [("true", "true"), ("1.5", "1.5"), ("~", "~"), ("null", "null"), ("[x]", "["), ("{x: 1}", "{")],
)
def test_keys_that_are_no_texts_are_refused_alone(key: str, shown: str) -> None:
    loaded = read(f"{HEAD}    with:\n      ? {key}\n      : {{deep: [1]}}\n      y: 2\n")
    problem = only(loaded)
    assert problem.code == "wrong_kind"
    assert pointed_at(problem).startswith(shown)
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["a"].inputs == {"y": 2}


def test_whole_numbers_as_keys_are_their_text() -> None:
    assert node_with("{1: a, 010: b}").inputs == {"1": "a", "010": "b"}


def test_anchors_and_aliases() -> None:
    node = node_with(
        "\n      x: &t a text\n      y: *t\n      z: &l [1, *t]\n      w: *l\n      &k key: 1\n      v: *k\n"
    )
    assert node.inputs == {
        "x": "a text",
        "y": "a text",
        "z": (1, "a text"),
        "w": (1, "a text"),
        "key": 1,
        "v": "key",
    }
    # An alias stands where it is written, not where its anchor is.
    assert node.places["y"].line == 7


def test_an_alias_as_a_key() -> None:
    assert node_with("\n      x: &t name\n      *t : 2\n").inputs == {"x": "name", "name": 2}
    assert only(read(f"{HEAD}    with:\n      x: &t [1]\n      *t : 2\n")).code == "wrong_kind"


def test_an_anchor_inside_itself_is_refused() -> None:
    problem = only(read(f"{HEAD}    with:\n      x: &l [1, *l]\n"))
    assert problem.code == "unsupported_yaml"
    assert pointed_at(problem) == "*l]"


def test_an_anchor_that_was_used_before_is_refused_inside_itself_too() -> None:
    problem = only(read(f"{HEAD}    with: {{x: &l 1, y: &l [*l]}}\n"))
    assert pointed_at(problem) == "*l]}"
    assert node_with("{x: &l 1, y: &l [2], z: *l}").inputs["z"] == (2,)


def test_an_alias_without_anchor() -> None:
    problem = only(read(f"{HEAD}    with:\n      x: *star\n"))
    assert problem.code == "unsupported_yaml"
    assert problem.hint is not None
    assert "quotes" in problem.hint
    assert pointed_at(problem) == "*star"


def test_a_second_document_is_refused() -> None:
    loaded = read(f"---\n{HEAD}---\nb: 1\n")
    assert (only(loaded).code, only(loaded).place.line) == ("unsupported_yaml", 6)
    assert loaded.workflow is not None


@pytest.mark.parametrize("text", ["", "\n", "# only a remark\n", "---\n", "\ufeff"])
def test_an_empty_file(text: str) -> None:
    assert only(read(text)).code == "not_a_workflow"


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("nodes:\n\ta: 1\n", "\ta: 1", "tab"),
        ("nodes:\n  a: {x: ${b}}\n", "{b}}", "quotes"),
        ('nodes:\n  a: "never closed\n  b: 2\n', '"never closed', "never closed"),
        ("nodes:\n  a: it's: late\n", ": late", "quotes"),
        ("nodes:\n  a: @home\n", "@home", "quotes"),
        ("nodes:\n  a: `x`\n", "`x`", "quotes"),
        ("nodes: {a: 1", None, None),
        ("nodes:\n  - a\n  b: 1\n", "b: 1", "indentation"),
        ("a: 1\nb\nc: 2\n", None, None),
        ("a: [1, 2\nb: 3\n", None, None),
        ('a: "\\q"', None, None),
        ("%YAML 1.2.3\n---\na: 1", None, None),
        ("%YAML 99999999999999999999.1\n---\na: 1", None, None),
        ("a: !<", None, None),
        ("a: &\n", None, None),
        ('a: "\\ud800"', None, None),
        ('a: "\\UFFFFFFFF"', None, None),
    ],
)
def test_what_cannot_be_parsed_is_one_problem_with_a_remedy(text: str, at: str | None, words: str | None) -> None:
    loaded = read(text)
    problem = only(loaded)
    assert problem.code == "yaml_syntax"
    assert problem.place.line is not None
    assert loaded.workflow is None
    if at is not None:
        assert pointed_at(problem) == at
    if words is not None:
        assert words in problem.describe()


@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x80", "\ufffe", "\ud800", "\ufeff"])
def test_characters_that_yaml_has_not(character: str) -> None:
    problem = only(read(f"a: 1\nbc{character}d: 2\n"))
    assert (problem.code, problem.place.line, problem.place.column) == ("yaml_syntax", 2, 3)
    assert f"U+{ord(character):04X}" in problem.message
    problem.render()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    text = "# remark\nnodegraph: 1\nnodes:\n  a:\n    uses: X\n    with: {é: $b}\n    wth: 2\n".replace("\n", end)
    loaded = read(text)
    problem = only(loaded)
    assert (problem.place.line, problem.place.column, problem.place.text) == (7, 5, "    wth: 2")
    assert loaded.workflow is not None
    place = loaded.workflow.nodes["a"].places["é"]
    assert (place.line, place.column, place.text) == (6, 15, "    with: {é: $b}")


def test_places_count_characters_not_bytes_or_columns() -> None:
    node = node_with("{x: 星🌟, y: b}")
    assert node.places["y"].text is not None
    assert node.places["y"].column is not None
    assert node.places["y"].text[node.places["y"].column - 1] == "b"
    assert node.key_places["y"].text is not None
    assert node.key_places["y"].column is not None
    assert node.key_places["y"].text[node.key_places["y"].column - 1] == "y"


def test_a_byte_order_mark_in_front_is_no_part_of_the_first_key() -> None:
    workflow = workflow_of(b"\xef\xbb\xbf" + HEAD.encode())
    assert workflow.nodes["a"].place.line == 3
