"""What is known of a node type without running it: inputs, outputs, annotations, and what it can tell beforehand."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from nodegraph.context import Roots
from nodegraph.errors import Problem
from nodegraph.sockets.types import ANY, SocketType


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, both included; `step` is the step of the widget, not a rule for values, but `multiple` is."""

    min: float
    max: float
    step: float | None = None
    multiple: int = 1


@dataclass(frozen=True, slots=True)
class Help:
    """A sentence about an input or output, shown as a tooltip."""

    text: str


@dataclass(frozen=True, slots=True)
class Multiline:
    """Marks a text that is usually longer than a line."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """Marks a text that may call files by name, whose content then decides whether a cached result may be used.

    find: the files that a text calls. all: every file that some text could call, for texts that arrive by a link.
    """

    find: Callable[[str, Roots], Sequence[Path]]
    all: Callable[[Roots], Sequence[Path]]


@dataclass(frozen=True, slots=True)
class SeedControl:
    """Marks a number that editors may change by themselves after each run."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Choices that depend on the file roots: `list` gives them; `path` finds the file that a choice names.

    `folder` is the kind of models that they are (`loras`), so that messages can say where was looked.
    When `path` is given, the file's content, not its name, decides whether a cached result may be used.
    """

    list: Callable[[Roots], Sequence[str]]
    path: Callable[[str, Roots], Path | None] | None = None
    kind: str = "file"
    upload: bool = False
    folder: str = ""


#: A seed: 0 … 2^64 - 1, with an editor's "change after each run".
Seed = Annotated[int, Range(0, 2**64 - 1), SeedControl()]


#: What a check knows of a value before anything runs: its model family, its width … by name; empty if nothing.
Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a check sees of a node: values that are written, and facts of those that arrive by links, by input name."""

    values: Mapping[str, object]
    links: Mapping[str, Facts]
    roots: Roots

    def fact(self, name: str, fact: str) -> object:
        """A fact of the value that arrives at an input, None if it is not known."""
        return self.links.get(name, {}).get(fact)


class Foreseen(NamedTuple):
    """What a node tells beforehand: facts of its outputs by name, and what would go wrong (problems name an input)."""

    outputs: Mapping[str, Facts] = types.MappingProxyType({})
    problems: Sequence[Problem] = ()


#: A look ahead at a node: it reads no weights, imports nothing heavy, and never fails.
Foresee = Callable[[Sight], Foreseen]


#: Types of inputs that are usually given as values.
VALUE_TYPES = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One input of a node type.

    collects: the input takes the outputs of all cells of a sweep at once, as a tuple of values of its type. lazy: what
    arrives is computed only if the node asks for it. raw: a link arrives as itself, `[node, output]`, and not as its
    value. takes_list: of several items that arrive all are taken at once, as a list. custom: values may be written of
    which only the pack knows what they mean, such as colours. options: what else editors are
    told of it, in ComfyUI's words, and `optional` where a pack declares it among the optional inputs.
    """

    name: str
    type: SocketType
    required: bool
    default: object = None
    range: Range | None = None
    choices: tuple[str | int | float | bool, ...] | Choices | None = None
    multiline: bool = False
    control: bool = False
    help: str = ""
    collects: bool = False
    mentions: Mentions | None = None
    lazy: bool = False
    raw: bool = False
    takes_list: bool = False
    custom: bool = False
    options: Mapping[str, object] = field(default_factory=lambda: types.MappingProxyType({}), compare=False)

    @property
    def is_widget(self) -> bool:
        """Whether the input is usually given as a value and not by a link."""
        primitive = not VALUE_TYPES.isdisjoint(self.type.names)
        primitive = primitive or (self.custom and self.options.get("default") is not None)
        return primitive and not self.options.get("forceInput")


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output of a node type. is_list: it gives several items, for each of which what follows runs."""

    name: str
    type: SocketType
    help: str = ""
    is_list: bool = False


#: What a fingerprint says of a node's inputs: (values; None for links, the node's id) → a value that enters the key.
Fingerprint = Callable[[Mapping[str, object], str], object]
#: What a node needs besides what it has: (values; None for lazy inputs that were not computed) → their names.
Ask = Callable[[Mapping[str, object]], object]


@dataclass(frozen=True, slots=True)
class Validation:
    """A node type's own check of its inputs, before anything runs.

    function: (values that are written, types of those that arrive by links) → True, or what is wrong; may be `async`.
    inputs: those whose bounds and choices it checks instead of nodegraph, None for all. types: it checks the types of
    links, too.
    """

    function: Callable[[Mapping[str, object], Mapping[str, str]], object]
    inputs: frozenset[str] | None = frozenset()
    types: bool = False

    def takes_over(self, name: str) -> bool:
        """Whether it checks an input's bounds and choices instead of nodegraph."""
        return self.inputs is None or name in self.inputs


