"""What the command tells the shell when it ends. These numbers never change their meaning."""

from __future__ import annotations

from typing import Final

FINE: Final = 0
PROBLEMS: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141
TERMINATED: Final = 143

MEANINGS: Final = {
    FINE: "everything went well",
    PROBLEMS: "the workflow has problems, or a node failed",
    MISUSED: "the command was misused",
    INTERRUPTED: "interrupted with Ctrl-C",
    PIPE_CLOSED: "the reader of the output went away",
    TERMINATED: "terminated",
}


def exit_codes_help() -> str:
    """The exit codes as lines for `--help`."""
    return "\n".join(f"  {code:<5}{meaning}" for code, meaning in MEANINGS.items())
