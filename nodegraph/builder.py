"""Building graphs in code: workflows to run, and the graphs that nodes return to have more nodes run."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, cast, overload

from nodegraph.context import Context
from nodegraph.node import NodeSpec, spec_of
from nodegraph.sockets.flow import Call, Expansion, Out
from nodegraph.sockets.types import is_named_tuple
from nodegraph.workflow.document import (
    CachePolicy,
    Mode,
    NodeEntry,
    Param,
    ParamType,
    Ref,
    Scalar,
    Series,
    Slot,
    Span,
    Sweep,
    Template,
    Value,
    Workflow,
)
from nodegraph.workflow.param_values import Fault, fit, type_of
from nodegraph.workflow.texts import free_name, snake_case

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", str, int, float, bool)
V = TypeVar("V")

KINDS: Mapping[object, ParamType] = {str: "STRING", int: "INT", float: "FLOAT", bool: "BOOLEAN", object: "ANY"}
RANDOM = "random"  # as a default it stands for a seed that is drawn for the run


class Outputs(Ref):
    """A node that was added by its type's name: its only output, or by `[name]` or `[number]` one of several."""

    __slots__ = ()

    def __getitem__(self, output: str | int) -> Any:
        """One of several outputs."""
        return Slot(self.name, output) if isinstance(output, int) else Ref(self.name, output)


@dataclass(frozen=True, slots=True)
class Varied:
    """Values that an input is given one after another; `zipped` as in a Sweep."""

    values: Series
    zipped: bool


