from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from jsonschema import Draft202012Validator

from tests.cli.support import Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]


def test_the_schema_knows_the_nodes_of_all_packs(cli: Cli, pack: Path):
    done = cli("schema", "--nodes", pack)
    assert (done.code, done.err) == (0, "")
    Draft202012Validator.check_schema(done.json)
    validator = Draft202012Validator(done.json)
    right = {"nodegraph": 1, "nodes": {"a": {"uses": "Add", "with": {"a": 1}}}}
    assert validator.is_valid(right)
    right["nodes"]["a"]["with"]["c"] = 2
    assert not validator.is_valid(right)


def test_it_is_written_whole_to_a_file(cli: Cli, file: File, tmp_path: Path):
    path = file("schema.json", "old")
    done = cli("schema", "-o", path)
    assert (done.code, done.out) == (0, "")
    assert json.loads(path.read_text(encoding="utf-8")) == cli("schema").json
    assert [entry.name for entry in tmp_path.iterdir()] == ["schema.json"]


def test_folders_on_the_way_are_made(cli: Cli, tmp_path: Path):
    assert cli("schema", "-o", ".nodegraph/schema.json").code == 0
    assert (tmp_path / ".nodegraph" / "schema.json").is_file()


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_left(cli: Cli, file: File, tmp_path: Path):
    file("taken", "a file")
    done = cli("schema", "-o", "taken/schema.json")
    assert done.code == 1
    assert f"{Path('taken', 'schema.json')} cannot be written" in done.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken"]
