"""The canvas's JSDoc types hold."""

from __future__ import annotations

import pytest

from tests.web.support import IN_CI, TOOLS, WEB, find_node, node

TSC = TOOLS / "node_modules" / "typescript" / "bin" / "tsc"


def test_the_canvas_passes_the_type_checker() -> None:
    if find_node() is None or not TSC.is_file():
        reason = "run 'make web-tools' to bring TypeScript"
        pytest.fail(reason) if IN_CI else pytest.skip(reason)
    done = node(TSC, "--project", WEB, "--pretty", "false")
    assert done.returncode == 0, done.stdout
