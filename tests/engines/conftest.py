"""Set-up for tests of engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines.ray_support import end_ray


@pytest.fixture(scope="session", autouse=True)
def _end_of_ray() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """A Ray cluster that tests have started ends with them."""
    yield
    end_ray()
