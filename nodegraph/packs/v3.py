"""Classes in ComfyUI's second form, with a schema, read into declarations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from nodegraph.comfy_compat.v3.nodes import ComfyNode, Hidden, HiddenHolder, Schema
from nodegraph.packs.declared import BadNode, Declared, Section, taken_by

#: The first form's name of a method → this form's.
ASKED: Final = {
    "IS_CHANGED": "fingerprint_inputs",
    "VALIDATE_INPUTS": "validate_inputs",
    "check_lazy_status": "check_lazy_status",
}
NAMES: Final = {kind.value: kind.name for kind in Hidden}


async def node_classes(entrypoint: Callable[[], Any]) -> list[type]:
    """The classes of a pack that has an entry point."""
    extension: Any = entrypoint()
    if inspect.isawaitable(extension):
        extension = await extension
    for name in ("on_load", "get_node_list"):
        if not callable(getattr(extension, name, None)):
            raise TypeError(f"what its comfy_entrypoint gives has no {name}")
    await extension.on_load()
    return list(await extension.get_node_list())


def declared_v3(cls: type, name: str | None = None) -> Declared:
    """What a class says of its node. Raises BadNode for one that cannot be a node, and whatever its methods raise."""
    if not (isinstance(cast(object, cls), type) and issubclass(cls, ComfyNode)):
        raise BadNode("what get_node_list has for it is no class below io.ComfyNode")
    if not inspect.ismethod(getattr(cls, "execute", None)):
        raise BadNode("its class has no class method called execute")
    schema = _schema_of(cls)
    required, optional = _sections(schema)
    execute: Callable[..., Any] = cast(Any, cls).execute
    taken = taken_by(execute)
    return Declared(
        name=name or schema.node_id,
        cls=cls,
        bind=lambda hidden: getattr(_called(cls, hidden), "execute"),  # noqa: B009 (types do not know it)
        taken=taken,
        is_async=inspect.iscoroutinefunction(execute),
        inputs=lambda: _sections(_schema_of(cls)),
        required=required,
        optional=optional,
        hidden=_hidden(schema),
        returns=tuple(output.type_text() for output in schema.outputs),
        return_names=tuple(output.display_name or output.id for output in schema.outputs),
        tooltips=tuple(output.tooltip for output in schema.outputs),
        output_lists=tuple(output.is_output_list for output in schema.outputs),
        display_name=schema.display_name or schema.node_id,
        category=schema.category or "custom",
        description=inspect.cleandoc(schema.description or ""),
        output_node=schema.is_output_node,
        takes_lists=schema.is_input_list,
        not_idempotent=schema.not_idempotent,
        deprecated=schema.is_deprecated,
        experimental=schema.is_experimental,
        open=schema.accept_all_inputs,
        groups={given.id: group for given in schema.inputs if (group := given.group()) is not None},
        methods={first: _method(cls, own) for first, own in ASKED.items() if callable(getattr(cls, own, None))},
        holder=True,
        own_names=ASKED,
        expands=schema.enable_expand,
    )


def _method(cls: type, name: str) -> Callable[[], Callable[..., Any]]:
    return lambda: getattr(cls, name)


def _schema_of(cls: type) -> Schema:
    schema = cast("type[ComfyNode]", cls).define_schema()
    if not isinstance(cast(object, schema), Schema):
        raise BadNode("its define_schema gives no io.Schema")
    return schema


def _sections(schema: Schema) -> tuple[Section, Section]:
    required: dict[str, object] = {}
    optional: dict[str, object] = {}
    for given in schema.inputs:
        for name, (is_optional, entry) in given.entries().items():
            (optional if is_optional else required)[name] = entry
    return required, optional


def _hidden(schema: Schema) -> dict[str, str]:
    """Hidden inputs by name; output nodes have what pictures say of their origin."""
    kinds = {kind.value for kind in schema.hidden if isinstance(cast(object, kind), Hidden)}
    kinds |= {"PROMPT", "EXTRA_PNGINFO"} if schema.is_output_node else set()
    return {NAMES[kind]: kind for kind in sorted(kinds)}


def _called(cls: type, hidden: Mapping[str, object]) -> type:
    """The class for one call, which has the values of its hidden inputs and keeps nothing."""
    return type(cls.__name__, (cls,), {"hidden": HiddenHolder(hidden), "__module__": cls.__module__})
