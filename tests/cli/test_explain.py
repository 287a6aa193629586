from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cli.support import SUM, Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]


def test_what_would_run_and_why(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    first = cli("explain", path, "--nodes", pack)
    assert first.lines[0] == "first  runs    it has not run here before"
    assert first.lines[-1] == "3 nodes: 3 to run, 0 cached"
    assert not Path("output").exists()
    assert cli("run", path, "--nodes", pack).code == 0
    assert cli("explain", path, "--nodes", pack).lines[:-1] == ["first  cached", "sum    cached", "file   cached"]
    changed = cli("explain", path, "--nodes", pack, "--set", "start=7")
    assert changed.lines == [
        "first  runs    value was 2, is 7",
        "sum    runs    follows first: value was 2, is 7",
        "file   runs    follows first: value was 2, is 7",
        "3 nodes: 3 to run, 0 cached",
    ]


def test_as_json(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    cli("run", path, "--nodes", pack)
    data = cli("explain", path, "--nodes", pack, "--set", "start=7", "--json").json
    assert (data["hits"], data["runs"]) == (0, 3)
    first, total, _ = data["nodes"]
    assert first == {
        "node": "first",
        "type": "Number",
        "action": "run",
        "reason": "input_changed",
        "field": "value",
        "old": 2,
        "new": 7,
        "root": {"node": "first", "reason": "input_changed", "field": "value", "old": 2, "new": 7},
    }
    assert total["reason"] == "upstream_changed"
    assert total["root"] == first["root"]


def test_a_dry_run_says_it_and_does_nothing(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    dry = cli("run", path, "--nodes", pack, "--dry-run")
    assert (dry.code, dry.lines[-1]) == (0, "3 nodes: 3 to run, 0 cached")
    assert not Path("output").exists()
    assert cli("explain", path, "--nodes", pack).lines[-1] == "3 nodes: 3 to run, 0 cached"


def test_a_run_can_say_it_first(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    cli("run", path, "--nodes", pack)
    run = cli("run", path, "--nodes", pack, "--explain", "--only", "sum", "--cache", "off")
    assert run.lines[0] == "first  runs    cache: off"
    assert run.lines[-1].startswith("2 nodes: 2 run, ")
    events = cli("run", path, "--nodes", pack, "--explain", "--json").events
    assert [event["event"] for event in events][:2] == ["explained", "planned"]
    assert events[0]["hits"] == events[1]["cached"] == 3


def test_a_run_writes_its_manifest_where_it_is_told(cli: Cli, file: File, pack: Path):
    assert cli("run", file("sum.yaml", SUM), "--nodes", pack, "--manifest", "runs/m.json").code == 0
    assert cli("verify", "runs/m.json", "--nodes", pack).lines[-1] == "the same: 3 nodes compared"


def test_mistakes_of_the_file_come_first(cli: Cli, file: File):
    broken = cli("explain", file("broken.yaml", "nodegraph: 1\nnodes:\n  a: {uses: Nubmer}\n"))
    assert broken.code == 1
    assert "broken.yaml:3" in broken.err
    assert broken.out == ""


def test_results_outlive_the_command_and_refresh_makes_them_anew(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    cli("run", path, "--nodes", pack)
    Path("output/sum.txt").unlink()
    assert cli("run", path, "--nodes", pack).lines[-1].startswith("3 nodes: 3 cached, ")
    assert Path("output/sum.txt").read_text() == "5"
    for cache, ending in (("refresh", "3 run"), ("off", "3 run"), ("auto", "3 cached"), ("memory", "3 cached")):
        assert f"3 nodes: {ending}, " in cli("run", path, "--nodes", pack, "--cache", cache).lines[-1]
    elsewhere = cli("run", path, "--nodes", pack, "--cache-dir", "mine")
    assert "3 nodes: 3 run, " in elsewhere.lines[-1]
    assert Path("mine/v1/index.db").is_file()


def test_results_kept_in_memory_do_not_outlive_the_command(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    for _ in range(2):
        assert "3 nodes: 3 run, " in cli("run", path, "--nodes", pack, "--cache", "memory").lines[-1]


def test_a_folder_that_cannot_hold_results_is_told_of_and_the_run_goes_on(cli: Cli, file: File, pack: Path):
    file("taken", "")
    run = cli("run", file("sum.yaml", SUM), "--nodes", pack, "--cache-dir", "taken")
    assert run.code == 0
    assert run.err.count("warning:") == 1
    assert "--cache-dir" in run.err
    assert Path("output/sum.txt").read_text() == "5"


def test_the_configuration_names_the_folder(cli: Cli, file: File, pack: Path, monkeypatch: object):
    import os

    config = Path(os.environ["XDG_CONFIG_HOME"]) / "nodegraph" / "nodegraph.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('cache_dir = "kept"\n')
    try:
        cli("run", file("sum.yaml", SUM), "--nodes", pack)
        assert Path("kept/v1/index.db").is_file()
        config.write_text('cache_dri = "kept"\n')
        broken = cli("run", "sum.yaml", "--nodes", pack)
        assert broken.code == 1
        assert "nodegraph.toml:1:1" in broken.err
    finally:
        config.unlink()
