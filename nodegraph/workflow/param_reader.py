"""The declaration of a parameter: `seed: 7`, or `seed: {type: INT, default: 7, min: 0}`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, get_args

from nodegraph.errors import did_you_mean, listing, shorten
from nodegraph.workflow.document import Param, ParamType, Scalar
from nodegraph.workflow.param_values import Fault, fit, type_of
from nodegraph.workflow.texts import NAME_HELP, BadReference, name_fault, parse_text
from nodegraph.workflow.tree import UNREADABLE, Located, Report, Unreadable, kind_of

Read = Scalar | Literal[Unreadable.UNREADABLE]

PARAM_TYPES: Final[tuple[ParamType, ...]] = get_args(ParamType)
PARAM_KEYS: Final = ("type", "default", "min", "max", "choices", "description")


def read_param(name: str, entry: Located, report: Report) -> Param:
    """One entry below `params:`; where the declaration is wrong, a parameter that takes anything."""
    place = report.at_key(entry)
    if fault := name_fault(name):
        report.add("bad_name", f"a parameter cannot be called {shorten(name)}: {fault}", place, hint=NAME_HELP)
    if isinstance(entry.value, dict):
        before = len(report.problems)
        param = read_long_form(Param(name, "ANY", place=place), entry.value, report)
        return param if len(report.problems) == before else Param(name, "ANY", place=place, broken=True)
    default = read_scalar(entry, report)
    if default is UNREADABLE:
        return Param(name, "ANY", place=place, broken=True)
    return Param(name, type_of(default), default, place=place)


def read_long_form(param: Param, keys: dict[str, Located], report: Report) -> Param:
    """`param` with what a long declaration says; reports what contradicts what."""
    for key, entry in keys.items():
        if key not in PARAM_KEYS:
            hint = did_you_mean(key, PARAM_KEYS) or f"the keys of a parameter are {listing(PARAM_KEYS)}"
            report.add("unknown_key", f"a parameter has no key {shorten(key)}", report.at_key(entry), hint=hint)
    default = read_scalar(keys["default"], report) if "default" in keys else None
    if default is UNREADABLE:
        return replace(param, broken=True)
    choices = read_choices(keys.get("choices"), report)
    minimum, maximum = read_bound(keys.get("min"), report), read_bound(keys.get("max"), report)
    examples = (default, *(choices or ())[:1], *(bound for bound in (minimum, maximum) if bound is not None))
    inferred = type_of(next((example for example in examples if example is not None), None))
    type_ = read_type(keys.get("type"), inferred, report)
    param = replace(param, type=type_, required="default" not in keys, description=read_description(keys, report))
    param = with_bounds(param, minimum, maximum, keys, report)
    param = with_choices(param, choices, keys, report)
    if param.required:
        return param
    fitted = fit(param, default)
    if isinstance(fitted, Fault):
        report.add(
            "bad_param",
            f"its own default does not fit: {fitted.message}",
            report.at(keys["default"]),
            got=fitted.got,
            expected=fitted.expected,
            hint=fitted.hint,
        )
        return param
    return replace(param, default=fitted)


def with_bounds(
    param: Param,
    minimum: int | float | None,
    maximum: int | float | None,
    keys: dict[str, Located],
    report: Report,
) -> Param:
    """`param` with its bounds, where they fit its type."""
    if minimum is None and maximum is None:
        return param
    entry = keys["min" if minimum is not None else "max"]
    if param.type not in ("INT", "FLOAT"):
        report.add("bad_param", f"a parameter of type {param.type} has no 'min' or 'max'", report.at_key(entry))
        return param
    for key, bound in (("min", minimum), ("max", maximum)):
        if param.type == "INT" and isinstance(bound, float):
            message = f"'{key}' of a whole number (INT) is whole too, not {bound}"
            report.add("bad_param", message, report.at(keys[key]), hint="write 'type: FLOAT' if fractions are meant")
    if minimum is not None and maximum is not None and minimum > maximum:
        report.add("bad_param", f"'min' is {minimum} and 'max' only {maximum}", report.at(keys["min"]))
        return param
    return replace(param, minimum=minimum, maximum=maximum)


def with_choices(param: Param, choices: tuple[Scalar, ...] | None, keys: dict[str, Located], report: Report) -> Param:
    """`param` with its choices, where they fit its type and bounds."""
    if choices is None:
        return param
    fitted: list[Scalar] = []
    for choice in choices:
        value = fit(param, choice)
        if isinstance(value, Fault):
            message = f"its choice does not fit: {value.message}"
            report.add("bad_param", message, report.at(keys["choices"]), got=value.got, expected=value.expected)
        else:
            fitted.append(value)
    return replace(param, choices=tuple(fitted) if len(fitted) == len(choices) else None)


def read_type(entry: Located | None, inferred: ParamType, report: Report) -> ParamType:
    """The key `type`, or what the other keys suggest."""
    if entry is None or entry.value is UNREADABLE:
        return inferred
    for type_ in PARAM_TYPES:
        if entry.value == type_:
            return type_
    got = shorten(entry.value) if isinstance(entry.value, str) else kind_of(entry.value)
    expected = listing(PARAM_TYPES)
    hint = (
        did_you_mean(entry.value, PARAM_TYPES) if isinstance(entry.value, str) else None
    ) or f"the types are {expected}"
    report.add(
        "bad_param",
        f"a parameter cannot be of type {got}",
        report.at(entry),
        got=got,
        expected=expected,
        hint=hint,
    )
    return inferred


def read_bound(entry: Located | None, report: Report) -> int | float | None:
    """The key `min` or `max`."""
    if entry is None or entry.value is None or entry.value is UNREADABLE:
        return None
    if isinstance(entry.value, int | float) and not isinstance(entry.value, bool):
        return entry.value
    report.add("bad_param", f"'min' and 'max' are numbers, not {kind_of(entry.value)}", report.at(entry))
    return None


def read_choices(entry: Located | None, report: Report) -> tuple[Scalar, ...] | None:
    """The key `choices`."""
    if entry is None or entry.value is UNREADABLE:
        return None
    if not isinstance(entry.value, list) or not entry.value:
        got = "an empty list" if entry.value == [] else kind_of(entry.value)
        report.add("bad_param", f"'choices' is a list of values, not {got}", report.at(entry))
        return None
    choices = [read_scalar(item, report) for item in entry.value]
    return tuple(choice for choice in choices if choice is not UNREADABLE)


def read_description(keys: dict[str, Located], report: Report) -> str:
    """The key `description`."""
    entry = keys.get("description")
    if entry is None or entry.value is None or entry.value is UNREADABLE:
        return ""
    if isinstance(entry.value, str):
        return entry.value
    report.add("wrong_kind", f"'description' is a text, not {kind_of(entry.value)}", report.at(entry))
    return ""


def read_scalar(entry: Located, report: Report) -> Read:
    """A default or a choice: a plain value, in which `$$` is a dollar as everywhere in a workflow."""
    value = entry.value
    if isinstance(value, list | dict):
        report.add("bad_param", f"a parameter is a single value, not {kind_of(value)}", report.at(entry))
        return UNREADABLE
    if not isinstance(value, str):
        return value
    text = parse_text(value)
    if isinstance(text, str):
        return text
    message = f"a parameter is a plain value, and {shorten(value)} refers to something else"
    if isinstance(text, BadReference):
        message = text.message
    report.add("bad_param", message, report.at(entry), hint="write $$ for a dollar")
    return UNREADABLE
