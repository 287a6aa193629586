"""Node types in the shape that ComfyUI's clients know from `GET /object_info`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from nodegraph.context import Roots
from nodegraph.spec import Choices, InputSpec, NodeSpec

#: What a pack says of an input that is passed on as it is; the rest is known under names of our own.
PASSED: Final = (
    "round",
    "display",
    "forceInput",
    "rawLink",
    "image_upload",
    "image_folder",
    "video_upload",
    "audio_upload",
    "dynamicPrompts",
    "placeholder",
    "label_on",
    "label_off",
    "control_after_generate",
    "defaultInput",
    "multiselect",
    "multi_select",
    "socketless",
    "advanced",
    "remote",
)
BUILTIN: Final = ("", "builtin")


def object_info(specs: Mapping[str, NodeSpec], roots: Roots) -> dict[str, object]:
    """All of these node types."""
    return {name: node_info(spec, roots) for name, spec in specs.items()}


def node_info(spec: NodeSpec, roots: Roots) -> dict[str, object]:
    """One node type."""
    required = {each.name: input_info(each, roots) for each in spec.inputs if _is_asked(each)}
    optional = {each.name: input_info(each, roots) for each in spec.inputs if not _is_asked(each)}
    info: dict[str, object] = {
        "input": {"required": required, **({"optional": optional} if optional else {})},
        "input_order": {"required": list(required), **({"optional": list(optional)} if optional else {})},
        "output": [output.type.wire for output in spec.outputs],
        "output_is_list": [output.is_list for output in spec.outputs],
        "output_name": [output.name for output in spec.outputs],
        "name": spec.name,
        "display_name": spec.display_name,
        "description": spec.description,
        "python_module": "nodes" if spec.pack in BUILTIN else f"custom_nodes.{spec.pack}",
        "category": spec.category,
        "output_node": spec.output_node,
    }
    if any(output.help for output in spec.outputs):
        info["output_tooltips"] = [output.help for output in spec.outputs]
    marks = {"deprecated": spec.deprecated, "experimental": spec.experimental}
    return info | {name: True for name, holds in marks.items() if holds}


def input_info(given: InputSpec, roots: Roots) -> list[object]:
    """An input: its type or its choices, and its options."""
    options = _options(given)
    if given.choices is None:
        return [given.type.wire, options] if options else [given.type.wire]
    choices = _choices(given, roots)
    if "default" in options and options["default"] not in choices and isinstance(given.choices, Choices):
        del options["default"]  # a file that is not there
    return [choices, options] if options else [choices]


def _is_asked(given: InputSpec) -> bool:
    """Whether clients know an input as a required one: those are the ones with a default, too, unless a pack says
    otherwise."""
    return given.required or (given.is_widget and given.default is not None and not given.options.get("optional"))


def _options(given: InputSpec) -> dict[str, object]:
    options: dict[str, object] = {}
    if given.default is not None:
        options["default"] = given.default
    if given.range is not None:
        whole = given.type.names == ("INT",)
        options["min"] = int(given.range.min) if whole else given.range.min
        options["max"] = int(given.range.max) if whole else given.range.max
        step = max(given.range.step or 0, given.range.multiple if given.range.multiple > 1 else 0)
        if step:
            options["step"] = int(step) if whole else step
    marks = {
        "multiline": given.multiline,
        "control_after_generate": given.control,
        "lazy": given.lazy,
        "image_upload": isinstance(given.choices, Choices) and given.choices.upload,
    }
    options |= {name: True for name, holds in marks.items() if holds}
    if given.help:
        options["tooltip"] = given.help
    known = {
        name: value for name, value in given.options.items() if name in PASSED or name in ("default", "min", "max")
    }
    return {**known, **options}


def _choices(given: InputSpec, roots: Roots) -> Sequence[object]:
    if isinstance(given.choices, Choices):
        return list(given.choices.list(roots))
    return list(given.choices or ())
