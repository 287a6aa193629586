"""Primitives of ComfyUI's editor, nodes whose value feeds inputs of other nodes, as parameters of a workflow."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from nodegraph.spec import InputSpec
from nodegraph.workflow.api_format import literal
from nodegraph.workflow.document import Param, ParamType, Ref, Value
from nodegraph.workflow.param_values import type_of
from nodegraph.workflow.texts import free_name, name_fault
from nodegraph.workflow.tree import UNREADABLE, Located, Report
from nodegraph.workflow.ui_links import Primitive

USUAL_TITLES: Final = frozenset(("primitive", "primitivenode", ""))
PARAM_TYPES: Final[dict[str, ParamType]] = {
    "INT": "INT", "FLOAT": "FLOAT", "STRING": "STRING", "BOOLEAN": "BOOLEAN", "COMBO": "STRING",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fed:
    """An input that a primitive feeds; `spec` if its node's type is known."""

    node: str
    input: str
    spec: InputSpec | None


@dataclass(slots=True)
class Settled:
    """Parameters, and what each input that a primitive feeds is given."""

    params: dict[str, Param] = field(default_factory=dict[str, Param])
    values: list[tuple[Fed, Value]] = field(default_factory=list[tuple[Fed, Value]])


def params_of(primitives: Sequence[tuple[Primitive, Sequence[Fed]]], taken: Collection[str], report: Report) -> Settled:
    """The parameters that primitives become; a value that is no plain one is put into the inputs as it is."""
    settled = Settled()
    for primitive, feeds in primitives:
        entry = value_of(primitive)
        value = literal(entry) if entry is not None else None
        if entry is None or value is UNREADABLE:
            continue
        type_ = common_type(value, feeds)
        if type_ is None:
            settled.values += [(fed, value) for fed in feeds]
            continue
        assert isinstance(value, str | int | float | bool)
        default = float(value) if type_ == "FLOAT" else value
        name = free_name(param_name(primitive, feeds), {*taken, *settled.params})
        settled.params[name] = Param(name, type_, default, place=report.at(entry))
        settled.values += [(fed, Ref(name)) for fed in feeds]
    return settled


def value_of(primitive: Primitive) -> Located | None:
    """The value of a primitive: its first widget, or what a subgraph around it is told instead."""
    for (node, _), value in primitive.scope.widgets.items():
        if node == primitive.node.id:
            return value
    widgets = primitive.node.widgets.value if primitive.node.widgets is not None else None
    if isinstance(widgets, dict):
        return widgets.get("value")
    return widgets[0] if isinstance(widgets, list) and widgets else None


def common_type(value: object, feeds: Sequence[Fed]) -> ParamType | None:
    """The type of a parameter that can stand for a value in all these inputs, None if there is none."""
    if not isinstance(value, str | int | float | bool):
        return None
    own = type_of(value)
    wanted: set[ParamType] = {own}
    for fed in feeds:
        if fed.spec is None or fed.spec.type.is_any:
            continue
        types = {PARAM_TYPES[name] for name in fed.spec.type.names if name in PARAM_TYPES}
        if own == "INT" and types == {"FLOAT"}:
            wanted.add("FLOAT")
        elif own not in types:
            return None
    if wanted == {"INT", "FLOAT"}:
        # A whole number fits both; decimal ones only inputs that all take them.
        exact = [fed for fed in feeds if fed.spec is None or "FLOAT" not in fed.spec.type.names]
        return "INT" if exact else "FLOAT"
    return own


def param_name(primitive: Primitive, feeds: Sequence[Fed]) -> str:
    """A name for a parameter: the primitive's title if somebody gave it one, else the input's name."""
    title = primitive.node.title or ""
    for candidate in (title if title.casefold() not in USUAL_TITLES else "", feeds[0].input):
        name = re.sub(r"[^a-z0-9]+", "_", candidate.casefold()).strip("_")[:40].strip("_")
        name = f"p{name}" if name[:1].isdigit() else name
        if name and not name_fault(name):
            return name
    return "value"
