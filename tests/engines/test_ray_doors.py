"""The doors of the Ray engine: a run and a server that join a cluster, one of its own, and one without tokens."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.ray_support import RayCluster, ray_cluster
from tests.engines.support import PACK
from tests.server.process import Served

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> RayCluster:
    """The cluster; without Ray all of these tests are skipped."""
    return ray_cluster()


OPEN = """
import sys, ray
made = ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=80 << 20)
print(made.address_info["address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""


OWN = """
import sys
from pathlib import Path
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.registry import load_registry
from nodegraph.workflow.read import load_text

folder, pack = map(Path, sys.argv[1:])
settings = Settings(engine="ray:local", device="cpu", cache_dir=folder / "cache")
with Session(settings, load_registry([pack])) as session:
    result = session.run(load_text("{nodegraph: 1, nodes: {w: {uses: Where}}}").workflow, only=["w"])
    children = Path("/proc/self/task").glob("*/children")
    print(result.status, *[pid for file in children for pid in file.read_text().split()])
"""


@pytest.fixture(scope="module")
def open_cluster(cluster: RayCluster) -> Iterator[str]:
    """The address of a cluster that asks for no token."""
    head = subprocess.Popen(
        [sys.executable, "-c", OPEN],
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert head.stdout is not None
    yield head.stdout.readline().strip()
    head.communicate("")


def nodegraph(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`nodegraph run` of a workflow with a node that is done in the cluster."""
    (folder / "packs").mkdir(exist_ok=True)
    (folder / "packs" / PACK.name).write_bytes(PACK.read_bytes())
    (folder / "flow.yaml").write_text("nodegraph: 1\nnodes:\n  says: {uses: Says, with: {steps: 2}}\n")
    command = [sys.executable, "-m", "nodegraph", "run", "flow.yaml", "--only", "says", "--nodes", "packs", "--json"]
    return subprocess.run(
        [*command, "--device", "cpu", *options],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def told(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """The events of a run, with nothing of Ray's among them."""
    return [json.loads(line) for line in run.stdout.splitlines()]


def test_a_cluster_without_tokens_is_refused_although_it_would_let_us_in(open_cluster: str, tmp_path: Path):
    refused = nodegraph(tmp_path, "--engine", f"ray:{open_cluster}")
    assert refused.returncode == 1
    assert "asks for no token" in refused.stdout
    assert "--allow-unauthenticated-ray" in refused.stdout
    options = ["--engine", f"ray:{open_cluster}", "--allow-unauthenticated-ray"]
    allowed = nodegraph(tmp_path, *options, RAY_AUTH_MODE="disabled")
    assert allowed.returncode == 0, allowed.stderr
    assert told(allowed)[-1]["status"] == "done"
    assert [event["value"] for event in told(allowed) if event["event"] == "progress"][-1] == 2
    assert "careful" in [event.get("message") for event in told(allowed)]


def test_a_cluster_of_its_own_is_started_for_a_run_and_ends_with_it(tmp_path: Path):
    token = tmp_path / "home" / ".ray" / "auth_token"
    variables = {**os.environ, "HOME": str(tmp_path / "home"), "RAY_AUTH_TOKEN_PATH": str(token)}
    del variables["RAY_AUTH_MODE"]
    begun = subprocess.run(
        [sys.executable, "-c", OWN, str(tmp_path), str(PACK)],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    status, *processes = begun.stdout.split()
    assert status == "done"
    assert processes
    assert not [pid for pid in processes if Path(f"/proc/{pid}/cmdline").exists()]
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


SERVED = """
import os
from nodegraph.node import NO_CONTEXT, Context, node
from nodegraph.sockets import Saved

@node(category="test", deterministic=False)
def Parent(context: Context = NO_CONTEXT) -> str:
    "The program that has started the process which does this."
    from pathlib import Path
    return Path(f"/proc/{os.getppid()}/cmdline").read_text().split(chr(0))[0]

@node(category="test", light=True, output_node=True)
def Show(text: str) -> Saved:
    "Show a text."
    return Saved(shown={"text": [text]})
"""


def test_jobs_of_a_server_are_done_in_the_cluster(cluster: RayCluster, tmp_path: Path):
    known = {name: value for name, value in os.environ.items() if name == "PYTHONPATH" or name.startswith("RAY_")}
    with Served(tmp_path, "--engine", f"ray:{cluster.address}", pack=SERVED, env=known) as server:
        text = "nodegraph: 1\nnodes:\n  p: {uses: Parent}\n  s: {uses: Show, with: {text: $p}}\n"
        job = server.wait(server.submit(text)["id"])
    assert job["state"] == "done", job
    assert "raylet" in json.dumps(job)
