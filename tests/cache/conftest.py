"""Set-up for the tests of stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.cache.remote_support import KINDS, bucket_server, new_address


@pytest.fixture(scope="module")
def buckets() -> Iterator[Callable[[], str]]:
    """Gives the name of a bucket; its server begins when a test needs it."""
    with ExitStack() as stack:
        known: list[str] = []

        def name() -> str:
            if not known:
                known.append(stack.enter_context(bucket_server()))
            return known[0]

        yield name


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path, buckets: Callable[[], str]) -> str:
    """The address of an empty remote cache of each kind."""
    return new_address(request.param, tmp_path, buckets)


@pytest.fixture
def shared_folder(tmp_path: Path) -> str:
    """The address of an empty remote cache in a folder."""
    return f"file://{tmp_path / 'shared'}"
