"""What a pack wanted and did not get: a part of ComfyUI that nodegraph does not have, or a Python package."""

from __future__ import annotations

import ast
import re
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Final, NamedTuple

from nodegraph.comfy_compat.finder import SERVED

#: Top-level modules of ComfyUI, whether nodegraph has something of the name or not.
COMFY_MODULES: Final = frozenset(
    {
        *SERVED,
        "api_server",
        "app",
        "comfy_api_nodes",
        "comfy_config",
        "comfy_extras",
        "comfyui_version",
        "execution",
        "latent_preview",
        "node_helpers",
        "nodes",
        "server",
    }
)
#: Packages that are imported by another name than they are installed by.
PACKAGES: Final = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "google": "google-api-python-client",
    "insightface": "insightface",
    "OpenSSL": "pyopenssl",
    "PIL": "pillow",
    "piexif": "piexif",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
PLACE: Final = "docs/node-packs.md lists what packs may use of ComfyUI"
COMPAT: Final = "nodegraph.comfy_compat."
#: Modules of the second form → where packs import what is in them.
SECOND_FORM: Final = {
    "v3.api": "comfy_api.latest",
    "v3.io": "comfy_api.latest.io",
    "v3.nodes": "comfy_api.latest.io",
    "v3.types": "comfy_api.latest.io",
    "v3.shown": "comfy_api.latest.ui",
    "v3.ui": "comfy_api.latest.ui",
}
PIECE: Final = re.compile(r"cannot import name '(\w+)'")


class Missing(NamedTuple):
    """What was wanted, as a reason for leaving the pack out, and what can be done."""

    reason: str
    hint: str


def what_is_missing(error: BaseException) -> Missing | None:
    """What an exception says to be missing; None where it says something else."""
    name = _name_of_comfy(error)
    if name is not None:
        return Missing(f"it wants {name}, which nodegraph does not have", PLACE)
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.partition(".")[0]
        if top.startswith("nodegraph"):  # a part of the pack itself
            return None
        return Missing(
            f"it needs the Python package '{top}', which is not installed", f"pip install {PACKAGES.get(top, top)}"
        )
    return None


def _name_of_comfy(error: BaseException) -> str | None:
    """The full name of the part of ComfyUI that was not there."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        wanted = _imported(error) if _is_comfy(error.name) else None
        return (f"{error.name}.{wanted}" if wanted else error.name) if _is_comfy(error.name) else None
    if isinstance(error, ImportError) and error.name and _is_comfy(error.name):
        piece = PIECE.match(str(error))
        return f"{error.name}.{piece[1]}" if piece else error.name
    if isinstance(error, AttributeError) and error.name:
        owner = _owner_of(error.obj)
        return f"{owner}.{error.name}" if owner is not None and _is_comfy(owner) else None
    return None


def _owner_of(value: object) -> str | None:
    """The full name of a module, or of a class that nodegraph offers to packs."""
    if isinstance(value, ModuleType):
        return _as_packs_know_it(value.__name__)
    if isinstance(value, type) and value.__module__.startswith((COMPAT, *SERVED)):
        return f"{_as_packs_know_it(value.__module__)}.{value.__qualname__}"
    return None


def _as_packs_know_it(module: str) -> str:
    own = module.removeprefix(COMPAT)
    return SECOND_FORM.get(own, own)


def _is_comfy(name: str) -> bool:
    return name.partition(".")[0] in COMFY_MODULES


def _imported(error: ModuleNotFoundError) -> str | None:
    """The first name that the failed statement, if it is `from MODULE import NAME` on a line, would have had."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.line and "import" in frame.line and error.name and error.name in frame.line:
            for part in _parsed(frame.line):
                if isinstance(part, ast.ImportFrom) and part.module == error.name:
                    return part.names[0].name
            return None
    return None


def _parsed(line: str) -> Iterator[ast.AST]:
    try:
        yield from ast.walk(ast.parse(line.strip()))
    except (SyntaxError, ValueError):
        return


def missing_of(error: BaseException) -> Missing | None:
    """The same for an exception that has others behind it (`raise … from …`)."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return None
        found = what_is_missing(seen)
        if found is not None:
            return found
        seen = seen.__cause__
    return None
