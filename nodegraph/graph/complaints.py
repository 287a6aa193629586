"""What can be wrong with a graph, in words: one function a kind of mistake."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice

from nodegraph.errors import Problem, did_you_mean, listing, shorten
from nodegraph.graph.draft import NamedLink
from nodegraph.node import InputSpec, NodeSpec
from nodegraph.registry import Registry
from nodegraph.sockets.types import SocketType
from nodegraph.workflow.document import NodeEntry, Ref, Slot, Workflow
from nodegraph.workflow.texts import name_fault

MAX_COMPARISONS = 100_000
MAX_FITTING = 13  # outputs that are looked for; one more than a listing shows


class Hints:
    """Remedies that cost a search through the workflow, each search done once and all of them within bounds.

    A file with a hundred thousand mistakes gets its problems at once, the later ones without a guess.
    """

    def __init__(self, workflow: Workflow, registry: Registry) -> None:
        self.workflow, self.registry = workflow, registry
        self.names = [*workflow.nodes, *workflow.params]
        self.names_shown = f"there are {listing(self.names, limit=8)}" if self.names else "there are none"
        self.params_shown = listing(list(workflow.params))
        self._left = MAX_COMPARISONS
        self._fitting: dict[tuple[str, ...], list[tuple[str, str]]] = {}

    def guess(self, name: str, choices: Collection[str], *, sigil: str = "") -> str | None:
        """`did you mean …?`, as long as there is budget for comparing names."""
        self._left -= len(choices)
        return did_you_mean(name, choices, sigil=sigil) if self._left > 0 else None

    def fitting(self, wanted: InputSpec, *, exclude: str) -> list[str]:
        """References to outputs that have exactly a type the input names; few enough to list."""
        names = wanted.type.names
        if names not in self._fitting:
            found = self._outputs_of_type(frozenset(names))
            self._fitting[names] = list(islice(found, MAX_FITTING + 1))
        return [written for node, written in self._fitting[names] if node != exclude][:MAX_FITTING]

    def _outputs_of_type(self, names: frozenset[str]) -> Iterable[tuple[str, str]]:
        for entry in self.workflow.nodes.values():
            spec = self.registry.get(entry.uses)
            for output in spec.outputs if spec is not None else ():
                if not output.type.is_any and names.issuperset(output.type.names):
                    yield entry.id, reference(entry.id, spec, output.name)


def reference(node: str, spec: NodeSpec | None, output: str) -> str:
    """How an output is written in a file: `$node`, or `$node.output` where there are several."""
    return f"${node}.{output.lower()}" if spec is not None and len(spec.outputs) > 1 else f"${node}"


def placed(problem: Problem, entry: NodeEntry, input_name: str) -> Problem:
    """A problem of an input's value at the place of that value."""
    return replace(problem, place=entry.places.get(input_name, entry.place), node=entry.id, input=input_name)


def identified(problem: Problem, entry: NodeEntry) -> Problem:
    """A problem that names its node so that people find it: one that is only numbered, by its title or type too."""
    if not name_fault(entry.id):
        return problem
    called, message = entry.title or entry.uses, problem.message.rstrip(".")
    known = f"'{entry.id}'" in message
    if called in message and known:
        return problem
    title = "" if not called or called in message else shorten(called)
    shown = ", ".join(([] if known else [f"node '{shorten(entry.id)[1:-1]}'"]) + ([title] if title else []))
    return replace(problem, message=f"{message} ({shown})")


def unknown_node(hints: Hints, entry: NodeEntry) -> Problem:
    """A type that no pack has."""
    hint = None
    if entry.pack:
        hint = f"it comes from the pack {entry.pack}"
    elif entry.uses.startswith(("workflow>", "workflow/")):
        hint = "it is a group node of an old ComfyUI; there, ungroup it or make it a subgraph, and save again"
    hint = hint or hints.guess(entry.uses, hints.registry.specs)
    if hint is None:
        broken = [pack.name for pack in hints.registry.broken]
        hint = "run 'nodegraph nodes' for the list" + (f"; broken packs: {listing(broken)}" if broken else "")
    return Problem(
        code="unknown_node",
        message=f"unknown node type {shorten(entry.uses)}{_called(entry)}",
        place=entry.uses_place,
        node=entry.id,
        got=entry.uses,
        hint=hint,
    )


def _called(entry: NodeEntry) -> str:
    """A node's id, and its title if it has one, where the place in the file does not tell them well enough."""
    if entry.title:
        return f" of node '{entry.id}' ({shorten(entry.title)[1:-1]})"
    return f" of node '{entry.id}'" if name_fault(entry.id) else ""


def unknown_input(hints: Hints, entry: NodeEntry, spec: NodeSpec, name: str) -> Problem:
    """An input that the node's type does not have."""
    free = [input_spec.name for input_spec in spec.inputs if input_spec.name not in entry.inputs]
    names = [input_spec.name for input_spec in spec.inputs]
    return Problem(
        code="unknown_input",
        message=f"{spec.name} has no input {shorten(name)}",
        place=entry.key_places.get(name, entry.place),
        node=entry.id,
        input=name,
        got=name,
        expected=listing(names),
        hint=hints.guess(name, free) or (f"it has {listing(names)}" if names else "it takes none"),
    )


