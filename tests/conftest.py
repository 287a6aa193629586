"""Set-up for all tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every run, so that a failure is met by whoever caused it.
# HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))


# Several processes of tests share the cores already; read by torch when it is first imported, here and in programs.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_tests() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """Neither the results nor the configuration of whoever runs the tests take part in them."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as home:
        patch.setenv("XDG_CONFIG_HOME", str(Path(home) / "config"))
        patch.setenv("XDG_CACHE_HOME", str(Path(home) / "cache"))
        yield


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the results of one test are kept: no test knows what another one has made."""
    home = tmp_path_factory.mktemp("cache", numbered=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home
