"""A remote cache from the command line: a second machine, a cache that is looked after, and mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nodegraph.resources import example
from tests.cache.remote_support import bucket_server, names
from tests.cli.support import environment, program

#: Imports what the server process does when it starts, then says which libraries of remote caches came along.
SPY = """
import sys
import nodegraph.cli.main, nodegraph.cli.serve, nodegraph.cli.serving, nodegraph.server.app, nodegraph.jobs.service
print(*[name for name in ("fsspec", "s3fs", "botocore") if name in sys.modules])
"""


@pytest.fixture(scope="module")
def short_hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first example with two steps."""
    path, shipped = tmp_path_factory.mktemp("short") / "hello.yaml", example("hello")
    assert shipped is not None
    text = shipped.read_text()
    assert "steps: 20" in text
    path.write_text(text.replace("steps: 20", "steps: 2"))
    return path


def run(folder: Path, file: Path, address: str, *arguments: str) -> dict[str, list[str]]:
    """What became of the nodes of a run, on a machine of its own."""
    folder.mkdir(exist_ok=True)
    env = {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = program("run", str(file), "--json", "--remote-cache", address, *arguments, cwd=folder, env=env)
    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    return {
        kind: [each["node"] for each in events if each["event"] == kind] for kind in ("finished", "cached", "warned")
    }


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_a_second_machine_draws_hello_without_running_a_node(kind: str, short_hello: Path, tmp_path: Path):
    if kind == "s3":
        with bucket_server() as bucket:
            draws_the_same(short_hello, f"s3://{bucket}/some/prefix", tmp_path)
    else:
        draws_the_same(short_hello, f"file://{tmp_path / 'shared'}", tmp_path)


def draws_the_same(file: Path, address: str, folder: Path) -> None:
    first = run(folder / "a", file, address)
    assert (len(first["finished"]), first["warned"]) == (7, [])
    second = run(folder / "b", file, address, "--remote-cache-mode", "read")
    assert (second["finished"], len(second["cached"]), second["warned"]) == ([], 7, [])
    pictures = [(folder / name / "output" / "hello_00001_.png").read_bytes() for name in ("a", "b")]
    assert pictures[0] == pictures[1]


def test_a_remote_cache_is_looked_after(tmp_path: Path):
    address = f"file://{tmp_path / 'shared'}"
    file = tmp_path / "w.yaml"
    file.write_text("nodegraph: 1\nnodes:\n  n: {uses: PrimitiveInt, with: {value: 3}}\noutputs: {n: $n}\n")
    run(tmp_path / "a", file, address)
    (tmp_path / "a" / "c.toml").write_text(f'remote_cache = "{address}"\n')
    given = ["--config", "c.toml", "--cache-dir", "cache"]
    info = program("cache", "info", "--json", *given, cwd=tmp_path / "a")
    assert json.loads(info.out)["remote"] | {"bytes": 0} == {
        "address": address, "mode": "read-write", "results": 1, "objects": 1, "bytes": 0,
    }  # fmt: skip
    assert f"remote cache {address} (read-write): 1 results" in program("cache", "info", *given, cwd=tmp_path / "a").out
    assert program("cache", "gc", "--remote", *given, cwd=tmp_path / "a").code == 0
    assert len(names(address)) == 1  # it is not old
    done = program("cache", "gc", "--remote", "--older-than", "0", "--json", *given, cwd=tmp_path / "a")
    assert json.loads(done.out)["remote"]["results"] == 1


def test_what_cannot_be_written_at_the_end_is_told(tmp_path: Path):
    file = tmp_path / "w.yaml"
    file.write_text("nodegraph: 1\nnodes:\n  n: {uses: PrimitiveInt, with: {value: 3}}\noutputs: {n: $n}\n")
    (tmp_path / "shared" / "nodegraph-1").mkdir(parents=True)
    (tmp_path / "shared" / "nodegraph-1" / "partial").write_text("no folder")
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = program("run", str(file), "--remote-cache", f"file://{tmp_path}/shared", cwd=tmp_path, env=env)
    assert done.code == 0
    assert (done.out + done.err).count("does not answer (partial is not a folder)") == 1


def test_there_is_nothing_to_look_after_without_a_remote_cache(tmp_path: Path):
    done = program("cache", "gc", "--remote", "--cache-dir", str(tmp_path), cwd=tmp_path)
    assert done.code == 1
    assert "there is no remote cache" in done.err


def test_passwords_in_addresses_are_refused_and_shown_nowhere(tmp_path: Path):
    option = program("run", "hello", "--remote-cache", "s3://key:hush@bucket/x", cwd=tmp_path)
    (tmp_path / "c.toml").write_text('remote_cache = "s3://key:hush@bucket/x"\n')
    config = program("run", "hello", "--config", "c.toml", cwd=tmp_path)
    for done in (option, config):
        assert done.code == 2 or done.code == 1
        assert "holds no name or password" in done.err
        assert "hush" not in done.out + done.err


def test_the_server_process_imports_no_library_of_remote_caches(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", SPY], cwd=tmp_path, env=environment({}), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
