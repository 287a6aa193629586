"""Collecting inputs: a node that takes all cells of a sweep becomes one with an input for each of them.

So the executor, keys and caches see links like any others, and a cell that changed is named by its own input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from nodegraph.node import InputSpec, NodeSpec


def part_name(name: str, number: int) -> str:
    """The input that takes cell `number` of the collecting input `name`."""
    return f"{name}[{number}]"


@dataclass(frozen=True, slots=True)
class Gathering:
    """Calls `function` with the parts of each collecting input as one tuple; `parts` says how many there are."""

    function: Callable[..., Any]
    parts: Mapping[str, int]

    def __call__(self, **arguments: Any) -> Any:
        for name, count in self.parts.items():
            arguments[name] = tuple([arguments.pop(part_name(name, i)) for i in range(count)])
        return self.function(**arguments)


@dataclass(frozen=True)
class GatheringSpec(NodeSpec):
    """A node type with its collecting inputs spread out; `base` is the type that it was made from."""

    base: NodeSpec | None = None

    @cached_property
    def source_digest(self) -> str:
        """That of the function which does the work."""
        assert self.base is not None
        return self.base.source_digest


def gathering_spec(spec: NodeSpec, parts: Mapping[str, int]) -> NodeSpec:
    """`spec` with `parts[name]` inputs in the place of each collecting input `name`."""
    inputs: list[InputSpec] = []
    for given in spec.inputs:
        if given.name not in parts:
            inputs.append(given)
            continue
        part = replace(given, required=True, default=None, collects=False)
        inputs += [replace(part, name=part_name(given.name, i)) for i in range(parts[given.name])]
    facts = {field.name: getattr(spec, field.name) for field in fields(NodeSpec)}
    facts |= {"inputs": tuple(inputs), "function": Gathering(spec.function, dict(parts))}
    return GatheringSpec(**facts, base=spec)
