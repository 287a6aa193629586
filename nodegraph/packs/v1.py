"""Classes in ComfyUI's first form, with `INPUT_TYPES`, `RETURN_TYPES` and `FUNCTION`, read into declarations."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from nodegraph.comfy_compat.v3.nodes import Hidden
from nodegraph.packs.declared import NOTHING, REQUIRED, BadNode, Declared, Section, Taken, is_bound, taken_by

KNOWN: Final = frozenset(kind.value for kind in Hidden)
ASKED: Final = ("IS_CHANGED", "VALIDATE_INPUTS", "check_lazy_status")


def declared_v1(name: str, cls: object, display_name: object = None) -> Declared:
    """What a class says of its node. Raises BadNode for one that cannot be a node, and whatever its methods raise."""
    if not isinstance(cls, type):
        raise BadNode("what NODE_CLASS_MAPPINGS has for it is not a class")
    if not callable(getattr(cls, "INPUT_TYPES", None)):
        raise BadNode("its class has no INPUT_TYPES")
    function = getattr(cls, "FUNCTION", None)
    if not isinstance(function, str) or not callable(getattr(cls, function, None)):
        raise BadNode("its class has no FUNCTION that names a method")
    if not hasattr(cls, "RETURN_TYPES"):
        raise BadNode("its class has no RETURN_TYPES")
    instance = _Instance(cls)
    inputs = _inputs_of(cls)
    taken = taken_by(getattr(cls, function), bound=not is_bound(cls, function))
    category = getattr(cls, "CATEGORY", None)
    description = getattr(cls, "DESCRIPTION", None)
    return Declared(
        name=name,
        cls=cls,
        bind=lambda hidden: getattr(instance.get(), function),
        taken=taken,
        is_async=inspect.iscoroutinefunction(getattr(cls, function)),
        inputs=lambda: _sections(_inputs_of(cls)),
        required=_sections(inputs)[0],
        optional=_sections(inputs)[1],
        hidden=_hidden(_section(inputs, "hidden"), taken),
        returns=_several(getattr(cls, "RETURN_TYPES", ())),
        return_names=_several(getattr(cls, "RETURN_NAMES", ())),
        tooltips=_several(getattr(cls, "OUTPUT_TOOLTIPS", ())),
        output_lists=_several(getattr(cls, "OUTPUT_IS_LIST", ())),
        display_name=display_name if isinstance(display_name, str) and display_name else name,
        category=category if isinstance(category, str) and category else "custom",
        description=inspect.cleandoc(description) if isinstance(description, str) else "",
        output_node=bool(getattr(cls, "OUTPUT_NODE", False)),
        takes_lists=bool(getattr(cls, "INPUT_IS_LIST", False)),
        not_idempotent=bool(getattr(cls, "NOT_IDEMPOTENT", False)),
        deprecated=bool(getattr(cls, "DEPRECATED", False)),
        experimental=bool(getattr(cls, "EXPERIMENTAL", False)),
        open=taken.open,
        expands=_may_expand(cls),
        methods={key: _method(cls, key, instance, inputs) for key in ASKED if callable(getattr(cls, key, None))},
    )


def _may_expand(cls: type) -> bool:
    """Whether the module of a class speaks of expansions at all."""
    try:
        return "expand" in inspect.getsource(sys.modules[cls.__module__])
    except (OSError, TypeError, KeyError):
        return True


class _Instance:
    """The one instance of a class, made when it is first needed: packs keep state in it."""

    def __init__(self, cls: type) -> None:
        self._cls, self._made, self._lock = cls, list[object](), threading.Lock()

    def get(self) -> object:
        with self._lock:
            if not self._made:
                self._made.append(self._cls())
            return self._made[0]


def _inputs_of(cls: type) -> Mapping[str, object]:
    found = cast(Any, cls).INPUT_TYPES()
    if not isinstance(found, Mapping):
        raise BadNode("its INPUT_TYPES gives no dictionary")
    return cast("Mapping[str, object]", found)


def _section(inputs: Mapping[str, object], key: str) -> Section:
    found = inputs.get(key)
    if not isinstance(found, Mapping):
        return NOTHING
    return {name: entry for name, entry in cast("Mapping[object, object]", found).items() if isinstance(name, str)}


def _sections(inputs: Mapping[str, object]) -> tuple[Section, Section]:
    return _section(inputs, "required"), _section(inputs, "optional")


def _hidden(section: Section, taken: Taken) -> dict[str, str]:
    """The hidden inputs that the program fills in; others are there for packs that fill them in themselves."""
    found: dict[str, str] = {}
    for name, written in section.items():
        kind = cast("Sequence[object]", written if isinstance(written, tuple | list) and written else (written,))[0]
        if isinstance(kind, str) and (kind in KNOWN or taken.defaults.get(name) is REQUIRED):
            found[name] = kind
    return found


def _several(value: object) -> tuple[object, ...]:
    """A tuple; a text alone is one, for `("IMAGE")` is a mistake that is often made."""
    if isinstance(value, str):
        return (value,)
    return tuple(cast("Sequence[object]", value)) if isinstance(value, tuple | list) else ()


def _method(
    cls: type, name: str, instance: _Instance, inputs: Mapping[str, object]
) -> Callable[[], Callable[..., Any]]:
    """A method that is called by the class, or by its instance where it was written so."""
    static = inspect.getattr_static(cls, name)
    if isinstance(static, classmethod | staticmethod):
        return lambda: getattr(cls, name)
    parameters = list(taken_by(getattr(cls, name)).defaults)
    required, optional = _sections(inputs)
    if name != "check_lazy_status" and (not parameters or parameters[0] in {*required, *optional}):
        return lambda: getattr(cls, name)
    return lambda: getattr(instance.get(), name)
