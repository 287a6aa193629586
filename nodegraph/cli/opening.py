"""FILE on the command line: a path, the name of a shipped example, or `-` for standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nodegraph.cli.terminal import shown_path
from nodegraph.errors import Place, Problem, did_you_mean, listing
from nodegraph.registry import Registry
from nodegraph.resources import example, examples
from nodegraph.workflow.document import Loaded
from nodegraph.workflow.limits import DEFAULT_LIMITS
from nodegraph.workflow.read import holds_metadata, load_file, load_text, similar_file
from nodegraph.workflow.ui_format import Specs

STANDARD_INPUT: Final = "<stdin>"


def open_workflow(name: str, registry: Registry | None = None) -> Loaded:
    """The workflow that FILE names, with all problems of reading it. `registry` has the node types that are known."""
    specs = (lambda: registry.specs) if registry is not None else None
    if name == "-":
        return read_standard_input(specs)
    shipped = shipped_under(name)
    if shipped is not None:
        return load_file(shown_path(shipped))
    # What is wrong with a folder, a pipe or a link to nowhere, reading says.
    return load_file(name, specs=specs) if is_there(Path(name)) else Loaded(None, (not_found(name),))


def shipped_under(name: str) -> Path | None:
    """The example that `name` stands for, unless there is a file of that name."""
    try:
        return None if Path(name).is_file() else example(name)
    except OSError:  # a name that no file can have, or a folder that may not be entered
        return None


def is_there(path: Path) -> bool:
    """Whether something is there under `path`, or that cannot be known."""
    try:
        return path.exists() or path.is_symlink()
    except OSError:
        return True


def shown_name(name: str) -> str:
    """FILE as it is called in messages: an example by its path."""
    if name == "-":
        return STANDARD_INPUT
    shipped = shipped_under(name)
    return shown_path(shipped) if shipped is not None else name


def not_found(name: str) -> Problem:
    """The answer to a FILE that is neither a file nor an example."""
    names = [path.stem for path in examples()]
    is_bare = Path(name).name == name
    hint = similar_file(Path(name))
    if hint is None and (guess := did_you_mean(Path(name).stem, names)):
        hint = guess.replace("?", ", which is an example?")
    if hint is None and is_bare:
        hint = f"the examples are {listing(names)}"
    missing = f"no file or example '{name}'" if is_bare else f"no file {name}"
    return Problem("file_not_found", f"there is {missing}", Place(name), got=name, hint=hint)


def read_standard_input(specs: Callable[[], Specs] | None = None) -> Loaded:
    """The workflow on standard input."""
    data = sys.stdin.buffer.read(DEFAULT_LIMITS.bytes + 1)
    if holds_metadata(data):
        problem = Problem(
            "not_a_workflow", "standard input holds a picture", Place(STANDARD_INPUT), hint="give the picture's path"
        )
        return Loaded(None, (problem,))
    return load_text(data, file=STANDARD_INPUT, specs=specs)
