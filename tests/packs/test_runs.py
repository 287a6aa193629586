"""Workflows on packs' nodes, from the file to the results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodegraph.errors import Problem
from nodegraph.execution import events
from nodegraph.execution.result import RunResult
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.registry import Registry
from nodegraph.workflow.document import Workflow
from nodegraph.workflow.read import load_text


@pytest.fixture
def session(packs: Registry, tmp_path: Path) -> Iterator[Session]:
    settings = Settings(output=tmp_path / "output", inputs=(tmp_path / "input",), cache_dir=tmp_path / "cache")
    with Session(settings, packs) as session:
        yield session


def workflow_of(source: str | dict[str, Any]) -> Workflow:
    """A workflow from YAML without its head, or from API format."""
    text = json.dumps(source) if isinstance(source, dict) else f"nodegraph: 1\nnodes:\n{source}"
    loaded = load_text(text)
    assert loaded.workflow is not None, loaded.problems
    assert loaded.problems == ()
    return loaded.workflow


class Told(list[str]):
    """The warnings of a run."""

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Warned):
            self.append(event.message)


def run(session: Session, source: str | dict[str, Any], want: str = "end", **more: Any) -> RunResult:
    return session.run(workflow_of(source), only=(want,), want=(want,), **more)


def value(session: Session, source: str | dict[str, Any], want: str = "end") -> object:
    result = run(session, source, want)
    assert result.problems == ()
    return result.values[want][0]


def problems(session: Session, source: str | dict[str, Any]) -> list[Problem]:
    return list(session.check(workflow_of(source)).errors)


# --- texts


def test_texts_of_several_lines_become_several_items(session: Session):
    source = """
  lines: {uses: "Text Lines|TU", with: {text: "red\\nblue\\n"}}
  both: {uses: Text Concatenate (TU), with: {text_a: $lines.LINES, text_b: star, delimiter: " "}}
  end: {uses: "ShowText|TU", with: {text: $both}}
"""
    result = run(session, source)
    assert result.saved["end"].shown == {"text": ["red star", "blue star"]}
    assert result.values["end"] == (["red star", "blue star"],)


def test_outputs_with_odd_names_can_be_linked_from_other_programs_files(session: Session):
    prompt = {
        "1": {"class_type": "Text Find & Replace", "inputs": {"text": "a-b-c", "find": "-", "replace": "+"}},
        "2": {"class_type": "MathExpression|7", "inputs": {"expression": "a * 10", "a": ["1", 1]}},
    }
    assert value(session, prompt, "2") == 20


# --- maths


def test_expressions_take_whole_and_decimal_numbers(session: Session):
    source = """
  one: {uses: PrimitiveInt, with: {value: 3}}
  two: {uses: PrimitiveFloat, with: {value: 0.5}}
  end: {uses: "MathExpression|7", with: {expression: "a ** 2 + b", a: $one, b: $two}}
"""
    result = run(session, source)
    assert result.values["end"] == (9, 9.5)


def test_a_pack_checks_its_own_inputs(session: Session):
    (problem,) = problems(session, '  end: {uses: "MathExpression|7", with: {expression: "1 +"}}')
    assert "the expression is not one" in problem.message and problem.place.line == 3
    bad = '  pic: {uses: EmptyImage}\n  end: {uses: "MathExpression|7", with: {expression: "a", a: $pic}}'
    assert [problem.code for problem in problems(session, bad)] == ["bad_value"]


def test_bounds_are_checked_unless_the_pack_does_it(session: Session):
    (problem,) = problems(session, "  end: {uses: ConvFingerprint, with: {value: 50}}")
    assert problem.code == "out_of_range"
    assert value(session, "  end: {uses: ConvOwnRange, with: {value: 50}}") == 50
    (problem,) = problems(session, "  end: {uses: ConvOwnRange, with: {value: 500}}")
    assert "value 500 is too much" in problem.message
    (problem,) = problems(session, "  end: {uses: ConvOwnEverything, with: {value: 13}}")
    assert problem.code == "bad_value"


def test_a_pack_that_checks_types_may_take_others(session: Session):
    source = "  text: {uses: PrimitiveString, with: {value: '7'}}\n  end: {uses: %s, with: {value: $text}}"
    assert value(session, source % "ConvOwnTypes") == 7
    (problem,) = problems(session, source % "ConvOwnRange")
    assert problem.code == "type_mismatch"


# --- switches


def test_only_the_branch_that_is_taken_is_computed(session: Session):
    source = """
  good: {uses: PrimitiveString, with: {value: good}}
  bad: {uses: ConvWrong, with: {how: few}}
  end: {uses: "LazySwitch//SW", with: {switch: true, on_true: $good, on_false: $bad.INT}}
"""
    result = run(session, source)
    assert result.values["end"] == ("good",) and "bad" not in result.executed
    result = run(session, source.replace("switch: true", "switch: false"))
    assert [problem.node for problem in result.problems] == ["bad"]


def test_switches_within_switches(session: Session):
    source = """
  n: {uses: "MathExpression|7", with: {expression: "1 + 1"}}
  zero: {uses: ConvWrong, with: {how: few}}
  two: {uses: SecondPick, with: {first: false, a: $zero.INT, b: $n.FLOAT}}
  end: {uses: "IndexSwitch//SW", with: {index: $n.INT, value0: $zero.INT, value2: $two}}
