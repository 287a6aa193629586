"""The user's configuration file."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegraph.errors import ProblemError
from nodegraph.execution.config import bytes_of, config_file, user_settings
from nodegraph.execution.settings import Settings, default_cache_folder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = config_file()
    assert path == tmp_path / "nodegraph" / "config.yaml"
    path.parent.mkdir()
    return path


def test_without_a_file_the_defaults_hold(config: Path, cache_home: Path):
    assert user_settings() == Settings()
    assert Settings().cache_dir == cache_home / "nodegraph" == default_cache_folder()


def test_the_file_changes_what_it_names(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config.write_text("cache: {dir: ~/kept, size: 5 GB, free: 100M, memory: 1.5gib}\nmodels:\n  memory: 4000000000\n")
    found = user_settings()
    assert found.cache_dir == tmp_path / "kept"
    assert (found.cache_size, found.free_space) == (5 << 30, 100 << 20)
    assert (found.cache_memory, found.model_memory) == (3 << 29, 4_000_000_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cash: {dir: x}", "cash"),
        ("cache: {sise: 3}", "did you mean 'size'"),
        ("cache: [1]", "mapping"),
        ("cache: {size: lots}", "amount"),
        ("cache: {size: -1}", "amount"),
        ("cache: {dir: 3}", "a folder"),
        ("cache: {size: [1]}", "amount"),
        ("- 1", "mapping"),
        ("cache: {", "config.yaml:1"),
    ],
)
def test_a_mistake_is_told_with_its_place(config: Path, text: str, message: str):
    config.write_text(text)
    with pytest.raises(ProblemError) as caught:
        user_settings()
    told = "\n".join(problem.render() for problem in caught.value.problems)
    assert message in told
    assert "config.yaml:1" in told


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1),
        ("2k", 2048),
        ("3 MB", 3 << 20),
        ("1.5 GiB", 3 << 29),
        ("1TB", 1 << 40),
        (7, 7),
        ("x", None),
        ("", None),
    ],
)
def test_amounts(text: object, amount: int | None):
    assert bytes_of(text) == amount
    assert bytes_of(True) is None
