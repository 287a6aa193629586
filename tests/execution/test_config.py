"""The user's configuration file."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import ProblemError
from nodegraph.execution.config import bytes_of, config_file, load_config, user_settings
from nodegraph.execution.settings import Settings, default_cache_folder


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = config_file()
    assert path == tmp_path / "nodegraph" / "nodegraph.toml"
    path.parent.mkdir()
    return path


def test_without_a_file_the_defaults_hold(config: Path, cache_home: Path):
    assert user_settings() == Settings()
    assert Settings().cache_dir == cache_home / "nodegraph" == default_cache_folder()


def test_the_file_changes_what_it_names(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config.write_text(
        'cache_dir = "~/kept"\ncache-size = "5 GB"\ncache_free = "100M"\ncache_memory = "1.5gib"\n'
        'model_memory = 4000000000\ncustom_nodes = "~/packs"\n[run]\ncache_size = "1 GB"\n'
    )
    found = user_settings()
    assert found.custom_nodes == (tmp_path / "packs",)
    assert found.cache_dir == tmp_path / "kept"
    assert (found.cache_size, found.free_space) == (5 << 30, 100 << 20)
    assert (found.cache_memory, found.model_memory) == (3 << 29, 4_000_000_000)


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ('cache_size = "lots"', "an amount", "1:14"),
        ("\ncache_size = -1", "an amount", "2:14"),
        ("cache_dir = 3", "a folder", "1:13"),
        ("cache_size = [1]", "an amount", "1:14"),
        ("custom_nodes = 5", "a folder or a list of folders", "1:16"),
        ("allow_pack = [1]", "a list of names", "1:14"),
        ("device = 1", "a device", "1:10"),
        ("cache_size = ", "cannot be parsed", "1:14"),
        ("a = 1\na = 2", "cannot be parsed", "2:"),
        ("- 1", "cannot be parsed", "1:"),
    ],
)
def test_a_mistake_is_told_with_its_place(config: Path, text: str, message: str, place: str):
    config.write_text(text)
    with pytest.raises(ProblemError) as caught:
        user_settings()
    told = "\n".join(problem.render() for problem in caught.value.problems)
    assert message in told
    assert f"nodegraph.toml:{place}" in told


def test_sections_are_for_commands(config: Path):
    config.write_text('device = "cpu"\n[serve]\nport = 80\ndevice = "cuda"\n')
    loaded = load_config()
    assert {key: entry.value for key, entry in loaded.of("serve").items()} == {"device": "cuda", "port": 80}
    assert {key: entry.value for key, entry in loaded.of("run").items()} == {"device": "cpu"}


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NODEGRAPH_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(ProblemError) as caught:
        user_settings()
    assert [problem.code for problem in caught.value.problems] == ["file_not_found"]


@given(st.text(max_size=60))
def test_no_text_makes_it_fail_otherwise(text: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with contextlib.suppress(ProblemError):
            load_config(path)


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
