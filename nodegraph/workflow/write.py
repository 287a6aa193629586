"""Writing workflows: readable YAML, or the same document as JSON. It reads back as the same workflow."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, cast

from nodegraph.errors import Problem, ProblemError
from nodegraph.workflow.arrangement import group_data, layout_data, note_data
from nodegraph.workflow.document import (
    NodeEntry,
    Param,
    Ref,
    Scalar,
    Slot,
    Span,
    Sweep,
    Template,
    Value,
    Workflow,
)
from nodegraph.workflow.editor_keys import group_titles, origin_keys
from nodegraph.workflow.param_values import type_of
from nodegraph.workflow.sweeps import split_target
from nodegraph.workflow.texts import NAME, escape, free_name, name_fault, write_text

Data = Scalar | list["Data"] | dict[str, "Data"]

WIDTH: Final = 100
# Unquoted, these begin a text in YAML whatever follows; digits and signs are looked at more closely.
PLAIN: Final = re.compile(r"[A-Za-z_$(./0-9+-][^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\u2028\u2029\ufffe\uffff]*")
NOT_PLAIN: Final = re.compile(r": | #|:$|\s$")
# Inside {} and [], these end an unquoted text (`?` only for PyYAML without libyaml).
BRACKETS: Final = re.compile(r"[][{},?]")
# What readers of YAML 1.1 take for a boolean, a number in base 60, a date …
MISREAD: Final = re.compile(
    r"y|n|yes|no|on|off|true|false|null|[-+]?\.(?:inf|nan)|[-+.0-9][-+.:_0-9 a-fotxz]*", re.IGNORECASE
)
NEVER_RAW: Final = re.compile(r"[\x7f-\x9f\ud800-\udfff\ufeff\u2028\u2029\ufffe\uffff]")


def dump_yaml(workflow: Workflow) -> str:
    """The workflow as YAML.

    Node ids that YAML workflows cannot have (those of API-format files, such as `3`) are replaced by ones
    they can. Raises ProblemError for numbers that are not finite.
    """
    return "\n".join(yaml_lines(to_data(workflow), 0)) + "\n"


def dump_json(workflow: Workflow) -> str:
    """The workflow as JSON, indented; ids and errors as for `dump_yaml`."""
    import json

    return json.dumps(to_data(workflow), ensure_ascii=False, indent=2) + "\n"


def to_data(workflow: Workflow) -> dict[str, Data]:
    """The document as plain data, in the order in which it is written."""
    ids = portable_ids(workflow)
    data: dict[str, Data] = {"nodegraph": workflow.version}
    if workflow.name is not None:
        data["name"] = workflow.name
    if workflow.description:
        data["description"] = workflow.description
    if workflow.params:
        data["params"] = {name: param_data(param) for name, param in workflow.params.items()}
    if workflow.sweep is not None:
        data[workflow.sweep.key] = workflow_sweep_data(workflow, workflow.sweep, ids)
    data["nodes"] = {ids[name]: node_data(node, ids) for name, node in workflow.nodes.items()}
    if workflow.outputs:
        data["outputs"] = {name: value_data(ref, ids) for name, ref in workflow.outputs.items()}
    if workflow.groups:
        titled = zip(group_titles(workflow.groups), workflow.groups, strict=True)
        data["groups"] = {title: all_finite(cast("Data", group_data(group))) for title, group in titled}
    if workflow.notes:
        data["notes"] = [all_finite(cast("Data", note_data(note))) for note in workflow.notes]
    if workflow.layout or workflow.looks or workflow.routes:
        data["layout"] = all_finite(cast("Data", layout_data(workflow, ids)))
    return data


def portable_ids(workflow: Workflow) -> dict[str, str]:
    """An id that YAML workflows can have for each node: its own if possible, otherwise one made from it."""
    taken = {*workflow.params, *(name for name in workflow.nodes if not name_fault(name))}
    ids: dict[str, str] = {}
    for name in workflow.nodes:
        if not name_fault(name):
            ids[name] = name
            continue
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:40]
        stem = stem if NAME.fullmatch(stem) and not name_fault(stem) else f"n{stem}"
        ids[name] = free_name(stem, taken)
        taken.add(ids[name])
    return ids


def param_data(param: Param) -> Data:
    """A declaration: only the default where that says everything."""
    default = escape(param.default) if isinstance(param.default, str) else finite(param.default)
    data: dict[str, Data] = {"type": param.type}
    if not param.required:
        data["default"] = default
    if param.minimum is not None:
        data["min"] = finite(param.minimum)
    if param.maximum is not None:
        data["max"] = finite(param.maximum)
    if param.choices is not None:
        data["choices"] = [escape(choice) if isinstance(choice, str) else finite(choice) for choice in param.choices]
    if param.description:
        data["description"] = param.description
    short = data.keys() == {"type", "default"} and param.type == type_of(param.default)
    return default if short else data


def node_data(node: NodeEntry, ids: Mapping[str, str]) -> Data:
    """An entry below `nodes:`."""
    data: dict[str, Data] = {"uses": node.uses}
    if node.title is not None:
        data["title"] = node.title
    if node.note is not None:
        data["note"] = node.note
    if node.cache != "auto":
        data["cache"] = node.cache
    if node.mode != "run":
        data["mode"] = node.mode
    if node.when is not None:
        data["when"] = value_data(node.when, ids)
    if node.inputs:
        data["with"] = {name: value_data(value, ids) for name, value in node.inputs.items()}
    if node.sweep is not None:
        data[node.sweep.key] = sweep_data(node.sweep, ids)
    data.update(cast("dict[str, Data]", origin_keys(node)))
    return data


def sweep_data(sweep: Sweep, ids: Mapping[str, str]) -> dict[str, Data]:
    """What stands below `foreach` or `matrix`."""
    return {
        name: str(series) if isinstance(series, Span) else [value_data(value, ids) for value in series]
        for name, series in sweep.values.items()
    }


def workflow_sweep_data(workflow: Workflow, sweep: Sweep, ids: Mapping[str, str]) -> Data:
    """The same for a whole workflow, whose names may be `node.input`."""
    data: dict[str, Data] = {}
    for name, series in sweep_data(sweep, ids).items():
        target = split_target(workflow, name)
        data[name if target is None else f"{ids.get(target[0], target[0])}.{target[1]}"] = series
    return data


def value_data(value: Value, ids: Mapping[str, str]) -> Data:
    """What an input is given."""
    if isinstance(value, Ref):
        return write_text(Ref(ids.get(value.name, value.name), value.output))
    if isinstance(value, Slot):
        return write_text(Slot(ids.get(value.name, value.name), value.index))
    if isinstance(value, str | Template):
        return write_text(value)
    if isinstance(value, tuple):
        return [value_data(item, ids) for item in value]
    if isinstance(value, Mapping):
        return {key: value_data(item, ids) for key, item in value.items()}
    return finite(value)


def finite(value: Scalar) -> Scalar:
    """The value itself; infinities and NaN have no place in a workflow."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ProblemError(Problem("bad_number", f"the number {value} cannot be written to a workflow"))
    return value