"""
    assert value(session, source) == 2.0


def test_what_is_blocked_does_not_run_and_is_no_mistake(session: Session):
    source = """
  text: {uses: PrimitiveString, with: {value: x}}
  gate: {uses: "Gate//SW", with: {value: $text, open: false}}
  end: {uses: ConvWrite, with: {text: $gate}}
"""
    result = run(session, source)
    assert result.status == "done" and "end" not in result.executed and not result.saved
    assert run(session, source.replace("open: false", "open: true")).saved["end"].files
    told = Told()
    source = (
        "  no: {uses: ConvBlock, with: {value: -1, message: not now}}\n  end: {uses: ConvTwo, with: {value: $no.INT}}"
    )
    result = run(session, source, on_event=told)
    assert result.status == "done" and [text for text in told if "not now" in text]


# --- pictures


def test_pictures_are_split_tinted_and_put_together(session: Session):
    source = """
  blank: {uses: GridBlank, with: {size: 4}}
  more: {uses: RepeatImageBatch, with: {image: $blank, amount: 3}}
  each: {uses: GridSplit, with: {images: $more}}
  red: {uses: GridTint, with: {image: $each, strength: 1.0, color: "#ff0000"}}
  end: {uses: GridImages, with: {images: $red, columns: 2, gap: 1}}
  old: {uses: GridImages, with: {images: $more, columns: 3}}
"""
    result = session.run(workflow_of(source), only=("end", "old"), want=("end", "old"))
    assert result.problems == ()
    grid, width, height = result.values["end"]
    assert (width, height) == (9, 9) and grid[0, 0, 0].tolist() == [1, 0, 0]  # type: ignore[index]
    assert result.values["old"][0].all()  # type: ignore[attr-defined] (nobody wrote to the white ones)


# --- loops


def test_a_while_loop_runs_until_its_condition_fails(session: Session):
    source = """
  start: {uses: PrimitiveInt, with: {value: 5}}
  open: {uses: LoopWhileOpen, with: {condition: true, initial_value0: $start, initial_value1: a}}
  less: {uses: LoopMinusOne, with: {value: $open.value0}}
  more: {uses: Text Concatenate (TU), with: {text_a: $open.value1, text_b: b, delimiter: ""}}
  test: {uses: LoopIsPositive, with: {value: $less}}
  end:
    uses: LoopWhileClose
    with: {flow_control: $open.FLOW_CONTROL, condition: $test, initial_value0: $less, initial_value1: $more}
"""
    result = run(session, source)
    assert result.problems == ()
    assert result.values["end"][:2] == (0, "abbbbb")
    assert run(session, source).executed == ()  # known by now


def test_the_ids_of_a_long_loop_grow_with_its_rounds_only(session: Session):
    source = """
  open: {uses: LoopWhileOpen, with: {condition: true, initial_value0: 200}}
  less: {uses: LoopMinusOne, with: {value: $open.value0}}
  more: {uses: LoopIsPositive, with: {value: $less}}
  end: {uses: LoopWhileClose, with: {flow_control: $open.FLOW_CONTROL, condition: $more, initial_value0: $less}}
"""
    result = run(session, source)
    assert result.values["end"][0] == 0
    assert max(map(len, result.executed)) < 200 * 20


@pytest.mark.parametrize("turns", [1, 4])
def test_a_for_loop_runs_as_often_as_it_is_told(session: Session, turns: int):
    source = f"""
  start: {{uses: PrimitiveInt, with: {{value: 1}}}}
  open: {{uses: LoopForOpen, with: {{remaining: {turns}, initial_value1: $start}}}}
  twice: {{uses: "MathExpression|7", with: {{expression: "a * 2", a: $open.value1}}}}
  end: {{uses: LoopForClose, with: {{flow_control: $open.flow_control, initial_value1: $twice.INT}}}}
"""
    assert value(session, source) == 2**turns


def test_loops_within_loops(session: Session):
    source = """
  start: {uses: PrimitiveInt, with: {value: 0}}
  outer: {uses: LoopForOpen, with: {remaining: 3, initial_value1: $start}}
  inner: {uses: LoopForOpen, with: {remaining: 2, initial_value1: $outer.value1}}
  more: {uses: "MathExpression|7", with: {expression: "a + 1", a: $inner.value1}}
  back: {uses: LoopForClose, with: {flow_control: $inner.flow_control, initial_value1: $more.INT}}
  end: {uses: LoopForClose, with: {flow_control: $outer.flow_control, initial_value1: $back.value1}}
"""
    assert value(session, source) == 6


def test_an_expansion_over_several_items(session: Session):
    source = """
  words: {uses: "Text Lines|TU", with: {text: "1\\n5"}}
  number: {uses: "MathInt|7", with: {any: $words.LINES}}
  more: {uses: ConvExpand, with: {value: $number, times: 2}}
  end: {uses: ConvJoin, with: {words: $more.INT, between: "-"}}
