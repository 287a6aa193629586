"""`seed: random`: seeds drawn anew for a run, before anything is keyed, and written down where `random` stood."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from nodegraph.errors import Place
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Param, Ref, Value, Workflow

RANDOM: Final = "random"
BEFORE: Final = re.compile(r"(?:[\w-]+:\s+)?(?=random\b)")  # a parameter's place is that of its name
LARGEST: Final = 2**53  # every reader of JSON keeps these exactly


def draw_seed() -> int:
    """A seed nobody can foresee, 0 … 2^53 - 1."""
    return secrets.randbelow(LARGEST)


def with_random_seeds(
    workflow: Workflow, registry: Registry, draw: Callable[[], int] = draw_seed, again: Collection[str] = ()
) -> Workflow:
    """The workflow with a number for every `random` that stands where a seed is wanted: at a node's seed input, or as
    the default of a parameter that feeds one. `again` names parameters that are to be random whatever their default.

    The text, where it is YAML, says the numbers too, so that a picture saved with it can be made again.
    """
    nodes: dict[str, NodeEntry] = {}
    params: dict[str, Param] = {}
    drawn: list[tuple[Place, int]] = []
    for name, entry in workflow.nodes.items():
        changed: dict[str, Value] = {}
        spec = registry.get(entry.uses) if entry.uses else None
        for given in spec.inputs if spec is not None else ():
            value = entry.inputs.get(given.name)
            if not given.control:
                continue
            if value == RANDOM:
                seed = changed[given.name] = draw()
                drawn.append((entry.places.get(given.name, Place()), seed))
            elif isinstance(value, Ref) and value.output is None and value.name not in params:
                param = workflow.params.get(value.name)
                if param is not None and (param.default == RANDOM or value.name in again):
                    seed = draw()
                    params[value.name] = replace(param, type="INT", default=seed, required=False)
                    drawn.append((param.place, seed))
        if changed:
            nodes[name] = replace(entry, inputs=MappingProxyType({**entry.inputs, **changed}))
    if not nodes and not params:
        return workflow
    return replace(
        workflow,
        nodes=MappingProxyType({**workflow.nodes, **nodes}),
        params=MappingProxyType({**workflow.params, **params}),
        text=_written(workflow.text, drawn),
    )


def _written(text: str | None, drawn: list[tuple[Place, int]]) -> str | None:
    """The text with numbers for `random` at these places; None where another word stands there."""
    lines = text.split("\n") if text is not None else []
    for place, seed in sorted(drawn, key=lambda each: (each[0].line or 0, each[0].column or 0), reverse=True):
        if place.line is None or place.column is None or place.line > len(lines):
            return None
        line, start = lines[place.line - 1], place.column - 1
        found = BEFORE.match(line, start)
        if found is None:
            return None
        lines[place.line - 1] = line[: found.end()] + str(seed) + line[found.end() + len(RANDOM) :]
    return "\n".join(lines) if text is not None else None
