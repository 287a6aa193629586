"""Shape, needed parts and reduction of a workflow, through the command and the functions."""

from __future__ import annotations

import pytest

import nodegraph
from nodegraph.cli.main import main
from nodegraph.graph.analysis import Shape, implied_links, needed_by, shape_of

DIAMOND = nodegraph.loads(
    """
    nodegraph: 1
    nodes:
      top: {uses: A}
      left: {uses: B, with: {x: $top}}
      right: {uses: B, with: {x: $top}}
      end: {uses: C, with: {a: $left, b: $right, c: $top}}
      aside: {uses: A}
    """
)


def test_a_reduction_leaves_out_what_longer_ways_imply():
    assert implied_links(DIAMOND) == {("top", "end")}


def test_what_a_node_needs_is_its_ancestors():
    assert list(needed_by(DIAMOND, ["left"]).nodes) == ["top", "left"]
    with pytest.raises(KeyError):
        needed_by(DIAMOND, ["nobody"])


def test_shape():
    assert shape_of(DIAMOND) == Shape(nodes=5, links=5, depth=3, width=2)


def test_a_circle_has_no_depth_and_no_reduction():
    circle = nodegraph.loads("nodegraph: 1\nnodes: {a: {uses: A, with: {x: $b}}, b: {uses: A, with: {x: $a}}}")
    assert shape_of(circle) == Shape(nodes=2, links=2, depth=0, width=0)
    assert implied_links(circle) == set()


def test_the_command_draws_parts(capsys: pytest.CaptureFixture[str]):
    assert main(["graph", "hello", "--only", "positive"]) == 0
    drawing = capsys.readouterr().out
    assert "CLIPTextEncode" in drawing
    assert "KSampler" not in drawing
    assert main(["graph", "hello", "--shape"]) == 0
    assert capsys.readouterr().out == "7 nodes, 9 links, 5 deep, 2 wide\n"
    assert main(["graph", "hello", "--reduce"]) == 0
    assert capsys.readouterr().out.count("-->") < 9
    assert main(["graph", "hello", "--only", "positve"]) == 1
    assert "did you mean 'positive'?" in capsys.readouterr().err