"""
    assert value(session, source) in ("3-7", "3-7-3-7")


# --- what is kept


def test_fingerprints_decide_whether_a_node_runs_again(session: Session):
    def executed(source: str) -> bool:
        return "end" in run(session, source).executed

    for name, again in (("Fingerprint", False), ("FingerprintLater", False), ("Always", True)):
        source = f"  end: {{uses: Conv{name}, with: {{value: 2}}}}"
        assert executed(source), name
        assert executed(source) == again, name
    told = Told()
    source = "  end: {uses: ConvFingerprintFails, with: {value: 2}}"
    for _ in range(2):
        assert run(session, source, on_event=told).executed == ("end",)
    assert len(told) == 2 and "the file is gone" in told[0]


def test_nodes_that_know_their_id_are_kept_apart(session: Session):
    source = "  a: {uses: %s, with: {value: 2}}\n  b: {uses: %s, with: {value: 2}}"
    for name, executed in (("ConvIdentified", 2), ("ConvOnce", 2), ("ConvOwnRange", 1)):
        result = session.run(workflow_of(source % (name, name)), only=("a", "b"), want=("a", "b"))
        assert len(result.executed) == executed, name
    result = session.run(workflow_of(source % ("ConvIdentified", "ConvIdentified")), only=("a",), want=("a",))
    assert result.values["a"] == ("a:2",)


def test_hidden_inputs_are_those_of_the_run(session: Session):
    assert value(session, "  end: {uses: ConvHidden}") == "end ConvHidden ConvHidden []"


def test_files_are_saved_and_restored(session: Session, tmp_path: Path):
    source = "  text: {uses: PrimitiveString, with: {value: hello}}\n  end: {uses: ConvWrite, with: {text: $text}}"
    (file,) = run(session, source).saved["end"].files
    assert Path(file.path).read_text(encoding="utf-8") == "hello"
    Path(file.path).unlink()
    assert run(session, source).executed == ()
    assert Path(file.path).read_text(encoding="utf-8") == "hello"
    assert list((tmp_path / "output/notes").iterdir()) == [Path(file.path)]


def test_wrong_results_are_told_as_mistakes_of_the_pack(session: Session):
    for how in ("few", "many", "text", "dictionary"):
        (problem,) = run(session, f"  end: {{uses: ConvWrong, with: {{how: {how}}}}}").problems
        assert problem.code == "wrong_output"
        assert problem.hint == "this is a mistake in the node pack 'conventions'"


# --- the second form


def test_nodes_of_the_second_form_run(session: Session, tmp_path: Path):
    source = """
  one: {uses: PrimitiveInt, with: {value: 1}}
  two: {uses: PrimitiveFloat, with: {value: 2.5}}
  end: {uses: SecondSum, with: {numbers.n0: $one, numbers.n1: $two}}
"""
    assert value(session, source) == 3.5
    result = run(session, "  end: {uses: SecondRepeat, with: {text: ab, times: 2}}")
    assert result.values["end"] == ("end:ab+ab", 5)
    assert result.saved["end"].shown == {"text": ["ab+ab"]}
    (problem,) = problems(session, "  end: {uses: SecondRepeat, with: {text: ''}}")
    assert "the text is empty" in problem.message
    source = "  pic: {uses: EmptyImage, with: {width: 8, height: 8}}\n  end: {uses: SecondSave, with: {images: $pic}}"
    (file,) = run(session, source).saved["end"].files
    assert Path(file.path) == tmp_path / "output/second/p_00001_.png"
    assert "SecondSave" in load_picture(file.path)["prompt"]


def load_picture(path: str) -> dict[str, str]:
    """The texts in a PNG file."""
    import PIL.Image

    with PIL.Image.open(path) as picture:
        return dict(picture.text)  # type: ignore[attr-defined]


def test_a_node_may_end_the_run(session: Session):
    result = run(session, "  stop: {uses: ConvStop}\n  end: {uses: ConvTwo, with: {value: $stop}}")
    assert (result.status, result.problems) == ("cancelled", ())
    assert "end" not in result.executed


def test_values_of_a_packs_own_types_may_be_written(session: Session):
    assert value(session, "  end: {uses: ConvStop, with: {shade: dark}}") == 4


def test_values_that_a_packs_node_no_longer_takes_are_told_and_left_aside(session: Session):
    source = "  end: {uses: ConvTwo, with: {value: 1, old_widget: 3}}"
    assert value(session, source) == 2
    told = session.check(workflow_of(source)).problems
    assert ("unknown_input", "warning") in [(problem.code, problem.severity) for problem in told]
    link = "  one: {uses: PrimitiveInt, with: {value: 1}}\n  end: {uses: ConvTwo, with: {old: $one}}"
    assert [problem.code for problem in problems(session, link)] == ["unknown_input"]


def test_a_blocker_given_to_an_added_node_keeps_what_follows_from_running(session: Session):
    result = run(session, "  more: {uses: ConvExpandBlocked}\n  end: {uses: ConvTwo, with: {value: $more}}")
    assert (result.status, result.problems) == ("done", ())
    assert "end" not in result.executed
