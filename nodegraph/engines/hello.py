"""What a worker is made with and says of itself, and whether that fits the driver."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nodegraph.cache.environment import environment_class
from nodegraph.cache.pool import DEFAULT_BUDGET
from nodegraph.engines.contract import Hello
from nodegraph.errors import Problem
from nodegraph.registry import Registry
from nodegraph.version import VERSION


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is made with; plain data, so that it can travel.

    nodes: folders of node packs, beside the installed ones. models, extra_models: folders of models of the worker's
    own; with none it goes by those of the driver, under the same names. near: files are the same here and there, so
    that those under the same name need not be looked at. threads: how many torch uses on a CPU, None for as many as it
    likes.
    """

    device: str = "auto"
    dtype: str = "auto"
    vae_dtype: str = "auto"
    nodes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    extra_models: tuple[tuple[str, str], ...] = ()
    allow_pickle: bool = False
    model_memory: int = DEFAULT_BUDGET
    near: bool = False
    threads: int | None = None

    def to_data(self) -> dict[str, object]:
        """The setup as JSON data."""
        return asdict(self)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Setup:
        """The setup that `to_data` gave."""
        lists: dict[str, Any] = {name: tuple(data[name]) for name in ("nodes", "models")}
        lists["extra_models"] = tuple([(kind, path) for kind, path in data["extra_models"]])
        return cls(**{**data, **lists})

    @property
    def environment(self) -> str:
        """The class of environments that a worker made with this is of, on this machine."""
        return environment_class(self.device, self.dtype, self.vae_dtype).decode()


def hello_of(setup: Setup, registry: Registry, *, memory: int = 0, free: int = 0) -> Hello:
    """What a process with this setup and these node types says of itself."""
    return Hello(
        setup.device,
        VERSION,
        setup.environment,
        pack_digests(registry),
        os.getpid(),
        platform.node(),
        memory,
        free,
    )


def hello_data(hello: Hello) -> dict[str, object]:
    """A hello as JSON data."""
    return asdict(hello)


def read_hello(data: Mapping[str, Any]) -> Hello:
    """The hello that `hello_data` gave."""
    return Hello(**data)


def pack_digests(registry: Registry) -> dict[str, str]:
    """A digest of each pack's code: of all Python files of the packages or files that its nodes are written in."""
    homes: dict[str, set[str]] = {}
    for spec in registry.specs.values():
        if spec.pack and spec.source is None:
            homes.setdefault(spec.pack, set()).add(spec.function.__module__.partition(".")[0])
    return {
        pack: hashlib.sha256("\n".join(map(_digest_of, sorted(modules))).encode()).hexdigest()
        for pack, modules in sorted(homes.items())
    }


@cache
def _digest_of(module: str) -> str:
    """A digest of the code of a package or module; where it lies does not count."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return ""
    home = Path(file)
    files = sorted(home.parent.rglob("*.py")) if home.name == "__init__.py" else [home]
    hasher = hashlib.sha256()
    for each in files:
        name = each.relative_to(home.parent).as_posix()
        try:
            hasher.update(f"{name}\0{hashlib.sha256(each.read_bytes()).hexdigest()}\n".encode())
        except OSError:
            hasher.update(f"{name}\0\n".encode())
    return hasher.hexdigest()


def misfit(expected: Hello, worker: Hello, lane: str) -> Problem | None:
    """Why a worker's results would not be the driver's, if so."""
    where = f"the worker {lane}" + (f" on {worker.host}" if worker.host and worker.host != expected.host else "")
    if worker.version != expected.version:
        return Problem(
            "worker_differs",
            f"{where} has nodegraph {worker.version}, and this is {expected.version}",
            got=worker.version,
            expected=expected.version,
            hint="install the same version on both",
        )
    for pack, digest in expected.packs.items():
        other = worker.packs.get(pack)
        if other != digest:
            how = "does not have the node pack" if other is None else "has another version of the node pack"
            return Problem(
                "worker_differs",
                f"{where} {how} '{pack}'",
                got=other,
                expected=digest,
                hint="install the same version of the pack on both",
            )
    if worker.environment != expected.environment:
        return Problem(
            "worker_differs",
            f"{where} would compute other numbers: it has {worker.environment}, and this is {expected.environment}",
            got=worker.environment,
            expected=expected.environment,
            hint="use devices of one kind, and the same versions of libraries",
        )
    return None


def one_kind(devices: Sequence[str]) -> Problem | None:
    """Why devices cannot be used together, if so: results of another kind of device would be other numbers."""
    kinds = sorted({device.partition(":")[0] for device in devices})
    if len(kinds) <= 1:
        return None
    return Problem(
        "bad_device",
        f"the devices of a run are of one kind, and these are {' and '.join(kinds)}",
        got=",".join(devices),
        hint="name devices of one kind: cuda:0,cuda:1 or cpu,cpu",
    )
