"""Where the files that ship with nodegraph lie: in a checkout beside the package, in a wheel below it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


@cache
def shipped(name: str) -> Path:
    """The path of shipped data (`workflows`, `web`, `models`), whether it exists or not."""
    packed = PACKAGE / "_data" / name
    return packed if packed.exists() else PACKAGE.parent / name


def models_folder() -> Path:
    """The folder that holds the embedded model `tiny`."""
    return shipped("models")


def web_folder() -> Path:
    """The folder of the browser canvas."""
    return shipped("web")


def example(name: str) -> Path | None:
    """The shipped workflow called `name` (`hello` is workflows/hello.yaml), or None."""
    if not name.replace("-", "").replace("_", "").isalnum():
        return None
    path = shipped("workflows") / f"{name}.yaml"
    return path if path.is_file() else None


def examples() -> list[Path]:
    """All shipped workflows, by name."""
    return sorted(shipped("workflows").glob("*.yaml"), key=lambda path: path.stem)