def missing_input(hints: Hints, entry: NodeEntry, spec: NodeSpec, missing: InputSpec) -> Problem:
    """A required input that is not given."""
    fitting = hints.fitting(missing, exclude=entry.id)
    if fitting:
        hint = f"add '{missing.name}: {fitting[0]}'" if len(fitting) == 1 else f"outputs that fit: {listing(fitting)}"
    elif missing.is_widget:
        hint = f"add '{missing.name}: …' ({missing.type})"
    else:
        hint = f"add a node that gives {missing.type} and link to it"
    return Problem(
        code="missing_input",
        message=f"'{entry.id}' ({spec.name}) needs its input '{missing.name}' ({missing.type})",
        place=entry.place,
        node=entry.id,
        input=missing.name,
        expected=str(missing.type),
        hint=hint,
    )


def unknown_output(value: Ref | Slot, spec: NodeSpec) -> Problem:
    """A reference to an output that is not there, or that could be several."""
    names = [output.name for output in spec.outputs]
    written = [f"${value.name}.{name.lower()}" for name in names]
    if isinstance(value, Slot):
        return Problem(
            code="unknown_output",
            message=f"'{value.name}' ({spec.name}) has {len(names)} outputs, so none with number {value.index}",
            got=str(value.index),
            expected=f"0 … {len(names) - 1}" if names else "no output",
        )
    if not names:
        return Problem(
            code="unknown_output",
            message=f"'{value.name}' ({spec.name}) has no outputs to link to",
            got=str(value),
            hint="output nodes end a workflow; link to the node that feeds it",
        )
    if value.output is None:
        return Problem(
            code="ambiguous_output",
            message=f"'{value.name}' ({spec.name}) has {len(names)} outputs",
            got=str(value),
            expected=listing(written),
            hint=f"write one of {listing(written)}",
        )
    return Problem(
        code="unknown_output",
        message=f"'{value.name}' ({spec.name}) has no output {shorten(value.output)}",
        got=value.output,
        expected=listing([name.lower() for name in names]),
        hint=did_you_mean(value.output, [name.lower() for name in names]) or f"it has {listing(written)}",
    )


def output_of_param(value: Ref | Slot) -> Problem:
    """A parameter is referred to as if it had outputs."""
    return Problem(
        code="unknown_output",
        message=f"'{value.name}' is a parameter, so it has no outputs",
        got=_written(value),
        hint=f"write ${value.name}",
    )


def unknown_reference(hints: Hints, value: Ref | Slot) -> Problem:
    """A name that is neither a node nor a parameter."""
    return Problem(
        code="unknown_reference",
        message=f"{shorten(_written(value))} refers to no node or parameter",
        got=_written(value),
        hint=hints.guess(value.name, hints.names, sigil="$") or hints.names_shown,
    )


def nested_reference(value: Ref | Slot) -> Problem:
    """A link inside a list or mapping, where only parameters can stand."""
    return Problem(
        code="bad_reference",
        message=f"{shorten(_written(value))} links to a node from inside a list or mapping; only a whole input can",
        got=_written(value),
        hint="write the link as the input's whole value",
    )


def unknown_template_name(hints: Hints, part: Ref) -> Problem:
    """`${name}` in a text, where there is no such parameter."""
    is_node = part.name in hints.workflow.nodes
    return Problem(
        code="unknown_param",
        message=f"${{{part.name}}} names {'a node' if is_node else 'no parameter'}; texts are filled with parameters",
        got=part.name,
        expected=hints.params_shown,
        hint=hints.guess(part.name, hints.workflow.params) or "declare it under params:, or write $$ for a dollar",
    )


def cycle(workflow: Workflow, names: Sequence[str]) -> Problem:
    """Nodes that depend on each other. `names` is the way round, in the order of the data's flow."""
    path = [*names, names[0]]
    shown = path if len(path) <= 40 else [*path[:20], f"… {len(path) - 40} more …", *path[-20:]]
    if len(names) == 1:
        message = f"node '{names[0]}' depends on itself"
    else:
        message = f"{len(names)} nodes depend on each other in a circle: {' -> '.join(shown)}"
    return Problem(
        code="cycle",
        message=message,
        place=workflow.nodes[names[0]].place,
        node=names[0],
        got=" -> ".join(path),
        hint="remove one of these links",
    )


def not_a_gate(link: NamedLink, offered: SocketType) -> Problem:
    """`when` refers to an output that is neither true nor false."""
    return Problem(
        code="type_mismatch",
        message=f"'when' wants true or false, but {link.written} is {offered}",
        got=str(offered),
        expected="BOOLEAN",
        hint="refer to an output of type BOOLEAN",
    )


def _written(value: Ref | Slot) -> str:
    return str(value) if isinstance(value, Ref) else f"[{value.name}, {value.index}]"