@dataclass(frozen=True)
class NodeSpec:
    """All that is known of a node type without running it.

    fingerprint: gives a value that enters the key (NaN: the node is always to run); it may be `async`, as may `ask`,
    which says which lazy inputs are needed, for nodes that do not ask by themselves. open: inputs that are not declared
    are passed on as keyword arguments. takes_lists: all inputs arrive as lists. keyed_by: what else the result depends
    on: the node's `id`, or the `shape` of all that it is computed from. source: what is digested as the node's code
    instead of its function. expands: it may return more nodes to run. checks_arrivals: what arrives by links is checked
    against bounds and choices, as written values are.
    """

    name: str
    function: Callable[..., Any]
    category: str
    version: int
    description: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    display_name: str
    output_node: bool = False
    light: bool = False
    is_async: bool = False
    deterministic: bool = True
    numeric: bool = True
    deprecated: bool = False
    experimental: bool = False
    context_name: str | None = None
    several: bool = False
    foresee: Foresee | None = field(default=None, compare=False)
    pack: str = field(default="", compare=False)
    fingerprint: Fingerprint | None = field(default=None, compare=False)
    ask: Ask | None = field(default=None, compare=False)
    validation: Validation | None = field(default=None, compare=False)
    open: bool = False
    takes_lists: bool = False
    keyed_by: frozenset[Literal["id", "shape"]] = frozenset()
    source: object = field(default=None, compare=False)
    expands: bool = False
    checks_arrivals: bool = True

    @cached_property
    def inputs_by_name(self) -> Mapping[str, InputSpec]:
        return types.MappingProxyType({spec.name: spec for spec in self.inputs})

    @cached_property
    def output_types(self) -> tuple[SocketType, ...]:
        return tuple(output.type for output in self.outputs)

    @cached_property
    def is_generic(self) -> bool:
        """Whether the type of an output follows that of an input."""
        return any(output.type.variable is not None for output in self.outputs)

    @cached_property
    def float_inputs(self) -> frozenset[str]:
        """Inputs that take decimal numbers only, so that whole ones arriving there are converted."""
        return frozenset(s.name for s in self.inputs if "FLOAT" in s.type.names and "INT" not in s.type.names)

    @cached_property
    def collecting(self) -> frozenset[str]:
        """Inputs that take all cells of a sweep at once."""
        return frozenset(s.name for s in self.inputs if s.collects)

    @cached_property
    def lazy_inputs(self) -> frozenset[str]:
        """Inputs that are computed only if the node asks for them."""
        return frozenset(s.name for s in self.inputs if s.lazy)

    @cached_property
    def any_list(self) -> bool:
        """Whether all or some of its inputs take all items at once."""
        return self.takes_lists or any(s.takes_list for s in self.inputs)

    @cached_property
    def raw_inputs(self) -> frozenset[str]:
        """Inputs where links arrive as themselves."""
        return frozenset(s.name for s in self.inputs if s.raw)

    def input(self, name: str) -> InputSpec | None:
        """What is known of an input; one that is not declared takes anything where the node takes it at all."""
        found = self.inputs_by_name.get(name)
        return InputSpec(name, SocketType((ANY,)), required=False) if found is None and self.open else found

    @cached_property
    def bounded_inputs(self) -> frozenset[str]:
        """Inputs whose values are limited by a range or choices."""
        return frozenset(s.name for s in self.inputs if s.range is not None or s.choices is not None)

    @cached_property
    def file_inputs(self) -> Mapping[str, Callable[[str, Roots], Path | None]]:
        """Inputs that name a file whose content counts, each with how to find it."""
        return {
            s.name: s.choices.path for s in self.inputs if isinstance(s.choices, Choices) and s.choices.path is not None
        }

    @cached_property
    def mentioning(self) -> Mapping[str, Mentions]:
        """Inputs whose texts may call files by name."""
        return {s.name: s.mentions for s in self.inputs if s.mentions is not None}

    @cached_property
    def summary(self) -> str:
        """The first sentence of the help."""
        return self.description.split("\n\n")[0].replace("\n", " ").strip()

    def output_index(self, name: str) -> int | None:
        """The number of the output called `name`; case does not matter."""
        wanted = name.casefold()
        return next((i for i, output in enumerate(self.outputs) if output.name.casefold() == wanted), None)

    @cached_property
    def source_digest(self) -> str:
        """Digest of the function's code; comments, docstring and layout do not count."""
        from nodegraph.source import source_digest

        return source_digest(self.function if self.source is None else self.source)
