"""All node types as data: their facts, ComfyUI's shape of them, and what could not be loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from nodegraph.context import Roots
from nodegraph.jobs.object_info import object_info
from nodegraph.registry import Registry
from nodegraph.spec import Choices, InputSpec, NodeSpec


def catalogue_of(registry: Registry, roots: Roots) -> dict[str, object]:
    """The catalogue of `JobService.catalogue`."""
    specs = {name: registry.specs[name] for name in registry.names()}
    data: dict[str, object] = {
        "nodes": {name: node_data(spec, roots) for name, spec in specs.items()},
        "object_info": object_info(specs, roots),
        "broken": [
            {
                "name": pack.name,
                "origin": pack.origin,
                "reason": pack.reason,
                "details": pack.details,
                "node": pack.node,
            }
            for pack in registry.broken
        ],
        "web": {name: str(folder) for name, folder in registry.web.items()},
    }
    text = json.dumps(data, ensure_ascii=False, default=str, separators=(",", ":"))
    return data | {"digest": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]}


def node_data(spec: NodeSpec, roots: Roots) -> dict[str, object]:
    """A node type as JSON data."""
    return {
        "name": spec.name,
        "display_name": spec.display_name,
        "category": spec.category,
        "pack": spec.pack,
        "version": spec.version,
        "description": spec.description,
        "output_node": spec.output_node,
        "inputs": [input_data(given, roots) for given in spec.inputs],
        "outputs": [{"name": out.name, "type": str(out.type), "help": out.help} for out in spec.outputs],
    }


def input_data(given: InputSpec, roots: Roots) -> dict[str, object]:
    """An input as JSON data; absent facts are left out."""
    data: dict[str, object] = {"name": given.name, "type": str(given.type), "required": given.required}
    if not given.required:
        data["default"] = given.default
    if given.range is not None:
        data |= {"min": given.range.min, "max": given.range.max}
    if given.choices is not None:
        data["choices"] = choices_of(given, roots)
    return data | ({"help": given.help} if given.help else {})


def choices_of(given: InputSpec, roots: Roots) -> Sequence[object]:
    """The choices of an input; those that are files, as they are found now."""
    return list(given.choices.list(roots) if isinstance(given.choices, Choices) else given.choices or ())
