"""The values of a workflow's parameters for one run: from the command line, from a file, or the defaults."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from nodegraph.errors import Place, Problem, ProblemError, did_you_mean, listing, shorten
from nodegraph.workflow import scalars
from nodegraph.workflow.document import Param, Scalar, Workflow
from nodegraph.workflow.limits import DEFAULT_LIMITS, Limits
from nodegraph.workflow.param_values import TYPE_WORDS, Fault, fit
from nodegraph.workflow.read import read_bytes, read_document
from nodegraph.workflow.tree import UNREADABLE, Located, Report, kind_of

Values = Mapping[str, Scalar]
Problems = tuple[Problem, ...]

NO_PLACE: Final = Place()


@dataclass(frozen=True, slots=True)
class Given:
    """A value from a parameter file, with its place there."""

    value: Scalar
    place: Place


def parse_overrides(
    workflow: Workflow, assignments: Iterable[str], file_values: Mapping[str, object] | None = None
) -> tuple[Values, Problems]:
    """Values for parameters from texts such as `seed=5`, which win over those of a file.

    Args:
        workflow: declares the parameters; a text is read by the type of its parameter, STRING verbatim.
        assignments: `NAME=VALUE`, in the order they were given; the last one of a name counts.
        file_values: values by name, plain or `Given` (from `load_params_file`).

    Returns:
        The values that fit their parameters, and a problem for each that does not.
    """
    values: dict[str, Scalar] = {}
    problems: list[Problem] = []
    for name, given in (file_values or {}).items():
        value, place = (given.value, given.place) if isinstance(given, Given) else (given, NO_PLACE)
        take(workflow, name, value, place, values, problems)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            message = f"a parameter is set with NAME=VALUE, not {shorten(assignment)}"
            hint = f"write {name}=VALUE" if name in workflow.params else None
            problems.append(Problem("usage", message, hint=hint))
            continue
        param = workflow.params.get(name)
        value = parse_value(param, text) if param is not None else text
        take(workflow, name, value, NO_PLACE, values, problems)
    return MappingProxyType(values), tuple(problems)


def resolve_params(workflow: Workflow, overrides: Mapping[str, object]) -> tuple[Values, Problems]:
    """The value of every parameter: `overrides`, then the defaults.

    A parameter that has neither, or whose override does not fit, is left out and reported. One whose
    declaration was reported already is left out too.
    """
    given: dict[str, Scalar] = {}
    problems: list[Problem] = []
    for name, value in overrides.items():
        take(workflow, name, value, NO_PLACE, given, problems)
    values: dict[str, Scalar] = {}
    for name, param in workflow.params.items():
        if name in given:
            values[name] = given[name]
        elif name in overrides or param.broken:
            continue
        elif param.required:
            message = f"the parameter {shorten(name)} has no default and was not given"
            hint = f"give it with --set {name}=VALUE"
            problems.append(Problem("missing_param", message, param.place, expected=TYPE_WORDS[param.type], hint=hint))
        else:
            values[name] = param.default
    return MappingProxyType(values), tuple(problems)


def load_params_file(
    path: str | os.PathLike[str], *, limits: Limits = DEFAULT_LIMITS
) -> tuple[Mapping[str, Given], Problems]:
    """Read a YAML or JSON file that is a flat mapping of parameter names to values; texts are literal."""
    try:
        data = read_bytes(path, limits)
    except ProblemError as error:
        return {}, error.problems
    file = os.fspath(path)
    is_yaml = file.lower().endswith((".yaml", ".yml"))
    given, problems = read_document(data, read_mapping, file=file, format="yaml" if is_yaml else "auto", limits=limits)
    return given or {}, problems


def read_mapping(root: Located, report: Report) -> Mapping[str, Given]:
    """The members of a parameter file."""
    if not isinstance(root.value, dict):
        if root.value is not UNREADABLE:
            message = f"a parameter file is a mapping of names to values, not {kind_of(root.value)}"
            report.add("wrong_kind", message, report.at(root), hint="write lines such as 'seed: 5'")
        return {}
    given: dict[str, Given] = {}
    for name, entry in root.value.items():
        if isinstance(entry.value, list | dict):
            message = f"the parameter {shorten(name)} is a single value, not {kind_of(entry.value)}"
            report.add("wrong_kind", message, report.at(entry))
        elif entry.value is not UNREADABLE:
            given[name] = Given(entry.value, report.at(entry))
    return given


def take(
    workflow: Workflow,
    name: str,
    value: object,
    place: Place,
    values: dict[str, Scalar],
    problems: list[Problem],
) -> None:
    """Add `value` to `values` if there is a parameter that takes it, otherwise a problem to `problems`."""
    param = workflow.params.get(name)
    if param is None:
        names = list(workflow.params)
        hint = did_you_mean(name, names) or (f"it has {listing(names)}" if names else "it has none")
        message = f"the workflow has no parameter {shorten(name)}"
        problems.append(Problem("unknown_param", message, place, got=name[:200], hint=hint))
        return
    fitted = value if isinstance(value, Fault) else fit(param, value)
    if isinstance(fitted, Fault):
        problems.append(fitted.problem().at(place))
    else:
        values[name] = fitted


def parse_value(param: Param, text: str) -> Scalar | Fault:
    """The value that a text on the command line means for a parameter."""
    if param.type == "STRING":
        return text
    try:
        value = scalars.plain(text)
    except scalars.BadNumberError as error:
        message = f"the parameter {shorten(param.name)} cannot be {shorten(text)}, which {error}"
        return Fault("bad_number", message, shorten(text), TYPE_WORDS[param.type])
    if isinstance(value, str) and param.type != "ANY":
        expected = TYPE_WORDS[param.type]
        message = f"the parameter {shorten(param.name)} takes {expected}, not {shorten(text)}"
        hint = "write true or false" if param.type == "BOOLEAN" else None
        return Fault("type_mismatch", message, shorten(text), expected, hint)
    return value
