"""All node types as data: their facts, ComfyUI's shape of them, their sockets, and what could not be loaded."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence

from nodegraph.context import Roots
from nodegraph.jobs.object_info import PASSED, object_info
from nodegraph.jobs.palette import palette
from nodegraph.jobs.rows import plain
from nodegraph.registry import Registry
from nodegraph.sockets.types import SocketType
from nodegraph.spec import Choices, InputSpec, NodeSpec, OutputSpec, Range


def catalogue_of(registry: Registry, roots: Roots) -> dict[str, object]:
    """The catalogue of `JobService.catalogue`."""
    specs = {name: registry.specs[name] for name in registry.names()}
    data: dict[str, object] = {
        "nodes": {name: node_data(spec, roots) for name, spec in specs.items()},
        "object_info": object_info(specs, roots),
        "sockets": palette(specs.values()),
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
    """A node type as JSON data; marks that do not hold are left out."""
    marks = {
        "deprecated": spec.deprecated,
        "experimental": spec.experimental,
        "open": spec.open,
        "takes_lists": spec.takes_lists,
    }
    return {
        "name": spec.name,
        "display_name": spec.display_name,
        "category": spec.category,
        "pack": spec.pack,
        "version": spec.version,
        "description": spec.description,
        "output_node": spec.output_node,
        "inputs": [input_data(given, roots) for given in spec.inputs],
        "outputs": [output_data(output) for output in spec.outputs],
        **held(marks),
    }


def output_data(output: OutputSpec) -> dict[str, object]:
    """An output as JSON data."""
    data = {"name": output.name, "type": str(output.type), "help": output.help} | held({"is_list": output.is_list})
    return data | names_of(output.type)


def input_data(given: InputSpec, roots: Roots) -> dict[str, object]:
    """An input as JSON data; absent facts are left out."""
    data: dict[str, object] = {"name": given.name, "type": str(given.type), "required": given.required}
    data |= names_of(given.type)
    if not given.required:
        data["default"] = plain(given.default)
    if given.range is not None:
        data |= bounds_of(given.range, whole=given.type.names == ("INT",))
    if given.choices is not None:
        data["choices"] = choices_of(given, roots)
    if isinstance(given.choices, Choices) and given.choices.folder:
        data["folder"] = given.choices.folder
    if options := {name: plain(value) for name, value in given.options.items() if name in PASSED}:
        data["options"] = options
    return data | held(marks_of(given)) | ({"help": given.help} if given.help else {})


def marks_of(given: InputSpec) -> dict[str, bool]:
    """What an input is beside its type."""
    return {
        "widget": given.is_widget,
        "multiline": given.multiline,
        "control": given.control,
        "collects": given.collects,
        "lazy": given.lazy,
        "raw": given.raw,
        "takes_list": given.takes_list,
        "mentions": given.mentions is not None,
        "upload": isinstance(given.choices, Choices) and given.choices.upload,
        "custom": given.custom,
    }


def names_of(type_: SocketType) -> dict[str, object]:
    """What a union or a generic type stands for; any other is its name."""
    data: dict[str, object] = {"types": list(type_.names)} if str(type_) != type_.wire else {}
    return data | ({"variable": type_.variable} if type_.variable is not None else {})


def bounds_of(range_: Range, *, whole: bool) -> dict[str, object]:
    """Bounds and steps of a number; whole ones stay exact, and endless ones are left out."""
    data: dict[str, object] = {}
    for name, bound in (("min", range_.min), ("max", range_.max), ("step", range_.step)):
        if bound is not None and math.isfinite(bound):
            data[name] = (int(bound) or (1 if name == "step" else 0)) if whole else bound
    return data | ({"multiple": range_.multiple} if range_.multiple > 1 else {})


def held(marks: Mapping[str, bool]) -> dict[str, object]:
    """The marks that hold."""
    return {name: True for name, holds in marks.items() if holds}


def choices_of(given: InputSpec, roots: Roots) -> Sequence[object]:
    """The choices of an input; those that are files, as they are found now."""
    return list(given.choices.list(roots) if isinstance(given.choices, Choices) else given.choices or ())
