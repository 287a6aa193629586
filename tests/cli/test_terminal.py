"""What a person at a terminal sees."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.cli.support import HALF, SUM, command, environment

File = Callable[[str, str], Path]


def on_terminal(
    *arguments: object, cwd: Path, env: Mapping[str, str] | None = None, interrupt_at: Sequence[str] = ()
) -> tuple[int, str]:
    """Run a command line with a terminal for its output: the exit code, and all that was written to the terminal.

    An interrupt is sent when the first text of `interrupt_at` has been written, and so on.
    """
    awaited = [text.encode() for text in interrupt_at]
    ours, theirs = pty.openpty()
    settings = {"TERM": "xterm", "COLUMNS": "100", **(env or {})}
    with subprocess.Popen(
        command(*arguments), cwd=cwd, env=environment(settings), stdin=theirs, stdout=theirs, stderr=theirs
    ) as run:
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 65536):
                written += piece
                if awaited and awaited[0] in written:
                    del awaited[0]
                    run.send_signal(signal.SIGINT)
        except OSError:  # how Linux tells that the other end is closed
            pass
    os.close(ours)
    return run.returncode, written.decode()


def test_bars_while_it_runs_then_saved_files_and_the_summary(file: File, pack: Path, tmp_path: Path):
    code, written = on_terminal("run", file("sum.yaml", SUM), "--nodes", pack, cwd=tmp_path)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)
    assert code == 0
    assert "0/3" in text
    assert "3/3" in text
    assert f"saved {Path('output', 'sum.txt')}\r\n" in text
    assert re.search(r"3 nodes: 3 run, \d+\.\d s\r\n$", text)
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # the cursor is shown again


def test_problems_of_a_run_stand_below_the_bars(file: File, pack: Path, tmp_path: Path):
    code, written = on_terminal("run", file("half.yaml", HALF), "--nodes", pack, "-v", cwd=tmp_path)
    assert code == 1
    end = written[written.rindex("\x1b[?25h") :]
    assert "'bad' (Fail) failed: ValueError: no luck with 1" in end
    assert "Traceback" in end
    assert "5 nodes: 2 run, 1 failed, 2 skipped" in end


def test_colours_only_where_they_are_wanted(file: File, tmp_path: Path):
    path = file("bad.yaml", "nodegraph: 1\nnodes:\n  a: {uses: Nope}\n")
    coloured = on_terminal("check", path, cwd=tmp_path)
    plain = on_terminal("check", path, cwd=tmp_path, env={"NO_COLOR": "1"})
    dumb = on_terminal("check", path, cwd=tmp_path, env={"TERM": "dumb"})
    assert coloured[0] == plain[0] == dumb[0] == 1
    assert "\x1b[1;31m" in coloured[1]
    assert "\x1b" not in plain[1]
    assert "\x1b" not in dumb[1]
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured[1]) == plain[1]


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(file: File, pack: Path, tmp_path: Path):
    code, written = on_terminal("run", file("sum.yaml", SUM), "--nodes", pack, cwd=tmp_path, env={"TERM": "dumb"})
    assert code == 0
    assert "[2/3] sum (Add)" in written
    assert "\x1b" not in written


@pytest.mark.parametrize(("node", "interrupts"), [("Busy", ["1/3"]), ("Deaf", ["1/3", "stopping after this step"])])
def test_an_interrupt_is_told_in_the_bars_and_gives_the_cursor_back(
    file: File, pack: Path, tmp_path: Path, node: str, interrupts: list[str]
):
    nodes = f"  work: {{uses: {node}, with: {{value: 1}}}}\n  file: {{uses: Write, with: {{value: $work}}}}\n"
    path = file("work.yaml", f"nodegraph: 1\nnodes:\n{nodes}")
    code, written = on_terminal("run", path, "--nodes", pack, cwd=tmp_path, interrupt_at=interrupts)
    assert code == 130
    assert "stopping after this step… (again to stop at once)" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert ("stopped; 2 nodes: 2 not run" in written) == (node == "Busy")
