"""Node types as classes in ComfyUI's form, for packs that look up others' nodes and call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from nodegraph.comfy_compat import current
from nodegraph.sockets.values import Saved
from nodegraph.spec import Choices, InputSpec, NodeSpec

FUNCTION: Final = "execute"


def class_of(spec: NodeSpec) -> type:
    """A class like those of packs, whose method `execute` calls the node."""

    def input_types(cls: type) -> dict[str, object]:
        required = {given.name: _entry(given) for given in spec.inputs if _is_required(given)}
        optional = {given.name: _entry(given) for given in spec.inputs if not _is_required(given)}
        return {"required": required, "optional": optional} if optional else {"required": required}

    def execute(self: object, *arguments: Any, **named: Any) -> object:
        named |= dict(zip([given.name for given in spec.inputs], arguments, strict=False))
        if spec.context_name is not None:
            named[spec.context_name] = current.this_context()
        return _returned(spec, spec.function(**named))

    members: dict[str, object] = {
        "INPUT_TYPES": classmethod(input_types),
        "RETURN_TYPES": tuple(output.type.wire for output in spec.outputs),
        "RETURN_NAMES": tuple(output.name for output in spec.outputs),
        "OUTPUT_IS_LIST": tuple(output.is_list for output in spec.outputs),
        "FUNCTION": FUNCTION,
        "CATEGORY": spec.category,
        "DESCRIPTION": spec.description,
        "OUTPUT_NODE": spec.output_node,
        "INPUT_IS_LIST": spec.takes_lists,
        FUNCTION: execute,
    }
    return type(spec.name, (), members)


def _is_required(given: InputSpec) -> bool:
    return given.required or (given.is_widget and given.default is not None)


def _entry(given: InputSpec) -> tuple[object, dict[str, object]]:
    options: dict[str, object] = dict(given.options)
    if given.default is not None:
        options["default"] = given.default
    if given.range is not None:
        options |= {"min": given.range.min, "max": given.range.max}
    if given.multiline:
        options["multiline"] = True
    if given.help:
        options["tooltip"] = given.help
    if given.choices is None:
        return given.type.wire, options
    choices = given.choices
    return list(choices.list(current.roots()) if isinstance(choices, Choices) else choices), options


def _returned(spec: NodeSpec, result: object) -> object:
    """What a node returned, as classes of packs return it."""
    if isinstance(result, Saved):
        images = [{"filename": f.filename, "subfolder": f.subfolder, "type": f.type} for f in result.files]
        shown = dict(cast("Mapping[str, object]", result.shown or {}))
        return {"ui": shown | ({"images": images} if images else {})}
    if not spec.outputs:
        return ()
    return tuple(cast("tuple[object, ...]", result)) if spec.several else (result,)
