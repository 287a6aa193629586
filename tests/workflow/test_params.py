"""Parameters: their declarations, and their values from the command line, from files and by default."""

from __future__ import annotations

import pathlib

import pytest

from nodegraph.workflow.document import Param, Scalar, Workflow
from nodegraph.workflow.params import load_params_file, parse_overrides, resolve_params
from tests.workflow.support import codes, only, pointed_at, read, workflow_of


def declare(*lines: str) -> str:
    return "nodegraph: 1\nnodes: {}\nparams:\n" + "".join(f"  {line}\n" for line in lines)


def param(line: str) -> Param:
    return next(iter(workflow_of(declare(line)).params.values()))


@pytest.mark.parametrize(
    ("written", "type_", "default"),
    [("7", "INT", 7), ("7.0", "FLOAT", 7.0), ("1e3", "FLOAT", 1000.0), ("true", "BOOLEAN", True), ("on",
     "STRING", "on"),
     ("a text", "STRING", "a text"), ('"7"', "STRING", "7"), ("", "ANY", None), ("costs $$5", "STRING",
     "costs $5"),
     ("costs $5", "STRING", "costs $5")],
)  # fmt: skip
def test_the_short_form(written: str, type_: str, default: Scalar) -> None:
    read_param = param(f"x: {written}")
    assert (read_param.type, read_param.default, read_param.required) == (type_, default, False)
    assert type(read_param.default) is type(default)
    assert (read_param.place.line, read_param.place.column) == (4, 3)


def test_the_long_form() -> None:
    read_param = param("x: {type: FLOAT, default: 7, min: 1, max: 9.5, description: How much}")
    assert (read_param.type, read_param.minimum, read_param.maximum) == ("FLOAT", 1, 9.5)
    assert (read_param.default, type(read_param.default)) == (7.0, float)
    assert read_param.description == "How much"


def test_seeds_keep_all_their_digits() -> None:
    read_param = param("x: {default: 18446744073709551615, max: 18446744073709551615}")
    assert (read_param.default, read_param.maximum) == (2**64 - 1, 2**64 - 1)
    assert type(read_param.maximum) is int


@pytest.mark.parametrize(
    ("written", "type_", "required"),
    [("{default: 7}", "INT", False), ("{choices: [a, b]}", "STRING", True), ("{min: 0}", "INT", True),
     ("{max: 0.5}", "FLOAT", True),
     ("{description: free}", "ANY", True), ("{}", "ANY", True), ("{type: STRING}", "STRING", True),
     ("{default: null}", "ANY", False)],
)  # fmt: skip
def test_what_the_long_form_leaves_out(written: str, type_: str, required: bool) -> None:
    assert (param(f"x: {written}").type, param(f"x: {written}").required) == (type_, required)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("{type: INTEGER, default: 7}", "INTEGER"),
        ("{type: int, default: 7}", "int"),
        ("{type: [INT], default: 7}", "[INT]"),
        ("{type: INT, default: 1.5}", "1.5"),
        ("{type: INT, default: '7'}", "'7'"),
        ("{type: INT, default: true}", "true"),
        ("{type: STRING, default: 7}", "7"),
        ("{type: BOOLEAN, default: on}", "on"),
        ("{type: STRING, default: null}", "null"),
        ("{default: 7, min: 8}", "7"),
        ("{default: 7, max: 6}", "7"),
        ("{default: 7, min: 9, max: 6}", "9"),
        ("{default: 7, min: 0.5}", "0.5"),
        ("{default: 7, min: a}", "a}"),
        ("{default: x, min: 1}", "min"),
        ("{default: x, choices: [y, z]}", "x"),
        ("{default: x, choices: []}", "[]"),
        ("{default: x, choices: x}", "x}"),
        ("{default: x, choices: [1]}", "[1]"),
        ("{default: [1]}", "[1]"),
        ("{default: $other}", "$other"),
        ("{default: '${other}'}", "'${other}'"),
        ("{choices: [[1]]}", "[1]"),
        ("[1, 2]", "[1, 2]"),
        ("$other", "$other"),
        ("'x ${'", "'x ${'"),
    ],
)
def test_declarations_that_contradict_themselves(written: str, at: str) -> None:
    loaded = read(declare(f"x: {written}"))
    assert codes(loaded) == ["bad_param"]
    assert pointed_at(loaded.problems[0]).startswith(at)
    assert loaded.workflow is not None
    # It was reported once; neither its value nor its absence is a second mistake.
    assert resolve_params(loaded.workflow, {}) == ({}, ())


