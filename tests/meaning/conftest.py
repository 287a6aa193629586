from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodegraph import Session, Settings
from tests.meaning.drawing import Easel

Figure = Callable[[str, float], float]


@pytest.fixture(scope="session")
def easel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Easel]:
    """One for all tests, so that the model is loaded once and no picture is drawn twice."""
    folder = tmp_path_factory.mktemp("easel")
    (folder / "input").mkdir()
    settings = Settings(
        output=folder / "output", inputs=(folder / "input",), models=(Path("models"), folder / "models"), cache_dir=None
    )
    with Session(settings) as session:
        yield Easel(session, folder / "input", folder / "models")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Notes a measured figure in the report of the tests (`pytest --junitxml`), and gives it back."""

    def noted(name: str, value: float) -> float:
        record_property(name, f"{value:.3f}")
        return value

    return noted
