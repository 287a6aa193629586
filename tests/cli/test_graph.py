from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.support import HALF, Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]


def test_a_workflow_is_drawn_as_mermaid_or_dot(cli: Cli):
    mermaid, dot = cli("graph", "hello"), cli("graph", "hello", "--format", "dot")
    assert (mermaid.code, mermaid.err, dot.code, dot.err) == (0, "", 0, "")
    assert mermaid.lines[0] == "flowchart LR"
    assert '  "latent" -> "picture" [label="samples"];' in dot.lines


def test_a_workflow_with_mistakes_is_drawn_as_far_as_it_can_be_read(cli: Cli, file: File):
    done = cli("graph", file("half.yaml", HALF))
    assert done.code == 0  # that nobody knows its nodes does not matter
    done = cli("graph", file("worse.yaml", HALF.replace("{uses: Number}", "{uses: Number, wiht: {}}")))
    assert done.code == 1
    assert "did you mean 'with'?" in done.err
    assert len(done.lines) > 5


def test_what_is_no_workflow_is_not_drawn(cli: Cli, file: File):
    done = cli("graph", file("text.yaml", "just text"))
    assert (done.code, done.out) == (1, "")
    assert "text.yaml:1:1:" in done.err
