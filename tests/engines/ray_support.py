"""A Ray cluster for tests: one machine, which asks for a token. Started when the first test wants it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nodegraph.engines.hello import Setup, hello_of
from nodegraph.engines.ray import RayTransport
from nodegraph.engines.ray_cluster import NAMESPACE, RayOptions
from nodegraph.engines.ray_security import make_token
from nodegraph.engines.remote import RemoteEngine
from tests.engines.support import SETUP, registry

STORE_BYTES = 80 << 20  # about the least that Ray takes
BEAT = 0.5


@dataclass(slots=True)
class RayCluster:
    """The cluster, which more machines may join."""

    cluster: Any
    address: str
    home: tempfile.TemporaryDirectory[str]
    patch: pytest.MonkeyPatch

    def add(self, **options: Any) -> Any:
        """One more machine."""
        return self.cluster.add_node(object_store_memory=STORE_BYTES, **options)

    def kill(self, machine: Any) -> None:
        """End a machine as a loss of power does."""
        self.cluster.remove_node(machine, allow_graceful=False)


_running: list[RayCluster] = []


@cache
def ray_cluster() -> RayCluster:
    """The cluster of this process of tests, with one CPU to give. Skips the test where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip('Ray is not installed: pip install "nodegraph[ray]"')
    patch, home = pytest.MonkeyPatch(), tempfile.TemporaryDirectory()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN_PATH", str(Path(home.name) / "auth_token"))
    patch.setenv("RAY_worker_niceness", "0")  # Ray has workers give way to other programs otherwise
    patch.delenv("RAY_AUTH_TOKEN", raising=False)
    patch.delenv("RAY_ADDRESS", raising=False)
    patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    make_token(os.environ)
    ray: Any = importlib.import_module("ray")
    options = {"num_cpus": 1, "resources": {"vram_gb": 8}, "include_dashboard": False}
    made: Any = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={**options, "object_store_memory": STORE_BYTES}
    )
    ray.init(address=made.address, namespace=NAMESPACE, log_to_driver=False, logging_level="error")
    importlib.import_module("ray._private.worker")._worker_logs_enabled = False  # type: ignore[attr-defined]
    found = RayCluster(made, str(made.address), home, patch)
    _running.append(found)
    return found


def end_ray() -> None:
    """End the cluster, if one was started."""
    while _running:
        found = _running.pop()
        importlib.import_module("ray").shutdown()
        found.cluster.shutdown()
        found.patch.undo()
        found.home.cleanup()


def ray_engine(
    *,
    setup: Setup = SETUP,
    named: int = 1,
    grace: float = 10.0,
    near: bool = True,
    **options: Any,
) -> RemoteEngine:
    """An engine with workers in the cluster."""
    address = ray_cluster().address
    transport = RayTransport(
        RayOptions(address, **options), setup, lambda: hello_of(setup, registry()), named=named, near=near, beat=BEAT
    )
    return RemoteEngine(transport, lambda: hello_of(setup, registry()), grace=grace)
