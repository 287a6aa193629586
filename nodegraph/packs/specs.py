"""From what a class says of its node to a `NodeSpec`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from nodegraph.comfy_compat import current
from nodegraph.packs.calls import CONTEXT, function_of
from nodegraph.packs.code import ClassCode, PackCode
from nodegraph.packs.declared import REQUIRED, Declared, Section, Taken, taken_by
from nodegraph.packs.importing import sentence
from nodegraph.packs.inputs import input_of, outputs_of
from nodegraph.spec import InputSpec, NodeSpec, Validation

#: What the results of output nodes are keyed by: what they write besides is not known, so each process writes it anew.
THIS_PROCESS: Final = os.urandom(16).hex()
TYPES: Final = "input_types"


def spec_of_declared(declared: Declared, code: PackCode | None = None) -> NodeSpec:
    """A declaration as a node type. code: of the pack that it is in."""
    inputs = [*_inputs(declared, "required"), *_inputs(declared, "optional")]
    outputs = outputs_of(declared.returns, declared.return_names, declared.tooltips, declared.output_lists)
    doubts: dict[str, str] = {}
    return NodeSpec(
        name=declared.name,
        function=function_of(declared, {spec.name: spec for spec in inputs}, outputs, doubts),
        category=declared.category,
        version=1,
        description=declared.description,
        inputs=tuple(inputs),
        outputs=outputs,
        display_name=declared.display_name,
        output_node=declared.output_node,
        is_async=declared.is_async,
        deprecated=declared.deprecated,
        experimental=declared.experimental,
        context_name=CONTEXT,
        several=bool(outputs),
        fingerprint=_fingerprint(declared, doubts),
        ask=_ask(declared),
        validation=_validation(declared, {spec.name for spec in inputs}),
        open=declared.open,
        takes_lists=declared.takes_lists,
        keyed_by=_keyed_by(declared),
        source=ClassCode(declared.cls, code),
        expands=declared.expands,
        checks_arrivals=False,
    )


def _inputs(declared: Declared, kind: Literal["required", "optional"]) -> list[InputSpec]:
    before = current.lookups()
    required, optional = declared.inputs()
    looked_up = current.lookups() > before
    section: Section = required if kind == "required" else optional

    def again(name: str) -> Callable[[], object]:
        return lambda: declared.inputs()[0 if kind == "required" else 1][name]

    return [
        input_of(
            name,
            written,
            required=kind == "required",
            taken=declared.taken,
            again=again(name),
            looked_up=looked_up,
        )
        for name, written in section.items()
        if kind == "required" or name not in required
    ]


def _keyed_by(declared: Declared) -> frozenset[Literal["id", "shape"]]:
    kinds, keys = set(declared.hidden.values()), set[Literal["id", "shape"]]()
    if declared.not_idempotent or "UNIQUE_ID" in kinds:
        keys.add("id")
    if "DYNPROMPT" in kinds:
        keys.add("shape")
    return frozenset(keys)


def _listed(declared: Declared, values: Mapping[str, object]) -> dict[str, object]:
    """Values as the class takes them: each in a list, if it takes lists."""
    return {name: [value] for name, value in values.items()} if declared.takes_lists else dict(values)


def _fingerprint(declared: Declared, doubts: dict[str, str]) -> Callable[[Mapping[str, object], str], object] | None:
    """What IS_CHANGED says. Where it fails, the node runs each time, and `doubts` has why, for the call to tell."""
    method = declared.methods.get("IS_CHANGED")
    if method is None:
        return (lambda values, node: THIS_PROCESS) if declared.output_node else None

    def asked(values: Mapping[str, object], node: str) -> Any:
        function = method()
        given = {name: value for name, value in values.items() if value is not None or not _optional(declared, name)}
        hidden = {name: node if kind == "UNIQUE_ID" else None for name, kind in declared.hidden.items()}
        return function(**taken_by(function).of(_listed(declared, hidden | given)))

    def doubt(node: str, error: Exception) -> float:
        doubts[node] = f"it cannot tell whether it changed, and so runs each time ({sentence(error)})"
        return math.nan

    def fingerprint(values: Mapping[str, object], node: str) -> object:
        try:
            return asked(values, node)
        except Exception as error:
            return doubt(node, error)

    async def fingerprint_async(values: Mapping[str, object], node: str) -> object:
        try:
            return await asked(values, node)
        except Exception as error:
            return doubt(node, error)

    return fingerprint_async if declared.asks_async("IS_CHANGED") else fingerprint


def _optional(declared: Declared, name: str) -> bool:
    return name in declared.optional and name not in declared.required


def _ask(declared: Declared) -> Callable[[Mapping[str, object]], object] | None:
    method = declared.methods.get("check_lazy_status")
    if method is None:
        return None

    def ask(values: Mapping[str, object]) -> object:
        function = method()
        hidden = dict.fromkeys(declared.hidden)
        return function(**taken_by(function).of(hidden | dict(values)))

    return ask


def _validation(declared: Declared, names: set[str]) -> Validation | None:
    method = declared.methods.get("VALIDATE_INPUTS")
    if method is None:
        return None
    taken = taken_by(method())

    def validate(values: Mapping[str, object], types: Mapping[str, str]) -> object:
        return _verdict(method()(**_validated(declared, taken, values, types)))

    async def validate_async(values: Mapping[str, object], types: Mapping[str, str]) -> object:
        return _verdict(await method()(**_validated(declared, taken, values, types)))

    return Validation(
        validate_async if declared.asks_async("VALIDATE_INPUTS") else validate,
        None if taken.open else frozenset(names & taken.defaults.keys()),
        TYPES in taken.defaults,
    )


def _validated(
    declared: Declared, taken: Taken, values: Mapping[str, object], types: Mapping[str, str]
) -> dict[str, object]:
    """The arguments of VALIDATE_INPUTS; inputs that arrive by links have no value yet."""
    given = _listed(declared, taken.of(values))
    absent = [name for name, default in taken.defaults.items() if default is REQUIRED and name not in given]
    return dict.fromkeys(absent) | given | ({TYPES: dict(types)} if TYPES in taken.defaults else {})


def _verdict(found: object) -> object:
    """True, or what is wrong."""
    if found is True:
        return True
    return found if isinstance(found, str) and found else "the node refuses its inputs"
