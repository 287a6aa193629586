"""The parts of the canvas that need no page, tested by `node --test` where they are: web/test."""

from __future__ import annotations

import pytest

from tests.web.support import WEB, find_node, node

FILES = sorted((WEB / "test").glob("**/*.test.mjs"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_in_node(file: object) -> None:
    if find_node() is None:
        pytest.skip("there is no node; pyright[nodejs] brings one")
    done = node("--test", str(file), cwd=WEB)
    assert done.returncode == 0, done.stdout
