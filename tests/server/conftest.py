"""One server for the tests of a file; those that change how it listens start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.support import Server, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A running server with an empty queue and empty folders."""
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running
