"""One server for all tests of this folder: its worker takes seconds to come up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.comfy.support import Running, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("comfy")) as running:
        yield running
