"""Problems: every mistake nodegraph can report, as data.

A `Problem` says where it is, what was got, what was expected and what to do about it. The same object is printed by
the terminal, serialised for the browser and raised (inside a `ProblemError`) by the Python API. Codes are listed once,
in `CATALOGUE`; a code never changes its meaning, so scripts may match on it.
"""

from __future__ import annotations

import difflib
import itertools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Severity = Literal["error", "warning"]

#: code → (number, one-line title). The number is what documentation links to (NG101 …).
CATALOGUE: Mapping[str, tuple[int, str]] = {
    # 1xx: reading a file
    "file_not_found": (101, "The file does not exist"),
    "file_unreadable": (102, "The file cannot be read"),
    "file_too_large": (103, "The file is larger than a workflow may be"),
    "bad_encoding": (104, "The file is not UTF-8 text"),
    "yaml_syntax": (105, "The YAML cannot be parsed"),
    "json_syntax": (106, "The JSON cannot be parsed"),
    "nested_too_deep": (107, "The file is nested too deeply"),
    "too_many_aliases": (108, "The file uses too many YAML aliases"),
    "duplicate_key": (109, "A key is given twice"),
    "unsupported_yaml": (110, "A YAML feature that workflows do not use"),
    "no_workflow_in_picture": (111, "The picture holds no workflow"),
    "not_a_workflow": (112, "The file is not a nodegraph workflow"),
    "too_large": (113, "The workflow exceeds a limit"),
    "bad_number": (114, "A number that cannot be represented"),
    "not_a_manifest": (115, "The file does not record a run"),
    "toml_syntax": (116, "The TOML cannot be parsed"),
    # 2xx: the document
    "unknown_key": (201, "A key that workflows do not have"),
    "missing_key": (202, "A key that is required is missing"),
    "wrong_kind": (203, "A value of the wrong kind"),
    "bad_name": (204, "A name that cannot be used"),
    "name_taken": (205, "A name is used twice"),
    "unsupported_version": (206, "A workflow of another format version"),
    "bad_param": (207, "A parameter's declaration contradicts itself"),
    "bad_reference": (208, "A reference that cannot be read"),
    "schema_mismatch": (209, "A document that does not fit the JSON Schema"),
    "not_in_format": (210, "Something that another format has no words for"),
    # 3xx: the graph
    "unknown_node": (301, "A node type that is not registered"),
    "unknown_input": (302, "An input that the node does not have"),
    "unknown_output": (303, "An output that the node does not have"),
    "unknown_reference": (304, "A reference to nothing"),
    "unknown_param": (305, "A parameter that the workflow does not have"),
    "missing_input": (306, "A required input is missing"),
    "type_mismatch": (307, "A value of one type where another is wanted"),
    "ambiguous_output": (308, "A reference that could mean several outputs"),
    "out_of_range": (309, "A number outside its range"),
    "not_a_choice": (310, "A value that is not among the choices"),
    "cycle": (311, "Nodes that depend on each other in a circle"),
    "unused_param": (312, "A parameter that nothing uses"),
    "no_outputs": (313, "A workflow with nothing to produce"),
    "bad_value": (314, "A value that the node refuses"),
    "unused_node": (315, "A node that no output needs"),
    "broken_pack": (316, "A node pack that could not be loaded"),
    "unknown_target": (317, "A node asked for that is not in the workflow"),
    "missing_param": (318, "A parameter without a default was not given"),
    # 4xx: running
    "node_failed": (401, "A node failed"),
    "not_finite": (402, "Values that are not numbers"),
    "out_of_memory": (403, "Not enough memory"),
    "wrong_output": (404, "A node returned something it did not declare"),
    "disk_full": (405, "The disk is full"),
    "model_unreadable": (406, "A model file that cannot be used"),
    "cannot_write": (407, "A file that cannot be written"),
    "cancelled": (408, "The run was cancelled"),
    "model_changed": (409, "A model file that changed while it was in use"),
    # 5xx: the command line and the machine
    "usage": (501, "A command that cannot be understood"),
    "missing_package": (502, "A Python package that is not installed"),
    "bad_device": (503, "A device that this machine does not have"),
    "cache_unusable": (504, "Kept results that cannot be used"),
    "lock_unusable": (505, "A lock that is missing or damaged"),
    "lock_differs": (506, "Something is not as it was locked"),
    "cannot_listen": (507, "An address that cannot be listened on"),
    "no_server": (508, "A server that does not answer"),
    "no_worker": (509, "No worker that could ever do it"),
    "worker_differs": (510, "A worker whose results would not be the driver's"),
    "model_missing": (511, "A model file that a worker does not have"),
    "cluster_unprotected": (512, "A cluster that whoever reaches it could use"),
    "cluster_unreachable": (513, "A cluster that cannot be reached"),
    # 6xx: requests to the server
    "not_found": (601, "Something that is not there"),
    "bad_request": (602, "A request that cannot be understood"),
    "wrong_host": (603, "A request for a host that the server does not go by"),
    "wrong_origin": (604, "A request that another site makes a browser send"),
    "wrong_media_type": (605, "A body of a kind that is not taken"),
    "not_logged_in": (606, "A request without a valid token"),
    "too_many_attempts": (607, "Too many wrong tokens"),
    "wrong_method": (608, "A method that the address does not have"),
    "body_too_large": (609, "A body over the limit"),
    "changed_meanwhile": (610, "Something that somebody else has changed"),
    "precondition_required": (611, "A change that does not say of what"),
    "not_possible_now": (612, "Something that the present state does not allow"),
    "server_failed": (613, "A mistake in the server"),
    "server_busy": (614, "More than the server takes at once"),
    # 7xx: jobs
    "worker_died": (701, "The worker process died"),
    "queue_full": (702, "The queue is full"),
    "job_exists": (703, "A job of this name exists"),
    "jobs_unusable": (704, "Jobs that cannot be read"),
    "already_served": (705, "Another server uses the folder"),
    "not_ready": (706, "Something that is still starting"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file; line and column count from 1. `text` is the whole source line, for the caret."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    text: str | None = None

    def __str__(self) -> str:
        """`file:line:col`, as editors and terminals understand it."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake, with its place and remedy.

    `message` is a full sentence without a place. `got`/`expected` repeat its facts for programs; `hint` is the remedy.
    """

    code: str
    message: str
    place: Place = Place()
    node: str | None = None
    input: str | None = None
    got: str | None = None
    expected: str | None = None
    hint: str | None = None
    severity: Severity = "error"

    def __post_init__(self) -> None:
        if self.code not in CATALOGUE:
            raise ValueError(f"problem code {self.code!r} is not in the catalogue")

    @property
    def number(self) -> str:
        """The catalogue number, such as `NG301`."""
        return f"NG{CATALOGUE[self.code][0]}"

    def at(self, place: Place) -> Problem:
        """The same problem at another place."""
        return replace(self, place=place)

    def describe(self) -> str:
        """One line: place, severity if only a warning, message, remedy."""
        where = f"{self.place}: " if str(self.place) else ""
        kind = "warning: " if self.severity == "warning" else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}{kind}{self.message.rstrip('.') if hint else self.message}{hint}"

    def render(self) -> str:
        """Several lines for a terminal: `describe()`, then the source line with a caret below the column."""
        lines = [self.describe()]
        if self.place.text is not None and self.place.column is not None:
            lines += caret_lines(self.place.text, self.place.column)
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """The problem as JSON data; absent facts are left out."""
        data: dict[str, object] = {
            "code": self.code,
            "number": self.number,
            "severity": self.severity,
            "message": self.message,
        }
        facts: dict[str, object] = {
            "file": self.place.file,
            "line": self.place.line,
            "column": self.place.column,
            "source": None if self.place.text is None else cut_around(self.place.text, self.place.column or 1)[0],
            "node": self.node,
            "input": self.input,
            "got": self.got,
            "expected": self.expected,
            "hint": self.hint,
        }
        return data | {name: value for name, value in facts.items() if value is not None}


def problem_from(data: Mapping[str, Any]) -> Problem:
    """The problem that `to_json` gave."""
    place = Place(data.get("file"), data.get("line"), data.get("column"), data.get("source"))
    facts = {name: data.get(name) for name in ("node", "input", "got", "expected", "hint")}
    return Problem(data["code"], data["message"], place, severity=data.get("severity", "error"), **facts)


class ProblemError(Exception):
    """Raised with one or more problems; `str()` renders them all."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(problem.render() for problem in self.problems)

    def __reduce__(self) -> tuple[type[ProblemError], tuple[tuple[Problem, ...]]]:
        return (ProblemError, (self.problems,))


MAX_SOURCE_WIDTH = 160
MAX_CHOICES = 2_000  # names that a guess is looked for among; comparing is slow


def caret_lines(text: str, column: int) -> list[str]:
    """The source line and a caret under `column` (from 1); long lines are cut, control characters shown as `·`."""
    piece, start = cut_around(text, column)
    shown = "".join("·" if unicodedata.category(c) in ("Cc", "Cf") and c != "\t" else c for c in piece)
    shown = shown.replace("\t", " ")
    before = "… " if start else "  "
    return [f"  {before}{shown}", " " * (4 + display_width(shown[: column - 1 - start])) + "^"]


def cut_around(text: str, column: int) -> tuple[str, int]:
    """At most MAX_SOURCE_WIDTH characters of a line around a column (from 1), and how many were cut off before them."""
    start = max(0, column - 1 - MAX_SOURCE_WIDTH // 2) if len(text) > MAX_SOURCE_WIDTH else 0
    return text[start : start + MAX_SOURCE_WIDTH], start


def display_width(text: str) -> int:
    """Terminal columns that `text` takes: wide East Asian characters count two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def did_you_mean(name: str, choices: Iterable[str], *, sigil: str = "") -> str | None:
    """`did you mean 'x'?` for the closest of `choices`, or None when nothing is close."""
    by_fold = {choice.casefold(): choice for choice in itertools.islice(choices, MAX_CHOICES)}
    close = difflib.get_close_matches(name.casefold()[:200], by_fold, n=1, cutoff=0.6)
    return f"did you mean '{sigil}{by_fold[close[0]]}'?" if close else None


def listing(names: Sequence[str], *, limit: int = 12) -> str:
    """`a, b, c` with `and N more` after `limit` names."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def shorten(value: object, *, limit: int = 60) -> str:
    """`repr(value)` cut to `limit` characters; large texts are cut before repr, so that it stays cheap."""
    if isinstance(value, str) and len(value) > limit:
        value = value[:limit] + "…"
    text = repr(value)
    return text if len(text) <= limit + 4 else text[:limit] + "…"
