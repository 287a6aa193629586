"""nodegraph runs node graphs for image generation.

`load`, `check` and `run` are the whole of it for most programs; `Builder` makes workflows in code, `Session` keeps
results between runs, and `@node` makes nodes. Importing this package imports nothing else: names are loaded when used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from nodegraph.version import VERSION

if TYPE_CHECKING:
    from nodegraph.api import check, diff, explain, load, loads, run
    from nodegraph.builder import Builder
    from nodegraph.context import CancelToken, Context
    from nodegraph.errors import Problem, ProblemError
    from nodegraph.execution.result import RunResult
    from nodegraph.execution.session import Session
    from nodegraph.execution.settings import Settings
    from nodegraph.node import node

__version__ = VERSION

__all__ = [
    "Builder",
    "CancelToken",
    "Context",
    "Problem",
    "ProblemError",
    "RunResult",
    "Session",
    "Settings",
    "__version__",
    "check",
    "diff",
    "explain",
    "load",
    "loads",
    "node",
    "run",
]

_HOMES = {
    "Builder": "nodegraph.builder",
    "CancelToken": "nodegraph.context",
    "Context": "nodegraph.context",
    "Problem": "nodegraph.errors",
    "ProblemError": "nodegraph.errors",
    "RunResult": "nodegraph.execution.result",
    "Session": "nodegraph.execution.session",
    "Settings": "nodegraph.execution.settings",
    "check": "nodegraph.api",
    "diff": "nodegraph.api",
    "explain": "nodegraph.api",
    "load": "nodegraph.api",
    "loads": "nodegraph.api",
    "run": "nodegraph.api",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'nodegraph' has no attribute {name!r}")
