"""What several test modules need: the shipped model, a context for plain calls, and problems as values."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from nodegraph import Context, Problem, ProblemError
from nodegraph.cache.pool import LivePool
from nodegraph.context import Roots
from nodegraph.files import FileDigests
from nodegraph.resources import models_folder
from nodegraph.sockets.codecs import digest

TINY = models_folder() / "tiny"


def context_in(folder: Path, pool: LivePool | None = None, **changes: Any) -> Context:
    """A context whose files lie below `folder`: input/, output/, temp/, and models/ before the shipped one."""
    roots = Roots((folder / "input",), folder / "output", folder / "temp", (folder / "models", models_folder()))
    settings: dict[str, Any] = {"roots": roots, "digest_file": FileDigests().digest, "pool": pool or LivePool()}
    return Context(**(settings | changes))


def without_shipped(names: Iterable[str]) -> list[str]:
    """Names of models, but for the small files that ship with the embedded model."""
    return [name for name in names if not name.startswith("tiny-")]


def copy_of_tiny(target: Path) -> Path:
    """A copy of the shipped model that a test may damage."""
    shutil.copytree(TINY, target)
    return target


def problem(call: Callable[[], object]) -> Problem:
    """The one problem that a call raises."""
    with pytest.raises(ProblemError) as caught:
        call()
    assert len(caught.value.problems) == 1
    assert "Traceback" not in str(caught.value)
    return caught.value.problems[0]


def digest_of(value: object) -> str:
    """The content digest of a value between nodes, as the cache sees it."""
    return digest(value).hex()
