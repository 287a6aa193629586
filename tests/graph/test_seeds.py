from __future__ import annotations

from itertools import count

import pytest

from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.graph.build import check
from nodegraph.graph.seeds import with_random_seeds
from nodegraph.node import Seed, node
from nodegraph.workflow.document import Workflow
from nodegraph.workflow.read import load_text
from tests.toys import registry


@node(category="toys", numeric=False)
def Dice(seed: Seed = 0, text: str = "") -> int:
    return seed


@node(category="toys", output_node=True, light=True)
def End(value: int) -> None:
    return None


def read(text: str) -> Workflow:
    loaded = load_text("nodegraph: 1\n" + text, file="w.yaml")
    assert loaded.workflow is not None
    assert not loaded.problems
    return loaded.workflow


TEXT = """\
params:
  seed: random  # drawn
  style: random
nodes:
  a: {uses: Dice, with: {seed: $seed, text: random}}  # stays
  b: {uses: Dice, with: {seed: random, text: $style}}
  c: {uses: Dice, with: {seed: 3}}
"""


def test_random_is_drawn_where_a_seed_is_wanted_and_nowhere_else():
    numbers = count(100)
    drawn = with_random_seeds(read(TEXT), registry(Dice), lambda: next(numbers))
    checked = check(drawn, registry(Dice))
    assert checked.graph is not None, checked.errors
    values = {node.id: dict(node.values) for node in checked.graph.nodes}
    assert values["a"] == {"seed": 100, "text": "random"}
    assert values["b"] == {"seed": 101, "text": "random"}
    assert values["c"] == {"seed": 3, "text": ""}


def test_the_numbers_are_written_into_the_text_and_comments_stay():
    numbers = count(100)
    drawn = with_random_seeds(read(TEXT), registry(Dice), lambda: next(numbers))
    assert drawn.text is not None
    changed = TEXT.replace("seed: random  # drawn", "seed: 100  # drawn").replace(
        "seed: random, text", "seed: 101, text"
    )
    assert drawn.text == "nodegraph: 1\n" + changed
    again = with_random_seeds(read(changed), registry(Dice))
    assert again.text == drawn.text


def test_a_parameter_can_be_made_random_for_a_run():
    text = "params: {seed: 7}\nnodes:\n  a: {uses: Dice, with: {seed: $seed}}\n  e: {uses: End, with: {value: $a}}\n"
    with Session(Settings(cache_dir=None), registry(Dice, End)) as session:
        seen = {session.run(read(text), {"seed": "random"}, want=["a"])["a"] for _ in range(3)}
        assert len(seen) == 3
        assert session.run(read(text), want=["a"])["a"] == 7


def test_a_run_draws_once_and_says_what():
    text = "nodes:\n  a: {uses: Dice, with: {seed: random}}\n  e: {uses: End, with: {value: $a}}\n"
    with Session(Settings(cache_dir=None), registry(Dice, End)) as session:
        first = session.run(read(text), want=["a"])
        assert first.manifest is not None
        assert f"seed: {first['a']}" in first.manifest.workflow
        again = session.run(read(first.manifest.workflow.removeprefix("nodegraph: 1\n")), want=["a"])
        assert again["a"] == first["a"]
        assert again.executed == ()


@pytest.mark.parametrize("text", ["nodes:\n  a: {uses: Dice, with: {seed: randomly}}\n"])
def test_other_words_are_no_seeds(text: str):
    assert [p.code for p in check(with_random_seeds(read(text), registry(Dice)), registry(Dice)).errors]
