from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.cli.support import SUM, Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

#: A text too long for the index.
LONG = """\
nodegraph: 1
nodes:
  long: {uses: Repeat}
  tell: {uses: Length, with: {text: $long}}
"""
LONG_PACK = '''
from nodegraph.node import node
from nodegraph.sockets import Saved


@node(category="test", numeric=False)
def Repeat(times: int = 20_000) -> str:
    """A long text, slowly made."""
    return "x" * (times + sum(range(3_000_000)) * 0)


@node(category="test", output_node=True, light=True)
def Length(text: str, plus: int = 0) -> Saved:
    """How long a text is."""
    return Saved(shown={"length": len(text) + plus})
'''


def test_info_tells_sizes_and_rates(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    for _ in range(2):
        cli("run", path, "--nodes", pack)
    data = cli("cache", "info", "--json").json
    assert data["results"] == 3
    assert data["copies"] == 1
    types = {each["type"]: each for each in data["types"]}
    assert set(types) == {"Number", "Add", "Write"}
    assert all((each["hits"], each["runs"], each["results"]) == (1, 1, 1) for each in types.values())
    shown = cli("cache", "info")
    assert shown.code == 0
    assert shown.lines[0] == data["folder"]
    assert any(line.startswith("Add ") and " 50% " in line for line in shown.lines)


def test_verify_drops_what_is_damaged(cli: Cli, file: File):
    file("packs/long.py", LONG_PACK)
    path = file("long.yaml", LONG)
    assert "20000" in cli("run", path, "--nodes", "packs", "--cache-dir", "kept").out
    assert cli("cache", "verify", "--cache-dir", "kept").code == 0
    (blob,) = Path("kept").rglob("*.safetensors")
    data = bytearray(blob.read_bytes())
    data[-5] ^= 1
    blob.write_bytes(data)
    checked = cli("cache", "verify", "--cache-dir", "kept", "--json")
    assert checked.code == 1
    assert checked.json["damaged"] == 1
    assert not blob.exists()
    assert cli("cache", "verify", "--cache-dir", "kept").code == 0
    assert "1 run, 1 cached" in cli("run", path, "--nodes", "packs", "--cache-dir", "kept").lines[-1]


def test_gc_keeps_to_the_budget_and_removes_what_is_left_over(cli: Cli, file: File):
    file("packs/long.py", LONG_PACK)
    cli("run", file("long.yaml", LONG), "--nodes", "packs", "--cache-dir", "kept")
    (blob,) = Path("kept").rglob("*.safetensors")
    broken = Path("kept/v1/broken/old.safetensors")
    broken.write_bytes(b"x" * 100)
    stray = Path("kept/v1/partial/left-by-nobody")
    stray.write_bytes(b"x")
    os.utime(stray, (1e9, 1e9))
    assert cli("cache", "gc", "--cache-dir", "kept").code == 0
    assert blob.exists()
    assert not broken.exists()
    assert not stray.exists()
    freed = cli("cache", "gc", "--cache-dir", "kept", "--size", "1k", "--json").json
    assert freed["bytes"] >= 20_000
    assert not blob.exists()
    assert "2 cached" in cli("run", "long.yaml", "--nodes", "packs", "--cache-dir", "kept").lines[-1]


def test_clear_forgets_everything(cli: Cli, file: File, pack: Path):
    path = file("sum.yaml", SUM)
    cli("run", path, "--nodes", pack, "--cache-dir", "kept")
    assert cli("cache", "clear", "--cache-dir", "kept").code == 0
    assert cli("cache", "info", "--cache-dir", "kept", "--json").json["results"] == 0
    assert [path for path in Path("kept").rglob("*") if path.is_file() and not path.name.startswith("index.db")] == []
    assert "never" not in cli("explain", path, "--nodes", pack).out
    assert cli("explain", path, "--nodes", pack, "--cache-dir", "kept").out.count("it has not run here before") == 3


def test_a_folder_that_is_no_cache(cli: Cli, file: File):
    file("taken", "")
    for action in ("info", "verify", "gc", "clear"):
        broken = cli("cache", action, "--cache-dir", "taken")
        assert broken.code == 1
        assert "taken" in broken.err
        assert "Traceback" not in broken.err