def test_unknown_keys_of_a_declaration() -> None:
    problem = only(read(declare("x: {defualt: 7}")))
    assert (problem.code, problem.hint) == ("unknown_key", "did you mean 'default'?")
    assert only(read(declare("x: {default: 7, description: 3}"))).code == "wrong_kind"


DECLARED = workflow_of(
    declare(
        "prompt: a star",
        "seed: {default: 7, min: 0, max: 18446744073709551615}",
        "cfg: {default: 4.0, min: 0, max: 10}",
        "fast: false",
        "sampler: {default: euler, choices: [euler, heun]}",
        "size: {default: 64, choices: [64, 128]}",
        "free:",
        "needed: {type: STRING}",
    )
)


@pytest.mark.parametrize(
    ("assignment", "value"),
    [("prompt=a red star", "a red star"), ("prompt=", ""), ("prompt=7", "7"), ("prompt=a=b", "a=b"),
     ("prompt=$x ${y} $$", "$x ${y} $$"),
     ("seed=5", 5), ("seed=18446744073709551615", 2**64 - 1), ("seed=0x10", 16), ("cfg=7", 7.0),
     ("cfg=1e-3", 1e-3),
     ("fast=true", True), ("fast=FALSE", False), ("sampler=heun", "heun"), ("size=128", 128),
     ("free=7", 7), ("free=on", "on"),
     ("free=null", None), ("free=", None)],
)  # fmt: skip
def test_texts_are_read_by_the_type_of_their_parameter(assignment: str, value: Scalar) -> None:
    values, problems = parse_overrides(DECLARED, [assignment])
    assert problems == ()
    assert list(values.values()) == [value]
    assert type(next(iter(values.values()))) is type(value)


@pytest.mark.parametrize(
    ("assignment", "code", "words"),
    [
        ("sed=5", "unknown_param", "did you mean 'seed'?"),
        ("zzz=5", "unknown_param", "prompt, seed"),
        ("seed", "usage", "seed=VALUE"),
        ("=5", "unknown_param", "''"),
        ("seed=abc", "type_mismatch", "whole number"),
        ("seed=1.5", "type_mismatch", "whole number"),
        ("seed=7.0", "type_mismatch", "write 7"),
        ("seed=true", "type_mismatch", "whole number"),
        ("seed=", "type_mismatch", "whole number"),
        ("seed=-1", "out_of_range", "between 0 and 18446744073709551615"),
        ("seed=18446744073709551616", "bad_number", "2^64"),
        ("seed=" + "9" * 10_000, "bad_number", "long"),
        ("cfg=11", "out_of_range", "between 0 and 10"),
        ("cfg=.nan", "bad_number", "finite"),
        ("cfg=nan", "type_mismatch", "number"),
        ("cfg=true", "type_mismatch", "number"),
        ("fast=yes", "type_mismatch", "true or false"),
        ("fast=1", "type_mismatch", "true or false"),
        ("sampler=eulr", "not_a_choice", "did you mean 'euler'?"),
        ("size=65", "not_a_choice", "64, 128"),
    ],
)
def test_texts_that_do_not_fit(assignment: str, code: str, words: str) -> None:
    values, (problem,) = parse_overrides(DECLARED, [assignment])
    assert values == {}
    assert problem.code == code
    assert words in problem.describe()
    assert len(problem.describe()) < 400