class Builder:
    """Builds a graph in code, with an editor's completion and a type checker's eye on every call.

        graph = Builder()
        model, clip, vae = graph.add(CheckpointLoaderSimple, ckpt_name="tiny")
        positive = graph.add(CLIPTextEncode, "a red star", clip)

    `add` is typed as a call of the node's function, so what it returns may be passed on as the node's result; really
    it is a reference. Nothing runs before `nodegraph.run(graph)`.

    file: the program that builds it; files that inputs name are then looked for beside it, too. nodes: folders with
    packs of nodes, for those that are added by the name of their type; custom_nodes: the same of packs for ComfyUI.
    """

    def __init__(
        self,
        name: str | None = None,
        description: str = "",
        *,
        file: str | None = None,
        nodes: Sequence[str] = (),
        custom_nodes: Sequence[str] = (),
    ) -> None:
        self.nodes = tuple(nodes)
        self.custom_nodes = tuple(custom_nodes)
        self._workflow = Workflow(MappingProxyType({}), name=name, description=description, file=file)
        self._entries: dict[str, NodeEntry] = {}
        self._inputs: dict[str, Mapping[str, object]] = {}
        self._params: dict[str, Param] = {}
        self._specs: dict[str, NodeSpec] = {}

    @overload
    def param(
        self,
        name: str,
        default: S | type[S],
        description: str = "",
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        choices: Sequence[S] | None = None,
        kind: ParamType | None = None,
    ) -> S: ...

    @overload
    def param(
        self,
        name: str,
        default: object,
        description: str = "",
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        choices: Sequence[object] | None = None,
        kind: ParamType | None = None,
    ) -> Any: ...

    def param(
        self,
        name: str,
        default: object,
        description: str = "",
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        choices: Sequence[object] | None = None,
        kind: ParamType | None = None,
    ) -> Any:
        """Declare a parameter, and use what is returned as its value.

        default: its value if none is given; a type (`str`, `int` …; `object` for any) instead of a value if one must
        be. kind: its type, if that is not the default's. Raises ValueError for a default that contradicts the rest.
        """
        self._claim(name)
        required = isinstance(default, type)
        if not (default in KINDS if required else isinstance(default, Scalar)):
            raise TypeError(f"a parameter is a text, a number, true, false or None, not {default!r}")
        kind = kind or (KINDS[default] if required else type_of(cast(Scalar, default)))
        param = Param(
            name,
            kind,
            None if required else cast(Scalar, default),
            required,
            minimum,
            maximum,
            tuple(cast("Sequence[Scalar]", choices)) if choices is not None else None,
            description,
        )
        if not required and default != RANDOM:
            fitted = fit(param, default)
            if isinstance(fitted, Fault):
                raise ValueError(fitted.message)
            param = replace(param, default=fitted)
        self._params[name] = param
        return Ref(name)

    def add(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Add a node, named after its type (`clip_text_encode`, `clip_text_encode_2` …)."""
        return self.node(self._free_name(spec_of(function).name), function, *args, **kwargs)

    def node(self, name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Add a node under a name of your choice. Raises TypeError for arguments that the node does not take."""
        self._claim(name)
        spec = spec_of(function)
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
        written = [*(key for key in bound if key not in kwargs and key in spec.inputs_by_name), *kwargs]
        given = {**bound, **kwargs}
        self._put(name, spec.name, {key: given[key] for key in written if not isinstance(given[key], Context)})
        self._specs[spec.name] = spec
        if not spec.outputs:
            return cast(R, None)
        if not spec.several:
            return cast(R, Ref(name))
        refs = [Ref(name, output.name.lower()) for output in spec.outputs]
        result: Any = _named_tuple(typing.get_type_hints(function)["return"])
        return cast(R, result._make(refs))

    def add_type(self, type_: str, /, **inputs: Any) -> Outputs:
        """Add a node by the name of its type, named after it; for nodes whose function cannot be imported.

        What is returned is the node's only output; of several, pick one by its name or its number from 0:
        `loaded["clip"]`, `loaded[1]`. Whether the type and its inputs exist, `check` and `run` say.
        """
        return self.node_type(self._free_name(type_), type_, **inputs)

    def node_type(self, name: str, type_: str, /, **inputs: Any) -> Outputs:
        """The same under a name of your choice."""
        self._claim(name)
        self._put(name, type_, inputs)
        return Outputs(name)

    def text(self, *parts: object) -> str:
        """A text with parameters in it: `graph.text("a ", colour, " star")`. Nothing else can be filled in."""
        kept: list[str | Ref] = []
        for part in parts:
            if not (isinstance(part, str) or (isinstance(part, Ref) and part.name in self._params)):
                raise TypeError(f"a text is made of texts and parameters, not {type(part).__name__}")
            kept.append(part)
        return cast(str, Template(tuple(kept)))

    def matrix(self, values: Iterable[V]) -> V:
        """Several values for an input: the node runs for each of them, in every combination with its other `matrix`."""
        return cast(V, Varied(_series(values), zipped=False))

    def foreach(self, values: Iterable[V]) -> V:
        """Several values for an input, side by side with those of the node's other `foreach`."""
        return cast(V, Varied(_series(values), zipped=True))

    def sweep(self, values: Mapping[str, Iterable[object]], *, zipped: bool = False) -> None:
        """Run everything for several values of parameters and inputs (`node.input`), combined, or side by side."""
        series = {name: _series(given) for name, given in values.items()}
        self._workflow = replace(self._workflow, sweep=Sweep(zipped, MappingProxyType(series)))

    def options(
        self,
        name: str,
        *,
        title: str | None = None,
        note: str | None = None,
        cache: CachePolicy | None = None,
        when: object = None,
        mode: Mode | None = None,
    ) -> None:
        """Say more of the node `name`, as its entry in a file could; what is left out stays as it is."""
        given = {"title": title, "note": note, "cache": cache, "when": _value(when), "mode": mode}
        entry = self._entries[name]
        self._entries[name] = replace(entry, **{key: value for key, value in given.items() if value is not None})

    def output(self, name: str, value: object) -> None:
        """Name a result, so that `RunResult.outputs` has it."""
        value = _value(value) if isinstance(value, Outputs) else value
        if not isinstance(value, Ref):
            raise TypeError("an output is what add() or node() returned")
        self._workflow = replace(self._workflow, outputs=MappingProxyType({**self._workflow.outputs, name: value}))

    def workflow(self) -> Workflow:
        """The workflow so far, as an immutable document. Raises TypeError for inputs that no document can hold."""
        return replace(
            self._workflow,
            nodes=MappingProxyType({name: self._entry(name) for name in self._entries}),
            params=MappingProxyType(dict(self._params)),
        )

    def expansion(self, *results: object) -> Expansion[Any]:
        """What a node returns to have the nodes of this builder run in its place.

        results: one for each output of the node, a value or what `add` returned. Inputs may be any values here, such as
        the node's own, and parameters are their defaults. Raises TypeError for what only a whole workflow can have.

            @node(category="mine")
            def Twice(image: Image) -> Expansion[Image]:
                graph = Builder()
                return graph.expansion(graph.add(Sharpen, graph.add(Sharpen, image)))
        """
        calls: dict[str, Call] = {}
        for name, entry in self._entries.items():
            if entry.sweep is not None or entry.when is not None or entry.mode != "run":
                raise TypeError(f"'{name}': an expansion has neither sweeps nor conditions; leave the node out instead")
            inputs = {key: self._argument(value) for key, value in self._inputs[name].items()}
            calls[name] = Call(entry.uses, MappingProxyType(inputs))
        return Expansion(MappingProxyType(calls), tuple([self._argument(result) for result in results]))

    @property
    def specs(self) -> Collection[NodeSpec]:
        """The node types used, which need not be in any pack; those that were added by name are not among them."""
        return self._specs.values()

    def _put(self, name: str, type_: str, inputs: Mapping[str, object]) -> None:
        varied = {key: value for key, value in inputs.items() if isinstance(value, Varied)}
        if len({each.zipped for each in varied.values()}) > 1:
            raise TypeError(f"'{name}': one node has either 'matrix' or 'foreach'")
        sweep = None
        if varied:
            zipped = next(iter(varied.values())).zipped
            sweep = Sweep(zipped, MappingProxyType({key: each.values for key, each in varied.items()}))
        self._inputs[name] = {key: value for key, value in inputs.items() if key not in varied}
        self._entries[name] = NodeEntry(name, type_, sweep=sweep)

    def _entry(self, name: str) -> NodeEntry:
        values: dict[str, Value] = {}
        for key, value in self._inputs[name].items():
            try:
                values[key] = _value(value)
            except TypeError as error:
                raise TypeError(f"input '{key}' of '{name}': {error}") from None
        return replace(self._entries[name], inputs=MappingProxyType(values))

    def _argument(self, value: object) -> object:
        """A value as a call in an expansion has it: links as Out, parameters and texts filled in."""
        if isinstance(value, Template):
            return "".join([str(self._argument(part)) for part in value.parts])
        if isinstance(value, Slot):
            return Out(self._known(value.name), value.index)
        if not isinstance(value, Ref):
            return value
        if value.name in self._params:
            return self._params[value.name].default
        if value.output is None:
            return Out(self._known(value.name))
        spec = self._specs.get(self._entries[self._known(value.name)].uses)
        index = spec.output_index(value.output) if spec is not None else None
        if index is None:
            raise TypeError(f"say which output of '{value.name}' is meant by its number, not {value.output!r}")
        return Out(value.name, index)

    def _known(self, name: str) -> str:
        if name not in self._entries:
            raise TypeError(f"'{name}' belongs to another builder")
        return name

    def _free_name(self, type_: str) -> str:
        stem = snake_case(type_)[:48]
        stem = stem if re.match(r"[a-z_]", stem) else f"node_{stem}"
        return free_name(stem, self._entries, self._params)

    def _claim(self, name: str) -> None:
        if name in self._entries or name in self._params:
            raise ValueError(f"the name {name!r} is taken")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", name):
            raise ValueError(f"{name!r} cannot be a name; use letters, digits, _ and -")


def _series(values: Iterable[object]) -> Series:
    """The values of a sweep; a range stays one."""
    if isinstance(values, range) and values:
        return Span(values[0], values[-1], values.step)
    return tuple([_value(value) for value in values])


def _value(value: object) -> Value:
    if isinstance(value, Outputs):
        return Ref(value.name)
    if isinstance(value, Ref | Slot | Template | Scalar):
        return value
    if isinstance(value, list | tuple):
        return tuple([_value(item) for item in cast("Sequence[object]", value)])
    if isinstance(value, Mapping):
        members = cast("Mapping[object, object]", value)
        return MappingProxyType({str(key): _value(item) for key, item in members.items()})
    raise TypeError(f"a node's input is a value or what add() returned, not {type(value).__name__}")


def _named_tuple(annotation: object) -> type | None:
    """The NamedTuple class that a node returns, itself or in an Expansion."""
    if is_named_tuple(annotation):
        return cast(type, annotation)
    found = (_named_tuple(member) for member in typing.get_args(annotation))
    return next((each for each in found if each is not None), None)
