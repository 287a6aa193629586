"""What a result from a remote cache costs, beside getting its bytes and doing nothing with them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from benchmarks.table import REPEATS, Measured, measure, print_table
from nodegraph.cache.address import Address, address_of
from nodegraph.cache.objects import Objects, objects_at
from nodegraph.cache.records import Record
from nodegraph.cache.remote import Remote
from nodegraph.cache.shared import SharedStore
from nodegraph.engines.outcome import output_digests

KILOBYTES = 1024
TIMEOUT = 60.0
SERVER = """
import threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
threading.Event().wait()
"""


def hits(folder: Path, address: Address, kilobytes: int) -> dict[str, Measured]:
    """Latents that one machine made and another one wants: found and fetched, fetched alone, and got as mere bytes."""
    import torch

    keys = [bytes([i]) * 32 for i in range(2 * REPEATS + 1)]
    first = SharedStore(folder / "first", Remote(address, timeout=TIMEOUT), free=0)
    for i, key in enumerate(keys):
        value = torch.rand(kilobytes << 8, generator=torch.Generator().manual_seed(i))
        first.put(key, Record(output_digests((value,), None), 1e6), (value,), at_once=True)
    first.close()
    second = SharedStore(folder / "second", Remote(address, timeout=TIMEOUT), memory=0, free=0)
    bare = objects_at(address, TIMEOUT)
    names = iter(each.name for each in bare.listed("blobs"))
    left = iter(keys)

    def hit() -> None:
        key = next(left)
        assert second.reaches_out()
        second.look_up([key])
        assert second.values(key) is not None

    hit()  # opens the connection
    kept = folder / "kept"
    measured = {"bare get": measure(getter(bare, names, kilobytes))}
    names = iter([each.name for each in bare.listed("blobs")])
    measured["get, digest and keep as a file"] = measure(getter(bare, names, kilobytes, kept))
    measured["hit"] = measure(hit)
    known = list(left)  # half of them
    second.look_up(known)
    left = iter(known)

    def fetch() -> None:
        assert second.values(next(left)) is not None

    measured["hit, planned for"] = measure(fetch)
    second.close()
    return measured


def getter(objects: Objects, names: Iterator[str], kilobytes: int, kept: Path | None = None) -> Callable[[], None]:
    """Gets one blob after the other, and does what nobody can leave out who is to have it again if `kept` is a path."""
    objects.read(next(names), kilobytes << 11)

    def get() -> None:
        data = objects.read(next(names), kilobytes << 11)
        assert len(data) > kilobytes << 10
        if kept is not None:
            hashlib.sha256(data).digest()
            kept.write_bytes(data)

    return get


@contextmanager
def bucket() -> Generator[Address | None]:
    """A bucket of a server in a process of its own; None if the packages for that are not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("moto", "s3fs")):
        yield None
        return
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    place = server.stdout.readline().strip()
    given = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(given | {"AWS_ENDPOINT_URL": place, "NO_PROXY": "127.0.0.1"})
    cast(Any, importlib.import_module("boto3")).client("s3").create_bucket(Bucket="bench")
    try:
        yield address_of("s3://bench/cache")
    finally:
        server.terminate()
        server.communicate()


def main(small: bool = False) -> None:
    """Print the table."""
    kilobytes = 64 if small else KILOBYTES
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as name, bucket() as place:
        for address in (address_of(f"file://{name}/shared"), place):
            if address is not None:
                measured = hits(Path(name) / address.kind, address, kilobytes)
                bare = measured["bare get"].wall
                rows += [
                    [f"{address.kind}: {what}", each.wall * 1e3, each.wall / bare] for what, each in measured.items()
                ]
    print_table(
        f"A latent of {kilobytes:,} kB from a remote cache (s3: a server of moto on this machine)",
        ["", "ms", "of a bare get"],
        rows,
        "Target for 1 MB: a hit at most 2 bare gets. A folder's bare get is a copy in memory; a hit is two gets, of "
        "which a plan does the first for all nodes at once.",
    )
