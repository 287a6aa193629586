"""Options from the configuration file, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.support import Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

NUMBER = """
nodegraph: 1
nodes:
  a: {uses: PrimitiveInt, with: {value: 3}}
  show: {uses: PreviewAny, with: {source: $a}}
"""


def test_a_key_is_the_default_of_its_option(cli: Cli, file: File):
    file("a.yaml", NUMBER)
    file("c.toml", '[run]\nquiet = true\ncache = "off"\n')
    assert "show: 3" in cli("run", "a.yaml").out
    assert cli("run", "a.yaml", "--config", "c.toml").out == ""
    assert "cache: off" in cli("explain", "a.yaml", "--cache", "off").out
    assert "cache: off" not in cli("explain", "a.yaml", "--config", "c.toml").out  # a section is for its command


def test_the_command_line_comes_first(cli: Cli, file: File, tmp_path: Path):
    file("a.yaml", NUMBER)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    file("c.toml", 'model_dir = ["one", "nowhere"]\n')
    assert "--model-dir: there is no such folder" in cli("check", "a.yaml", "--config", "c.toml").err
    assert cli("check", "a.yaml", "--config", "c.toml", "--model-dir", "two").code == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("quiet = true", "fine"),
        ("quiett = true", "c.toml:1:1: the configuration has no key 'quiett'; did you mean 'quiet'?"),
        ("[run]\nport = 1", "c.toml:2:1: the command 'run' has no key 'port'"),
        ("[runn]\nport = 1", "no key 'runn'; did you mean 'run'?"),
        ("quiet = 1", "c.toml:1:9: 'quiet' cannot be 1: it is true or false"),
        ('dtype = "fp99"', "c.toml:1:9: 'dtype' cannot be 'fp99': it is one of"),
        ('cache_size = "x"', "c.toml:1:14: 'cache_size' cannot be 'x'"),
        ("quiet", "c.toml:1:6: the TOML cannot be parsed"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(cli: Cli, file: File, text: str, told: str):
    file("a.yaml", NUMBER)
    file("c.toml", text)
    outcome = cli("check", "a.yaml", "--config", "c.toml")
    assert told in outcome.out + outcome.err
    assert outcome.code == (0 if told == "fine" else 1)
    assert cli("check", "--help", "--config", "c.toml").code == 0


def test_the_configuration_is_shown_with_its_places(cli: Cli, file: File):
    file("c.toml", 'device = "cpu"\n[run]\nquiet = true\n')
    shown = cli("config", "show", "--config", "c.toml").out
    assert 'device = "cpu"  # c.toml:1:10' in shown
    assert "[run]\nquiet = true  # c.toml:3:9" in shown
    assert "# cache_dir  (" in shown
    data = cli("config", "show", "--config", "c.toml", "--json").json
    assert data["keys"]["run"] == {"quiet": {"value": True, "from": "c.toml:3:9"}}
    assert cli("config", "path", "--config", "c.toml").out == "c.toml\n"


def test_a_configuration_that_is_not_there_is_told_only_if_it_was_named(cli: Cli, file: File):
    file("a.yaml", NUMBER)
    assert cli("check", "a.yaml").code == 0
    assert "there is no file gone.toml" in cli("check", "a.yaml", "--config", "gone.toml").err
