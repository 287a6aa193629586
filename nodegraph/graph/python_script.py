"""A workflow as a Python program on the public API, which builds the same graph and runs it."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from nodegraph.errors import Place, Problem, ProblemError
from nodegraph.graph import complaints
from nodegraph.graph.axes import has_sweeps
from nodegraph.graph.complaints import Hints
from nodegraph.graph.cycles import find_cycles
from nodegraph.graph.order import mentioned_order
from nodegraph.graph.python_text import (
    WIDTH,
    Group,
    Node,
    Text,
    called,
    import_order,
    is_keyword_argument,
    lay,
    plain,
    quoted,
    variable_name,
)
from nodegraph.node import NodeSpec
from nodegraph.registry import Registry
from nodegraph.workflow.document import (
    NodeEntry,
    Param,
    Ref,
    Scalar,
    Series,
    Slot,
    Span,
    Template,
    Value,
    Workflow,
)
from nodegraph.workflow.param_values import type_of
from nodegraph.workflow.parts import inline_parts
from nodegraph.workflow.sweeps import lift_parts, split_target
from nodegraph.workflow.texts import free_name
from nodegraph.workflow.write import finite, portable_ids

TYPES: Final = {"STRING": "str", "INT": "int", "FLOAT": "float", "BOOLEAN": "bool", "ANY": "object"}
TAKEN: Final = ("graph", "build", "main", "nodegraph")
FOLDER_PACKS: Final = "nodegraph_pack_"  # what modules of packs from folders are called, which nobody else can import

MAIN: Final = '''\
def main() -> int:
    """Run the workflow, and say where its files are."""
{how}    try:
        result = nodegraph.run(build())
    except nodegraph.ProblemError as error:
        raise SystemExit(str(error)) from None
    for problem in result.problems:
        print(problem.describe())
    for saved in result.saved.values():
        for file in saved.files:
            print(file.path)
    return 0 if result.status == "done" else 1


if __name__ == "__main__":
    raise SystemExit(main())
'''


def dump_python(
    workflow: Workflow, registry: Registry, folders: Sequence[str] = (), custom_nodes: Sequence[str] = ()
) -> str:
    """The workflow as a program that builds and runs it. Sub-workflows are written out, layout is left out.

    Node functions that can be imported are, other nodes are added by the name of their type; `folders` and
    `custom_nodes` are where packs of those are looked for. Raises ProblemError with all that cannot be written.
    """
    flat = _flat(workflow)
    script = _Script(flat, registry, portable_ids(flat))
    script.name_all()
    body = [*script.params(), *script.sweep(), *script.nodes(), *script.outputs()]
    if script.problems:
        raise ProblemError(script.problems)
    lines = [*_head(flat), "", *script.import_lines(), "", "", "def build() -> nodegraph.Builder:"]
    lines += [
        '    """The graph, with its parameters."""',
        *script.builder(folders, custom_nodes),
        *body,
        "    return graph",
        "",
        "",
    ]
    first = next(iter(flat.params), None)
    how = f'    # Other values: nodegraph.run(build(), {{"{first}": ...}})\n' if first is not None else ""
    return "\n".join(lines) + "\n" + MAIN.format(how=how)


def _flat(workflow: Workflow) -> Workflow:
    """The workflow with its sub-workflows in place. Raises ProblemError."""
    problems: tuple[Problem, ...] = ()
    if has_sweeps(workflow.nodes.values(), workflow.sweep):
        workflow, problems = lift_parts(workflow)
    flat, more = inline_parts(workflow)
    errors = [problem for problem in (*problems, *more) if problem.severity == "error"]
    if errors:
        raise ProblemError(errors)
    return flat


@dataclass(slots=True)
class _Script:
    """What is known while the program is written: names of variables, and what has to be imported."""

    workflow: Workflow
    registry: Registry
    ids: Mapping[str, str]
    variables: dict[str, str] = field(default_factory=dict[str, str])
    functions: dict[str, str] = field(default_factory=dict[str, str])  # what functions are called, by type
    by_name: set[str] = field(default_factory=set[str])  # nodes that are added by the name of their type
    imports: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    problems: list[Problem] = field(default_factory=list[Problem])
    used: set[str] = field(default_factory=set[str])

    def name_all(self) -> None:
        """Give each type a function where it has one, and each parameter and node a variable."""
        taken = set[str](TAKEN)
        for entry in self.workflow.nodes.values():
            function = self.function_of(entry)
            if function is None:
                self.by_name.add(entry.id)
            elif entry.uses not in self.functions:
                name = _unused(function.__name__, taken)
                self.functions[entry.uses] = name
                self.imports.setdefault(function.__module__, {})[function.__name__] = name
        for name in (*self.workflow.params, *self.workflow.nodes):
            self.variables[name] = _unused(variable_name(self.ids.get(name, name)), taken)
        values: list[Value] = [*self.workflow.outputs.values()]
        for entry in self.workflow.nodes.values():
            values += [*entry.inputs.values(), entry.when]
        for sweep in (self.workflow.sweep, *(entry.sweep for entry in self.workflow.nodes.values())):
            series = sweep.values.values() if sweep is not None else ()
            values += [each for each in series if not isinstance(each, Span)]
        self.used.update(ref.name for value in values for ref in _links(value))

    def function_of(self, entry: NodeEntry) -> Callable[..., Any] | None:
        """The function of a node's type, if the program can import it and call it with the node's inputs."""
        spec = self.registry.get(entry.uses)
        if spec is None or not _importable(spec):
            return None
        given = {*entry.inputs, *(entry.sweep.values if entry.sweep is not None else ())}
        try:
            inspect.signature(spec.function).bind(**dict.fromkeys(given))
        except TypeError:  # whoever runs the program is told by the check
            return None
        return spec.function

    def import_lines(self) -> Iterator[str]:
        """All imports, in the usual order."""
        yield "import nodegraph"
        for module in sorted(self.imports):
            names = self.imports[module]
            ordered = sorted(names, key=import_order)
            written = [name if names[name] == name else f"{name} as {names[name]}" for name in ordered]
            line = f"from {module} import {', '.join(written)}"
            if len(line) <= WIDTH:
                yield line
            else:
                yield from [f"from {module} import (", *[f"    {name}," for name in written], ")"]

    def builder(self, folders: Sequence[str], custom_nodes: Sequence[str]) -> Iterator[str]:
        """How the builder is made."""
        given: list[Node] = [Text(self.workflow.name)] if self.workflow.name is not None else []
        if self.workflow.description:
            given += [] if given else [plain("None")]
            given.append(Text(self.workflow.description))
        given.append(plain("__file__", "file="))
        for key, places in (("nodes", folders), ("custom_nodes", custom_nodes)):
            if places and self.by_name:
                given.append(Group("[", tuple([Text(place) for place in places]), "]", f"{key}="))
        yield from lay("    ", called("graph = nodegraph.Builder", given))

    def params(self) -> Iterator[str]:
        """The declarations of parameters."""
        for name, param in self.workflow.params.items():
            head = f"{self.variables[name]} = " if name in self.used else ""
            yield from lay("    ", called(f"{head}graph.param", [Text(name), *_declared(param)]))

    def sweep(self) -> Iterator[str]:
        """The sweep of the whole workflow; its names may be those of nodes that come later."""
        sweep = self.workflow.sweep
        if sweep is None:
            return
        members: list[Node] = []
        for name, series in sweep.values.items():
            at = split_target(self.workflow, name)
            written = name if at is None else f"{self.ids[at[0]]}.{at[1]}"
            members.append(self.series(None, series, f"{quoted(written)}: "))
        given: list[Node] = [Group("{", tuple(members), "}")]
        yield from lay("    ", called("graph.sweep", [*given, *([plain("True", "zipped=")] if sweep.zipped else [])]))

    def nodes(self) -> Iterator[str]:
        """All nodes, each after those that it takes from, otherwise in the order of the file."""
        for name in self.order():
            entry = self.workflow.nodes[name]
            yield from _comment(entry)
            head = f"{self.variables[name]} = " if name in self.used else ""
            by_name = name in self.by_name
            kind: Node = Text(entry.uses) if by_name else plain(self.functions[entry.uses])
            given = [Text(self.ids[name]), kind, *self.arguments(entry)]
            yield from lay("    ", called(f"{head}graph.{'node_type' if by_name else 'node'}", given))
            options: list[Node] = [Text(entry.cache, "cache=")] if entry.cache != "auto" else []
            if entry.when is not None:
                options.append(self.value(entry, "when", entry.when, "when="))
            if entry.mode != "run":
                options.append(Text(entry.mode, "mode="))
            if options:
                yield from lay("    ", called("graph.options", [Text(self.ids[name]), *options]))

    def order(self) -> list[str]:
        """Names of nodes so that each comes after all it takes from, and otherwise as early as in the file."""
        links: dict[str, list[str]] = {}
        for name, entry in self.workflow.nodes.items():
            sources = [ref.name for value in (*entry.inputs.values(), entry.when) for ref in _links(value)]
            links[name] = [source for source in dict.fromkeys(sources) if source in self.workflow.nodes]
        order = mentioned_order(links)
        if len(order) < len(links):
            rest = set(links).difference(order)
            self.problems += [complaints.cycle(self.workflow, names) for names in find_cycles(links, rest)]
        return order

    def arguments(self, entry: NodeEntry) -> list[Node]:
        """The inputs of a node as keyword arguments."""
        found: dict[str, Node] = {}
        for key, value in entry.inputs.items():
            found[key] = self.value(entry, key, value, _given(key))
        sweep = entry.sweep
        for key, series in sweep.values.items() if sweep is not None else ():
            assert sweep is not None
            found[key] = called(f"graph.{sweep.key}", [self.series(entry, series)], _given(key))
        odd = [node for key, node in found.items() if not is_keyword_argument(key)]
        usual = [node for key, node in found.items() if is_keyword_argument(key)]
        return [*usual, Group("{", tuple(odd), "}", "**")] if odd else usual

    def series(self, entry: NodeEntry | None, series: Series, prefix: str = "") -> Node:
        """The values of a sweep."""
        if isinstance(series, Span):
            numbers = series.numbers
            step = f", {numbers.step}" if numbers.step != 1 else ""
            return plain(f"range({numbers.start}, {numbers.stop}{step})", prefix)
        return Group("[", tuple([self.value(entry, "", value) for value in series]), "]", prefix)

    def value(self, entry: NodeEntry | None, key: str, value: Value, prefix: str = "") -> Node:
        """What an input is given, as an expression."""
        if isinstance(value, Ref | Slot):
            return plain(self.reference(entry, key, value), prefix)
        if isinstance(value, Template):
            parts = [
                Text(part) if isinstance(part, str) else plain(self.filled(entry, key, part)) for part in value.parts
            ]
            return called("graph.text", parts, prefix)
        if isinstance(value, tuple):
            return Group("[", tuple([self.value(entry, key, item) for item in value]), "]", prefix)
        if isinstance(value, Mapping):
            members = [self.value(entry, key, item, f"{quoted(name)}: ") for name, item in value.items()]
            return Group("{", tuple(members), "}", prefix)
        return _scalar(value, prefix)

    def reference(self, entry: NodeEntry | None, key: str, value: Ref | Slot) -> str:
        """A variable, or one of the outputs of the node that it stands for."""
        if value.name not in self.variables:
            self.complain(entry, key, complaints.unknown_reference(Hints(self.workflow, self.registry), value))
            return "None"
        variable = self.variables[value.name]
        target = self.workflow.nodes.get(value.name)
        if target is None:
            return variable
        spec = self.registry.get(target.uses)
        index = _output(spec, value) if spec is not None else None
        if spec is not None and index is not None and value.name not in self.by_name:
            return f"{variable}.{spec.outputs[index].name}" if spec.several else variable
        if isinstance(value, Slot):
            return f"{variable}[{value.index}]"
        return variable if value.output is None else f"{variable}[{quoted(value.output)}]"

    def filled(self, entry: NodeEntry | None, key: str, part: Ref) -> str:
        """A parameter that is filled into a text."""
        if part.name in self.workflow.params:
            return self.variables[part.name]
        self.complain(entry, key, complaints.unknown_template_name(Hints(self.workflow, self.registry), part))
        return "None"

    def complain(self, entry: NodeEntry | None, key: str, problem: Problem) -> None:
        """Note a problem of an input."""
        place = Place(self.workflow.file)
        if entry is not None:
            place = entry.when_place if key == "when" else entry.places.get(key, entry.place)
        self.problems.append(problem.at(place))

    def outputs(self) -> Iterator[str]:
        """The named results."""
        for name, ref in self.workflow.outputs.items():
            yield from lay("    ", called("graph.output", [Text(name), self.value(None, "", ref)]))


def _importable(spec: NodeSpec) -> bool:
    """Whether a program can import a node's function by the name of its module."""
    function = spec.function
    name, module = getattr(function, "__name__", ""), getattr(function, "__module__", "")
    found = getattr(sys.modules.get(module), name, None)
    own = getattr(function, "__node__", None)
    return (
        found is function
        and isinstance(own, NodeSpec)
        and own.name == spec.name
        and not module.startswith((FOLDER_PACKS, "__"))
        and all(part.isidentifier() for part in module.split("."))
    )