def all_finite(value: Data) -> Data:
    """The data itself, once all its numbers can be written."""
    if isinstance(value, dict):
        return {key: all_finite(item) for key, item in value.items()}
    return [all_finite(item) for item in value] if isinstance(value, list) else finite(value)


def yaml_lines(mapping: dict[str, Data], indent: int) -> Iterator[str]:
    """The lines of a block mapping."""
    for key, value in mapping.items():
        yield from entry_lines(f"{' ' * indent}{scalar(key)}:", value, indent)


def entry_lines(head: str, value: Data, indent: int) -> Iterator[str]:
    """The lines of one value after `head` (a key with its colon, or a list's dash)."""
    if isinstance(value, str) and (block := block_text(value, indent + 2)):
        yield f"{head} {block}"
        return
    # Nodes read best in blocks, one line an input; what fits in a line and holds only plain values goes in
    # one.
    one_line = indent > 0 or head == "layout:"
    if not isinstance(value, dict | list) or not value:
        yield f"{head} {flow(value)}"
    elif one_line and is_flat(value) and len(line := f"{head} {flow(value)}") <= WIDTH:
        yield line
    elif isinstance(value, dict):
        yield head
        yield from yaml_lines(value, indent + 2)
    else:
        yield head
        dash = f"{' ' * (indent + 2)}-"
        for item in value:
            if isinstance(item, dict) and item and not (is_flat(item) and len(f"{dash} {flow(item)}") <= WIDTH):
                first, *rest = yaml_lines(item, indent + 4)
                yield f"{dash} {first.lstrip()}"
                yield from rest
            else:
                yield from entry_lines(dash, item, indent + 2)


def is_flat(value: dict[str, Data] | list[Data]) -> bool:
    """Whether a value may stand in one line: nested in it only lists of numbers, no text of several lines."""
    items = list(value.values()) if isinstance(value, dict) else value
    if isinstance(value, dict) and ("uses" in value or (len(items) > 4 and not isinstance(items[0], list))):
        return False
    return all(
        all(isinstance(part, int | float) for part in item)
        if isinstance(item, list)
        else not isinstance(item, dict) and not (isinstance(item, str) and "\n" in item)
        for item in items
    )


def flow(value: Data) -> str:
    """A value in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key, True)}: {flow_inner(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow_inner(item) for item in value) + "]"
    return scalar(value)


def flow_inner(value: Data) -> str:
    """A value inside brackets."""
    return flow(value) if isinstance(value, dict | list) else scalar(value, True)


def scalar(value: Scalar, in_flow: bool = False) -> str:
    """A scalar in one line, quoted only if a reader of YAML 1.1 or 1.2 would read something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # YAML 1.1 wants a point in the mantissa.
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa if '.' in mantissa else mantissa + '.0'}{e}{exponent}"
    if isinstance(value, int):
        return str(value)
    return (
        value
        if (is_plain if len(value) < 100 else is_plain.__wrapped__)(value) and not (in_flow and BRACKETS.search(value))
        else quoted(value)
    )


@lru_cache(4096)
def is_plain(text: str) -> bool:
    """Whether a text may stand without quotes in a block; the same keys come again and again."""
    return bool(
        PLAIN.fullmatch(text)
        and not NOT_PLAIN.search(text)
        and not MISREAD.fullmatch(text)
        and text[:2] not in ("- ", "--", "..")
    )


def quoted(text: str) -> str:
    """A text in double quotes, which YAML and JSON read alike."""
    import json

    def number(match: re.Match[str]) -> str:
        return f"\\u{ord(match.group()):04x}"

    return NEVER_RAW.sub(number, json.dumps(text, ensure_ascii=False))


def block_text(text: str, indent: int) -> str | None:
    """A text of several lines as a `|` block, or None where quotes are needed to keep it exactly."""
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 2 or not lines[0] or not lines[-1] or lines[0].startswith((" ", "\t")):
        return None
    if NEVER_RAW.search(text) or re.search(r"[\x00-\x08\x0b-\x1f]", text):
        return None
    head = "|" if text.endswith("\n") else "|-"
    return "\n".join([head, *(f"{' ' * indent}{line}" if line else "" for line in lines)])
