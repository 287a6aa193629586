"""Nodes that the tests of sweeps sweep over, and ways to check a text of theirs."""

from __future__ import annotations

from typing import Literal

from nodegraph.errors import Problem
from nodegraph.graph import Checked, Graph
from nodegraph.node import node
from nodegraph.sockets import Model
from nodegraph.sockets.sweeps import Axes
from tests.toys import check_yaml


@node(category="toys", light=True, numeric=False)
def Gather(values: tuple[int, ...], axes: Axes | None = None, plus: int = 0) -> str:
    """All cells, and what they vary along."""
    return f"{[value + plus for value in values]} {list(axes or ())}"


@node(category="toys", light=True, numeric=False)
def Halved(values: tuple[float, ...] = (), kinds: tuple[Literal["a", "b"], ...] = ()) -> str:
    """Numbers that become decimal on their way."""
    assert all(type(value) is float for value in values)
    return f"{[value / 2 for value in values]} {list(kinds)}"


@node(category="toys", numeric=False)
def Load(name: str) -> Model:
    """A model."""
    return Model("toy", name, name, "unet")


@node(category="toys", numeric=False)
def Encode(model: Model, text: str = "") -> str:
    """Words that a model understood."""
    return f"{model.path}: {text}"


@node(category="toys", numeric=False)
def Sample(model: Model, words: str, seed: int = 0) -> str:
    """A picture of a kind."""
    return f"{words} {seed}"


@node(category="toys", numeric=False)
def Decode(model: Model, latent: str) -> str:
    """A picture for people."""
    return latent


MORE = (Gather, Halved, Load, Encode, Sample, Decode)


def checked(text: str) -> Checked:
    return check_yaml(text, *MORE)


def graph(text: str) -> Graph:
    found = checked(text)
    assert found.graph is not None, [problem.describe() for problem in found.problems]
    return found.graph


def only(text: str) -> Problem:
    problems = [problem for problem in checked(text).problems if problem.severity == "error"]
    assert len(problems) == 1, [problem.describe() for problem in problems]
    return problems[0]


def ids(graph: Graph) -> list[str]:
    return [found.id for found in graph.nodes]
