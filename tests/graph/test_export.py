from __future__ import annotations

import re

from nodegraph.graph.export import to_dot, to_mermaid
from nodegraph.workflow.document import Workflow
from nodegraph.workflow.read import load_text

WORKFLOW = """\
nodegraph: 1
name: a "drawing"
params: {value: 1}
nodes:
  end: {uses: Nobody.Knows, title: 'first "one" <b>\\ & `more`', with: {x: $value, y: $nowhere}}
  next: {uses: Thing, with: {left: $end, right: $end.some, list: [1, 2], self: $next}}
  last: {uses: Thing, with: {left: $next.0}}
"""


def workflow() -> Workflow:
    loaded = load_text(WORKFLOW)
    assert loaded.workflow is not None
    assert loaded.problems == ()
    return loaded.workflow


def test_mermaid_draws_every_node_and_link_though_nobody_knows_the_types():
    lines = to_mermaid(workflow()).splitlines()
    assert lines[0] == "flowchart LR"
    assert lines[2:] == [
        '  n1["next<br/>Thing"]',
        '  n2["last<br/>Thing"]',
        '  n0 -->|"left"| n1',
        '  n0 -->|"right"| n1',
        '  n1 -->|"self"| n1',
        '  n1 -->|"left"| n2',
    ]


def test_mermaid_shows_texts_as_they_are():
    label = to_mermaid(workflow()).splitlines()[1]
    assert re.fullmatch(r'  n0\["[^"<>`\\]*<br/>Nobody\.Knows"\]', label)
    decoded = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label)
    assert decoded == '  n0["first "one" <b>\\ & `more`<br/>Nobody.Knows"]'


def test_dot_draws_the_same_with_quoted_texts():
    assert to_dot(workflow()).splitlines() == [
        'digraph "a \\"drawing\\"" {',
        "  rankdir=LR;",
        "  node [shape=box];",
        '  "end" [label="first \\"one\\" <b>\\\\ & `more`\\nNobody.Knows"];',
        '  "next" [label="next\\nThing"];',
        '  "last" [label="last\\nThing"];',
        '  "end" -> "next" [label="left"];',
        '  "end" -> "next" [label="right"];',
        '  "next" -> "next" [label="self"];',
        '  "next" -> "last" [label="left"];',
        "}",
    ]


def test_line_ends_in_a_text_do_not_break_a_line():
    loaded = load_text('nodegraph: 1\nnodes:\n  a: {uses: X, title: "one\\n  two"}\n')
    assert loaded.workflow is not None
    assert '  n0["one two<br/>X"]' in to_mermaid(loaded.workflow).splitlines()
    assert '  "a" [label="one two\\nX"];' in to_dot(loaded.workflow).splitlines()
