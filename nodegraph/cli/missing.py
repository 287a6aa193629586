"""The list of what a workflow needs and this machine does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from nodegraph.graph.missing import Missing


def show_missing(missing: Missing, *, stream: TextIO | None = None) -> None:
    """Print what is missing, if anything is."""
    from nodegraph.cli.terminal import say

    if missing:
        say("missing:", stream=stream, style="bold")
        for line in missing.lines():
            say(f"  {line}", stream=stream)
