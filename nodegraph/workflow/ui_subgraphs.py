"""Subgraphs of ComfyUI's editor files: a node that stands for one becomes a scope, the inner canvas in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nodegraph.errors import listing, shorten
from nodegraph.workflow.document import Mode
from nodegraph.workflow.tree import Located, Report
from nodegraph.workflow.ui_reader import Definition, UiGraph, UiInput, UiLink, UiNode, name_of

MODES: Mapping[int, Mode] = {2: "muted", 3: "muted", 4: "bypassed"}


@dataclass(slots=True)
class Scope:
    """A canvas where it is used: the file's own, or that of a subgraph in the place of the node that stands for it.

    prefix: begins the ids of its nodes, as in the prompts that ComfyUI makes. silent: nothing in it runs. inputs:
    values that the node outside gives to inputs that nothing is linked to, by number. widgets: values that it gives to
    widgets of inner nodes, by node and name. offset: what is added to positions.
    """

    graph: UiGraph
    prefix: str = ""
    definition: Definition | None = None
    node: UiNode | None = None
    parent: Scope | None = None
    silent: bool = False
    inputs: dict[int, Located] = field(default_factory=dict[int, Located])
    widgets: dict[tuple[str, str], Located] = field(default_factory=dict[tuple[str, str], Located])
    offset: tuple[float, float] = (0, 0)
    children: dict[str, Scope] = field(default_factory=dict[str, "Scope"])

    def mode(self, node: UiNode) -> Mode:
        """Whether one of its nodes runs."""
        return "muted" if self.silent else MODES.get(node.mode, "run")

    def at(self, node: UiNode) -> tuple[float, float] | None:
        """Where one of its nodes stands."""
        return None if node.at is None else (node.at[0] + self.offset[0], node.at[1] + self.offset[1])


def input_link(graph: UiGraph, node: UiNode, number: int) -> UiLink | None:
    """The link that arrives at an input."""
    given = node.inputs[number]
    if given.listed:
        return graph.links.get(given.link) if given.link is not None else None
    return graph.by_target.get((node.id, number))


def expand(root: UiGraph, definitions: Mapping[str, Definition], report: Report) -> list[Scope]:
    """All scopes of a file, outer ones first. A subgraph that contains itself is told, and stays a node."""
    scopes = [Scope(root)]
    backed = {name: widget_inputs(definition) for name, definition in definitions.items()}
    total = len(root.nodes)
    told: set[tuple[str, ...]] = set()
    if not definitions:
        return scopes
    for scope in scopes:  # it grows meanwhile
        for node in scope.graph.nodes.values():
            definition = definitions.get(node.type)
            if definition is None:
                continue
            around = path_of(scope)
            if any(each is definition for each in around):
                tell_cycle(around, definition, node, report, told)
                continue
            total += len(definition.graph.nodes) + 1
            if total > report.limits.nodes:
                message = f"with all subgraphs the workflow has more than {report.limits.nodes:,} nodes"
                report.add("too_large", message, node.place, node=node.id)
                return scopes
            scope.children[node.id] = child = open_scope(scope, node, definition, backed[node.type])
            scopes.append(child)
    return scopes


def path_of(scope: Scope) -> list[Definition]:
    """The subgraphs that a scope is in, the innermost first."""
    found: list[Definition] = []
    around: Scope | None = scope
    while around is not None:
        if around.definition is not None:
            found.append(around.definition)
        around = around.parent
    return found


def tell_cycle(
    around: Sequence[Definition], definition: Definition, node: UiNode, report: Report, told: set[tuple[str, ...]]
) -> None:
    """Report a subgraph that contains itself, with the way there, once."""
    names: list[str] = [definition.name]
    for each in around:
        names.append(each.name)
        if each is definition:
            break
    circle = tuple(sorted(names))
    if circle in told:
        return
    told.add(circle)
    chain = " -> ".join(shorten(name)[1:-1] for name in reversed(names))
    message = f"a subgraph cannot contain itself: {chain} (node {node.label})"
    report.add("cycle", message, node.place, node=node.id, got=chain, hint="take the node out of the subgraph")


def widget_inputs(definition: Definition) -> dict[int, str]:
    """The inputs of a subgraph that stand for widgets: a value may be given to them where nothing is linked."""
    found: dict[int, str] = {}
    for node in definition.graph.nodes.values():
        for number, given in enumerate(node.inputs):
            if given.widget is None:
                continue
            link = input_link(definition.graph, node, number)
            if link is not None and link.origin == definition.input_id and link.origin_slot < len(definition.inputs):
                found[link.origin_slot] = definition.inputs[link.origin_slot][0]
    return dict(sorted(found.items()))


def open_scope(parent: Scope, node: UiNode, definition: Definition, backed: Mapping[int, str]) -> Scope:
    """The canvas that a node stands for, with the values that the node gives to widgets in it."""
    scope = Scope(
        definition.graph,
        f"{parent.prefix}{node.id}:",
        definition,
        node,
        parent,
        silent=parent.mode(node) != "run",
        offset=offset_of(parent, node, definition),
    )
    by_name = {name: number for number, (name, _) in enumerate(definition.inputs)}
    standing = dict(backed)
    for given in node.inputs:
        if given.widget is not None and given.name in by_name:
            standing.setdefault(by_name[given.name], given.name)
    values = node.widgets.value if node.widgets is not None else None
    proxies = proxies_of(node)
    listed = [item if item.value is not None else None for item in values] if isinstance(values, list) else []
    if proxies and not (len(listed) == len(standing) != len(proxies)):
        pairs = list(zip(proxies, [*listed, *[None] * len(proxies)], strict=False))
    else:
        pairs = list(zip([(None, standing[number]) for number in sorted(standing)], listed, strict=False))
        pairs += [((inner, name), None) for inner, name in proxies]
    if isinstance(values, dict):
        pairs = [((None, name), values.get(name)) for name in standing.values()]
    for (inner, name), value in pairs:
        value = parent.widgets.get((node.id, name), value)
        if value is None:
            continue
        if inner is None and name in by_name:
            scope.inputs[by_name[name]] = value
        elif inner is not None:
            scope.widgets[(inner, name)] = value
    for (outer, name), value in parent.widgets.items():
        if outer == node.id and name in by_name:
            scope.inputs[by_name[name]] = value
    return scope


def proxies_of(node: UiNode) -> list[tuple[str | None, str]]:
    """The widgets of inner nodes that a node shows as its own: inner node and name; no node for its own inputs."""
    entry = node.properties.get("proxyWidgets")
    found: list[tuple[str | None, str]] = []
    for item in entry.value if entry is not None and isinstance(entry.value, list) else ():
        parts = item.value if isinstance(item.value, list) else []
        inner = name_of(parts[0]) if parts else None
        name = parts[1].value if len(parts) > 1 else None
        found.append((None if inner == "-1" else inner or "", name if isinstance(name, str) else ""))
    return found


def offset_of(parent: Scope, node: UiNode, definition: Definition) -> tuple[float, float]:
    """What brings the inner canvas to where the node stands."""
    at = parent.at(node)
    inner = [each.at for each in definition.graph.nodes.values() if each.at is not None]
    if at is None or not inner:
        return (0, 0)
    return (at[0] - min(x for x, _ in inner), at[1] - min(y for _, y in inner))


def outside_input(scope: Scope, number: int) -> tuple[UiNode, int] | None:
    """The node around a scope, and the number of the input there that the subgraph's input `number` stands for."""
    node, definition = scope.node, scope.definition
    if node is None or definition is None or number >= len(definition.inputs):
        return None
    name = definition.inputs[number][0]
    for index, given in enumerate(node.inputs):
        if given.name == name:
            return node, index
    # Names are unique in files as they should be; in others the order is the best guess.
    return (node, number) if number < len(node.inputs) and not is_named(node.inputs, definition) else None


def is_named(inputs: Sequence[UiInput], definition: Definition) -> bool:
    """Whether a node's inputs have the names that its subgraph gives them."""
    names = {name for name, _ in definition.inputs}
    return any(given.name in names for given in inputs)


def scope_names(scope: Scope) -> str:
    """The subgraphs that a scope is in, for messages."""
    return listing([shorten(each.name)[1:-1] for each in reversed(path_of(scope))])
