"""A process in a Ray cluster: it joins one, or starts one of its own if that is asked for, and leaves it again."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import threading
from dataclasses import dataclass
from typing import Any, Final

from nodegraph.engines.ray_seats import Machine
from nodegraph.engines.ray_security import (
    MODE,
    check_protected,
    check_reachable,
    hide_token,
    make_token,
    token_problem,
)
from nodegraph.errors import Problem, ProblemError

LOCAL: Final = "local"
AUTO: Final = "auto"
NAMESPACE: Final = "nodegraph"
LEAST: Final = (2, 60)  # the first version that asks for tokens by itself where it is started by a program
USAGE: Final = "RAY_USAGE_STATS_ENABLED"  # Ray tells its makers how it is used, unless this is 0
HANDLER: Final = "RAY_DISABLE_FAILURE_SIGNAL_HANDLER"  # it prints stacks where a program is told to end
STORE_SHARE: Final = 0.3  # of memory, for values on their way; Ray's own share, with a bound
STORE_BYTES: Final = 2 << 30


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Which cluster, and what is asked of it.

    address: of its head, `auto` for the one that RAY_ADDRESS names or that runs on this machine, `local` to start one
    for as long as this is used. unauthenticated: one that asks for no token, if RAY_AUTH_MODE is not token. wait:
    seconds to wait for machines that the cluster adds when they are asked for; without, what it does not have is
    reported at once. vram: gigabytes that the device of each worker has to have.
    """

    address: str = AUTO
    unauthenticated: bool = False
    wait: float = 0.0
    vram: float = 0.0


def check_options(options: RayOptions) -> None:
    """What can be told without Ray, so before anything runs. Raises ProblemError."""
    if importlib.util.find_spec("ray") is None:
        raise ProblemError(_not_installed())
    if "://" in options.address:
        raise ProblemError(
            Problem(
                "bad_value",
                f"{options.address} is no address of a cluster's head; Ray Client is not used",
                got=options.address,
                hint="name the head as ray:HOST:6379",
            )
        )
    problem = token_problem(os.environ, starting=options.address == LOCAL)
    if problem is not None and not is_trusting(options):
        raise ProblemError(problem)


def is_trusting(options: RayOptions) -> bool:
    """Whether a cluster is used that asks for no token. In token mode that cannot be: its workers would not be let in
    here."""
    return options.unauthenticated and os.environ.get(MODE, "").lower() != "token"


class Cluster:
    """The cluster that this process is in. own: this object brought it there, and takes it out again."""

    def __init__(self, options: RayOptions) -> None:
        self.trusting = is_trusting(options)
        if self.trusting:
            os.environ[MODE] = "disabled"  # or Ray goes into token mode by itself where it finds a token
        self.ray: Any = ray_module()
        self.options = options
        self.own = False

    def join(self) -> None:
        """Join the cluster, or start it. Raises ProblemError for one that cannot be reached or must not be used."""
        starting = self.options.address == LOCAL
        there: bool = self.ray.is_initialized()
        if not self.trusting:
            problem = token_problem(os.environ, starting=starting and not there)
            if problem is not None:
                raise ProblemError(problem)
        if there:  # a program that uses Ray for other things, too
            self._check(self.ray.get_runtime_context().gcs_address)
        elif starting:
            self._start()
        else:
            address = self._address()
            check_reachable(address)
            self._check(address)
            self._init(address=address)
        hide_token(os.environ)

    def machines(self) -> list[Machine]:
        """The machines that are there now."""
        return [
            Machine(str(node["NodeManagerHostname"] or node["NodeManagerAddress"]), dict(node["Resources"]))
            for node in self.ray.nodes()
            if node["Alive"]
        ]

    def leave(self) -> None:
        """Leave it, if this object joined it; one that was started ends."""
        if self.own:
            self.own = False
            self.ray.shutdown()

    def _check(self, address: str) -> None:
        if not self.trusting:
            check_protected(address, os.environ)

    def _start(self) -> None:
        os.environ.setdefault(USAGE, "0")
        if not self.trusting:
            make_token(os.environ)
        store = STORE_BYTES
        if hasattr(os, "sysconf"):
            store = min(store, int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * STORE_SHARE))
        # Ray goes into token mode here by itself; what is set after its import, it does not see.
        self._init(address=LOCAL, include_dashboard=False, object_store_memory=store)
        problem = None if self.trusting else token_problem(os.environ, starting=False)
        if problem is not None:
            self.leave()
            raise ProblemError(problem)

    def _address(self) -> str:
        """The cluster's address as host:port."""
        services: Any = importlib.import_module("ray._private.services")
        address = self.options.address
        try:
            found = services.canonicalize_bootstrap_address(None if address == AUTO else address)
        except (ValueError, ConnectionError) as error:
            raise ProblemError(
                Problem("bad_value", f"{address} is no address of a Ray cluster: {error}", got=address, hint=_HINT)
            ) from None
        if not found:
            raise ProblemError(Problem("cluster_unreachable", "no Ray cluster runs on this machine", hint=_HINT))
        return str(found)

    def _init(self, **options: Any) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)  # from a thread, it says that it does not catch SIGTERM
        try:
            self.ray.init(
                namespace=NAMESPACE, log_to_driver=False, configure_logging=False, logging_level="error", **options
            )
        except Exception as error:
            said = " ".join(str(error).split())
            raise ProblemError(
                Problem(
                    "cluster_unreachable",
                    f"Ray does not start or join: {said[:400] or type(error).__name__}",
                    got=options["address"],
                    hint="all machines need the same versions of Python and Ray",
                )
            ) from error
        self.own = True
        # It would print what it has to say of workers that died to the standard output, where results are.
        with contextlib.suppress(ImportError):
            worker: Any = importlib.import_module("ray._private.worker")
            worker._worker_logs_enabled = False


_HINT: Final = (
    "name its head with ray:HOST:6379, start one with `ray start --head`, or use ray:local, which starts one on "
    "this machine for as long as it is needed"
)

_importing = threading.Lock()


def _not_installed() -> Problem:
    message = "the engine 'ray' needs the package ray"
    return Problem("missing_package", message, got="ray", hint='pip install "nodegraph[ray]"')


def ray_module() -> Any:
    """Ray. Raises ProblemError if it is not installed, or too old to ask for tokens."""
    if importlib.util.find_spec("ray") is None:
        raise ProblemError(_not_installed())
    os.environ.setdefault(HANDLER, "1")
    with _importing:
        ray: Any = importlib.import_module("ray")
    version: str = getattr(ray, "__version__", "0.0")
    parts = [int(part) if part.isdigit() else 0 for part in version.split(".")[:2]]
    if tuple(parts) < LEAST:
        raise ProblemError(
            Problem(
                "missing_package",
                f"Ray {version} is too old",
                got=version,
                expected="2.60 or newer",
                hint='pip install "nodegraph[ray]"',
            )
        )
    return ray
