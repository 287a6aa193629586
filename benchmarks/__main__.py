"""`python -m benchmarks [executor|expansion|store|jobs|server …] [FILE] [--small]`: measure, and print tables."""

from __future__ import annotations

import argparse
import importlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

BENCHMARKS = (
    "executor",
    "expansion",
    "engine",
    "ray",
    "store",
    "remote",
    "jobs",
    "scale",
    "server",
    "canvas",
    "yaml_load",
    "convert",
    "sampling",
    "lora",
    "checkpoint",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--small", action="store_true", help="small graphs and a small network: seconds, not minutes")
    options = parser.parse_args(arguments)
    names = list(options.names)
    file = (
        Path(names.pop()).resolve()
        if len(names) > 1 and names[-2] == "checkpoint" and Path(names[-1]).is_file()
        else None
    )
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores{load}"
    )
    for name in names or BENCHMARKS:
        given = {"file": file} if name == "checkpoint" else {}
        importlib.import_module(f"benchmarks.{name}").main(small=options.small, **given)


if __name__ == "__main__":
    main()
