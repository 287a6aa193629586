from __future__ import annotations

import pytest

from nodegraph.registry import Registry
from tests.packs.support import PACKS, load


@pytest.fixture(scope="session")
def packs() -> Registry:
    """The built-in nodes and those of our packs."""
    return load(PACKS, builtin=True)
