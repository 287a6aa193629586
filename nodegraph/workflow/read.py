"""Reading workflow files: bytes → `Loaded`, with all problems of the file in one pass, never an exception."""

from __future__ import annotations

import codecs
import difflib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeVar

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.workflow.api_format import build_api_workflow, is_api_format
from nodegraph.workflow.document import Loaded, Workflow
from nodegraph.workflow.document_builder import build_workflow
from nodegraph.workflow.json_reader import read_json
from nodegraph.workflow.limits import DEFAULT_LIMITS, Limits
from nodegraph.workflow.tree import Located, Report, Source, by_place
from nodegraph.workflow.ui_format import Specs, build_ui_workflow
from nodegraph.workflow.ui_reader import is_ui_format
from nodegraph.workflow.webp import is_webp
from nodegraph.workflow.yaml_reader import read_yaml

Format = Literal["auto", "yaml", "json", "toml"]
T = TypeVar("T")

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
OTHER_PICTURES: Final = (b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def installed_specs() -> Specs:
    """The node types that are installed."""
    from nodegraph.registry import load_registry

    return load_registry().specs


def load_file(
    path: str | os.PathLike[str],
    *,
    limits: Limits = DEFAULT_LIMITS,
    specs: Callable[[], Specs] | None = None,
    name: str | None = None,
) -> Loaded:
    """Read a workflow file: YAML, JSON (also ComfyUI's two formats), or a PNG or WebP picture that holds one.

    What the file is, is decided by its content; its suffix only decides between YAML and JSON where both
    would do. `specs` gives the node types that are known; only ComfyUI's editor files need them. `name` is what the
    file is called in problems; without it that is its path. A named one is a text, never a picture.
    """
    file = name or os.fspath(path)
    try:
        data = read_bytes(path, limits)
    except ProblemError as error:
        return Loaded(None, error.problems)
    if name is None and holds_metadata(data):
        from nodegraph.workflow.pictures import workflow_in_picture

        return workflow_in_picture(path, limits=limits, specs=specs)
    suffix = Path(file).suffix.lower()
    return load_text(
        data, file=file, format="yaml" if suffix in (".yaml", ".yml") else "auto", limits=limits, specs=specs
    )


def load_text(
    text: str | bytes,
    *,
    file: str | None = None,
    format: Format = "auto",
    limits: Limits = DEFAULT_LIMITS,
    specs: Callable[[], Specs] | None = None,
) -> Loaded:
    """Read a workflow from a text.

    Args:
        text: the document; bytes are UTF-8.
        file: the name shown in problems.
        format: `auto` takes a text that begins with `{"` or `[` for JSON and anything else for YAML.
        limits: what is refused as too large.
        specs: gives the node types that are known, which ComfyUI's editor files need; default: those installed.

    Returns:
        The workflow (None when there is no making one out), and every problem in the order of their places.
    """

    def build(root: Located, report: Report) -> Workflow | None:
        if is_ui_format(root):
            return build_ui_workflow(root, report, specs or installed_specs)
        return build_api_workflow(root, report) if is_api_format(root) else build_workflow(root, report)

    workflow, problems = read_document(text, build, file=file, format=format, limits=limits)
    return Loaded(workflow, problems)


def read_document(
    text: str | bytes,
    build: Callable[[Located, Report], T | None],
    *,
    file: str | None = None,
    format: Format = "auto",
    limits: Limits = DEFAULT_LIMITS,
) -> tuple[T | None, tuple[Problem, ...]]:
    """Parse a text and build something from it; also for files that are not workflows, such as parameter
    files.

    A `ProblemError` from `build` ends reading, like an error of syntax, and counts as a problem of the file.
    """
    try:
        source = Source(decode(text, file, limits), file)
    except ProblemError as error:
        return None, error.problems
    report = Report(source, limits)
    built: T | None = None
    fatal: tuple[Problem, ...] = ()
    try:
        root = _root(source, report, format)
        if root is None:
            raise ProblemError(Problem("not_a_workflow", "the file is empty", source.place(0, 0)))
        built = build(root, report)
    except ProblemError as error:
        fatal = error.problems
    return built, tuple(sorted((*report.problems, *fatal), key=by_place))


def holds_metadata(data: bytes) -> bool:
    """Whether a file begins as the pictures do in which workflows are looked for: PNG and WebP."""
    return data.startswith(PNG_SIGNATURE) or is_webp(data)


def _root(source: Source, report: Report, format: Format) -> Located | None:
    if format == "toml":
        from nodegraph.workflow.toml_reader import read_toml

        return read_toml(source, report)
    is_json = format == "json" or (format == "auto" and looks_like_json(source.text))
    return read_json(source, report) if is_json else read_yaml(source, report)


def read_bytes(path: str | os.PathLike[str], limits: Limits = DEFAULT_LIMITS) -> bytes:
    """The content of a regular file; no more than the limit is read.

    Raises:
        ProblemError: when there is no such file, it is not a regular one, it cannot be read or is too large.
        Of a PNG
            or WebP, which may be larger, only the beginning is returned.
    """
    file = os.fspath(path)
    place = Place(file)
    try:
        # Without O_NONBLOCK a pipe would wait for its writer.
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ProblemError(Problem("file_unreadable", f"{file} is not a regular file", place))
            data = stream.read(limits.bytes + 1)
    except FileNotFoundError:
        problem = Problem("file_not_found", f"there is no file {file}", place, hint=similar_file(Path(file)))
        raise ProblemError(problem) from None
    except IsADirectoryError:
        problem = Problem("file_unreadable", f"{file} is a folder", place, hint="name a file in it")
        raise ProblemError(problem) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ProblemError(Problem("file_unreadable", f"{file} cannot be read: {reason}", place)) from None
    if len(data) > limits.bytes and not holds_metadata(data):
        raise ProblemError(too_large(limits, place))
    return data


def similar_file(path: Path) -> str | None:
    """`did you mean …` for a file name, from its folder."""
    try:
        names = [entry.name for entry in path.parent.iterdir()][:1000]
    except (OSError, ValueError):
        return None
    close = difflib.get_close_matches(path.name[:200], names, n=1, cutoff=0.6)
    return f"did you mean '{path.parent / close[0]}'?" if close else None


def decode(text: str | bytes, file: str | None, limits: Limits) -> str:
    """The text of a document without a byte order mark.

    Raises:
        ProblemError: when it is too large, or not UTF-8.
    """
    if isinstance(text, str):
        if len(text) > limits.bytes:
            raise ProblemError(too_large(limits, Place(file)))
        return text.removeprefix("\ufeff")
    if len(text) > limits.bytes:
        raise ProblemError(too_large(limits, Place(file)))
    if text.startswith(OTHER_PICTURES):
        message = "this is not text; of pictures only PNG and WebP files can hold a workflow"
        raise ProblemError(Problem("not_a_workflow", message, Place(file)))
    # UTF-16 without a mark has a zero in each of its first characters.
    if text.startswith(UTF16_MARKS) or (text[:2].count(0) == 1 and len(text) % 2 == 0):
        problem = Problem("bad_encoding", "the file is UTF-16", Place(file, 1, 1), hint="save it as UTF-8")
        raise ProblemError(problem)
    try:
        return text.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        text = text.removeprefix(codecs.BOM_UTF8)
        before = text[: error.start].decode("utf-8")
        source = Source(before, file)
        last = len(source.lines) - 1
        line, column = last, len(source.lines[last])
        rest = text[error.start :].split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r")
        place = Place(file, line + 1, column + 1, source.lines[last] + rest)
        message = f"the byte 0x{text[error.start]:02x} at offset {error.start} is not UTF-8"
        raise ProblemError(Problem("bad_encoding", message, place, hint="save the file as UTF-8")) from None


def too_large(limits: Limits, place: Place) -> Problem:
    """A file over the limit."""
    message = f"the file is larger than {limits.bytes:,} bytes, and no workflow is"
    return Problem("file_too_large", message, place)


def looks_like_json(text: str) -> bool:
    """Whether a text is JSON rather than YAML, which may begin with a brace too."""
    start = text.lstrip(" \t\r\n")[:1000]
    return start.startswith("[") or (start.startswith("{") and start[1:].lstrip(" \t\r\n")[:1] in ('"', "}", ""))
