"""What the tests of remote caches share: caches of all kinds, stores of several machines, and caches in trouble."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cache.address import Address, address_of
from nodegraph.cache.objects import FOLDERS, Objects, objects_at
from nodegraph.cache.remote import Remote
from nodegraph.cache.shared import SharedStore

KINDS = ("file", "memory", "s3")
NO_BUCKETS = "s3fs and moto are not installed: pip install 'nodegraph[buckets]'"


def new_address(kind: str, folder: Path, buckets: Callable[[], str]) -> str:
    """The address of a remote cache that is empty."""
    if kind == "s3":
        return f"s3://{buckets()}/{secrets.token_hex(8)}"
    return f"file://{folder / 'shared'}" if kind == "file" else f"memory://{secrets.token_hex(8)}"


@contextmanager
def bucket_server() -> Iterator[str]:
    """A server of buckets; the name of one that is empty."""
    pytest.importorskip("s3fs", reason=NO_BUCKETS)
    server_module = pytest.importorskip("moto.server", reason=NO_BUCKETS)
    import boto3  # pyright: ignore[reportMissingImports]

    given = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        for name, value in {**given, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "NO_PROXY": host}.items():
            patch.setenv(name, value)
        try:
            boto3.client("s3").create_bucket(Bucket="team")
            yield "team"
        finally:
            server.stop()


class Machine:
    """A store in a folder of its own with a remote cache behind it, and what it warned of."""

    def __init__(self, folder: Path, address: str, **options: Any) -> None:
        self.warnings: list[str] = []
        remote = Remote(address_of(address), warn=self.warnings.append, **options)
        self.store = SharedStore(folder, remote, free=0, warn=self.warnings.append)

    def learn(self, *keys: bytes) -> None:
        """What a plan does before a run."""
        if self.store.reaches_out():
            self.store.look_up(keys)

    def values(self, key: bytes) -> tuple[object, ...] | None:
        """The values of an action, as a run gets them."""
        self.learn(key)
        return self.store.values(key)


@contextmanager
def machine(folder: Path, address: str, **options: Any) -> Iterator[Machine]:
    """A machine; what it made is in the remote cache at the end."""
    found = Machine(folder, address, **options)
    try:
        yield found
    finally:
        found.store.close()


@cache
def objects(address: str) -> Objects:
    """A remote cache behind everybody's back."""
    return objects_at(address_of(address), 10.0)


def names(address: str, *folders: str) -> list[str]:
    """All objects in a remote cache, or those below folders."""
    return sorted(each.name for folder in folders or FOLDERS for each in objects(address).listed(folder))


def spoil(address: str, folder: str, change: Callable[[bytes], bytes]) -> None:
    """Change what every object below a folder holds."""
    for name in names(address, folder):
        objects(address).write(name, change(objects(address).read(name, 1 << 30)), replace=True)


class Stuck:
    """A remote cache that answers nothing before it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked = 0

    def __call__(self, address: Address, timeout: float) -> Objects:
        return self  # pyright: ignore[reportReturnType]

    def __getattr__(self, name: str) -> Callable[..., None]:
        def wait(*_: object, **__: object) -> None:
            self.asked += 1
            self.go.wait()
            raise FileNotFoundError

        return wait