def test_one_is_not_true_among_choices() -> None:
    workflow = workflow_of(declare("x: {type: ANY, default: 1, choices: [1, 0]}"))
    assert [problem.code for problem in parse_overrides(workflow, ["x=true"])[1]] == ["not_a_choice"]
    assert [problem.code for problem in parse_overrides(workflow, ["x=0.0"])[1]] == ["not_a_choice"]


def test_the_command_line_wins_over_the_file_and_the_last_over_the_first() -> None:
    values, problems = parse_overrides(DECLARED, ["seed=1", "seed=2"], {"seed": 3, "cfg": 5})
    assert (dict(values), problems) == ({"seed": 2, "cfg": 5.0}, ())


def test_every_parameter_gets_a_value() -> None:
    values, problems = resolve_params(DECLARED, {"needed": "x", "seed": 9})
    assert problems == ()
    assert values == {
        "prompt": "a star", "seed": 9, "cfg": 4.0, "fast": False, "sampler": "euler",
        "size": 64, "free": None, "needed": "x",
    }  # fmt: skip


def test_a_parameter_without_default_must_be_given() -> None:
    values, (problem,) = resolve_params(DECLARED, {})
    assert "needed" not in values
    assert (problem.code, problem.place.line) == ("missing_param", 11)
    assert "--set needed=" in (problem.hint or "")


def test_overrides_from_code_are_checked_too() -> None:
    values, problems = resolve_params(
        DECLARED, {"needed": 7, "seed": True, "nosuch": 1, "cfg": float("nan"), "free": [1]}
    )
    assert [problem.code for problem in problems] == [
        "type_mismatch",
        "type_mismatch",
        "unknown_param",
        "type_mismatch",
        "type_mismatch",
    ]
    assert "seed" not in values


def write(folder: pathlib.Path, text: str | bytes, name: str = "params.yaml") -> pathlib.Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def from_file(path: pathlib.Path, workflow: Workflow = DECLARED) -> tuple[dict[str, Scalar], list[str]]:
    given, problems = load_params_file(path)
    values, more = parse_overrides(workflow, [], given)
    return dict(values), [problem.code for problem in (*problems, *more)]


def test_parameter_files(tmp_path: pathlib.Path) -> None:
    text = "prompt: $literal ${text}\nseed: 5\ncfg: 7\nfast: true\n"
    assert from_file(write(tmp_path, text)) == (
        {"prompt": "$literal ${text}", "seed": 5, "cfg": 7.0, "fast": True},
        [],
    )
    assert from_file(write(tmp_path, '{"seed": 5}', "params.json")) == ({"seed": 5}, [])


def test_mistakes_in_parameter_files_have_places(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path, "sed: 5\nseed: [1]\ncfg: 1.5\ncfg: 2\nsize: 65\n")
    assert from_file(path) == ({"cfg": 1.5}, ["wrong_kind", "duplicate_key", "unknown_param", "not_a_choice"])
    given, _ = load_params_file(path)
    _, problems = parse_overrides(DECLARED, [], given)
    assert [(problem.place.line, problem.place.column) for problem in problems] == [(1, 6), (5, 7)]
    assert problems[0].place.file == str(path)


@pytest.mark.parametrize(
    ("text", "code"),
    [("- a\n", "wrong_kind"), ("a: [", "yaml_syntax"), ("", "not_a_workflow"), (b"\xff\xfea\0",
     "bad_encoding"), ("[" * 1000, "nested_too_deep"),
     ("a: !!python/object/apply:os.system [x]", "unsupported_yaml")],
)  # fmt: skip
def test_parameter_files_are_read_as_safely_as_workflows(tmp_path: pathlib.Path, text: str | bytes, code: str) -> None:
    given, problems = load_params_file(write(tmp_path, text))
    assert code in [problem.code for problem in problems]
    assert given == {}


def test_a_parameter_file_that_is_not_there(tmp_path: pathlib.Path) -> None:
    assert [problem.code for problem in load_params_file(tmp_path / "none.yaml")[1]] == ["file_not_found"]