def _output(spec: NodeSpec, value: Ref | Slot) -> int | None:
    """The number of the output that is meant, if there is one."""
    if isinstance(value, Slot):
        return value.index if value.index < len(spec.outputs) else None
    if value.output is None:
        return 0 if len(spec.outputs) == 1 else None
    return spec.output_index(value.output)


def _links(value: Value) -> Iterator[Ref | Slot]:
    """The references in a value."""
    if isinstance(value, Ref | Slot):
        yield value
    elif isinstance(value, Template):
        yield from (part for part in value.parts if isinstance(part, Ref))
    elif isinstance(value, tuple | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _links(item)


def _declared(param: Param) -> Iterator[Node]:
    """What is said of a parameter beside its name."""
    if param.required:
        yield plain(TYPES[param.type])
    else:
        yield _scalar(param.default)
    if param.description:
        yield Text(param.description, "description=")
    if param.minimum is not None:
        yield _scalar(param.minimum, "minimum=")
    if param.maximum is not None:
        yield _scalar(param.maximum, "maximum=")
    if param.choices is not None:
        yield Group("[", tuple([_scalar(choice) for choice in param.choices]), "]", "choices=")
    if not param.required and param.type != type_of(param.default):
        yield Text(param.type, "kind=")


def _given(name: str) -> str:
    """What stands before the value of an input: as an argument, or in a mapping of those that cannot be one."""
    return f"{name}=" if is_keyword_argument(name) else f"{quoted(name)}: "


def _scalar(value: Scalar, prefix: str = "") -> Node:
    return Text(value, prefix) if isinstance(value, str) else plain(repr(finite(value)).replace("e+", "e"), prefix)


def _head(workflow: Workflow) -> Iterator[str]:
    """The docstring of the module."""
    first = '"""A workflow as a Python program, written by `nodegraph convert`.'
    told = workflow.description or workflow.name or ""
    lines = textwrap.wrap(_readable(told), WIDTH, break_long_words=False, break_on_hyphens=False)
    if lines:
        escaped = [line.replace("\\", "\\\\").replace('"""', '\\"\\"\\"') for line in lines]
        yield from [first, "", *escaped, '"""']
    else:
        yield f'{first}"""'


def _comment(entry: NodeEntry) -> Iterator[str]:
    """Title and note of a node."""
    for text in (entry.title, entry.note):
        for line in (text or "").splitlines():
            lines = textwrap.wrap(_readable(line), WIDTH - 6, break_long_words=False, break_on_hyphens=False)
            yield from [f"    # {each}" for each in lines]


def _readable(text: str) -> str:
    """A text without what could end a line or cannot be seen."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _unused(name: str, taken: set[str]) -> str:
    """`name`, or one made from it; it is taken then."""
    unique = free_name(name, taken)
    taken.add(unique)
    return unique
