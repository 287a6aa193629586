"""The state of one run, by node number: what each node is, what is known of it, and who waits for whom.

It begins with the nodes of the plan, and nodes may be added while the run goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from nodegraph.cache.keys import action_key
from nodegraph.execution.forecast import Forecast
from nodegraph.execution.keying import Material
from nodegraph.execution.plan import Plan
from nodegraph.execution.stages import strict_sources, with_sources
from nodegraph.execution.states import DONE, HIT, TODO, UNUSED
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.flow import Blocked, Many


class Board:
    """All nodes of a run. `uses` counts who still needs a node's values, `waiting` whom a node still waits for;
    `dependants` are woken when a node is settled. `gated` are nodes that wait for their `when`, `parents` those that
    added a node, `held` sources whose values a node may yet ask for. unusual: values may be several or none, and nodes
    staged, off or added, so that all have to be looked at more closely."""

    def __init__(self, plan: Plan) -> None:
        size = len(plan.graph.nodes)
        self.plan = plan
        self.run = object()  # tells this run from all others
        self.nodes = list(plan.graph.nodes)
        self.keyer = plan.keyer.over(self.nodes)
        self.index: dict[str, int] | None = None
        self.prefixes = list(plan.prefixes)
        self.sources = list(plan.sources)
        self.values: list[tuple[object, ...] | None] = [None] * size
        self.waiting = [0] * size
        self.uses = [0] * size
        self.dependants: dict[int, list[int]] = {}
        self.ready: deque[int] = deque()
        self.fresh, self.in_memory = set(plan.fresh), set(plan.in_memory)
        self.read_files = dict(plan.read_files)
        self.gated: set[int] = set()
        self.idle: dict[int, int] = {}
        self.held: dict[int, tuple[int, ...]] = {}
        self.grown: set[int] = set()  # nodes that have added others, and need their own inputs no more
        self.parents: dict[int, int] = {}
        self.displays: dict[int, str] = {}
        self.again: set[int] = set()  # nodes whose values were gone when somebody asked for them once more
        self.unusual = bool(plan.staged)
        self.foresee(Forecast.empty(size))

    def foresee(self, found: Forecast) -> None:
        """Begin with what the forecast says."""
        self.state, self.keys, self.records = found.state, found.keys, found.records
        self.idle = dict(found.idle)
        for i, (node, material) in found.changed.items():
            self.replace(i, node, material)
        for i in self.plan.staged if found.state else ():
            if self.nodes[i].when and i not in found.passed:
                self.gated.add(i)
                self.sources[i] = ()
        for i, sources in found.active.items():
            self.sources[i] = sources

    def replace(self, i: int, node: GraphNode, material: Material) -> None:
        """Put another node in a node's place, before it runs."""
        self.nodes[i] = node
        self.prefixes[i] = material.prefix
        self.sources[i] = strict_sources(self.keyer, node)

    def add(self, nodes: Sequence[GraphNode], parent: int, displays: dict[str, str]) -> range:
        """Add nodes that `parent` wants to run; they are idle until they are asked for."""
        first = len(self.nodes)
        added = range(first, first + len(nodes))
        index = self.numbers()
        self.nodes += nodes
        for i, node in zip(added, nodes, strict=True):
            index[node.id] = i
            self.parents[i] = parent
            self.displays[i] = displays.get(node.id) or self.display(parent)
            self.idle[i] = TODO
        self.state += bytes([UNUSED]) * len(nodes)
        for column in (self.keys, self.records, self.values):
            column += [None] * len(nodes)
        self.waiting += [0] * len(nodes)
        self.uses += [0] * len(nodes)
        for i, node in zip(added, nodes, strict=True):  # only now, since keys may depend on what nodes are made from
            found = self.keyer.material(i)
            self.prefixes.append(found.prefix)
            self.sources.append(strict_sources(self.keyer, node) if node.spec.lazy_inputs else self.keyer.sources(node))
            if found.fresh:
                self.fresh.add(i)
            if found.in_memory:
                self.in_memory.add(i)
            if found.files is not None:
                self.read_files[i] = found.files
        return added

    def numbers(self) -> dict[str, int]:
        """The number of each node by its id."""
        if self.index is None:
            self.index = dict(self.plan.graph.index)
        return self.index

    def display(self, i: int) -> str:
        """The node of the workflow that a node is shown as."""
        return self.displays.get(i) or self.nodes[i].id

    def order(self) -> Iterable[int]:
        """The nodes that the run may ask for, those of the plan first."""
        return [*self.plan.order, *range(len(self.plan.graph.nodes), len(self.nodes))]

    def key_of(self, i: int) -> bytes | None:
        """The action key of a node whose sources have settled; None if its results are never reused."""
        key, prefix = self.keys[i], self.prefixes[i]
        if key is None and prefix is not None:
            links: list[tuple[bytes, bytes]] = []
            for name, source, output in self.sources[i]:
                known = self.records[source]
                assert known is not None
                links.append((name, known.digests[output]))
            self.keys[i] = key = action_key(prefix, links)
        return key

    def active_inputs(self, i: int) -> set[str]:
        """The linked inputs that a node has asked for, or needs in any case."""
        node, frames = self.nodes[i], {source[0] for source in self.sources[i]}
        everything = zip(sorted(node.links), self.keyer.sources(node), strict=True)
        return {name for name, source in everything if source[0] in frames}

    def have(self, i: int, values: tuple[object, ...]) -> None:
        """Keep a node's values for those who need them."""
        self.values[i] = values
        if not self.unusual:
            self.unusual = any(type(value) is Many or type(value) is Blocked for value in values)

    # --- who waits for whom

    def count(self, i: int) -> None:
        """Note whom a node that is to run waits for, and whose values it needs."""
        state, uses, dependants = self.state, self.uses, self.dependants
        waiting = 0
        if i in self.gated:
            waiting = self.wait_for(i, [link.node for link in self.nodes[i].when])
        else:
            for _, source, _ in self.sources[i]:
                uses[source] += 1
                if state[source] == TODO:
                    waiting += 1
                    dependants.setdefault(source, []).append(i)
            if self.nodes[i].spec.lazy_inputs:
                self._hold(i)
        self.waiting[i] = waiting
        if waiting == 0:
            self.ready.append(i)

    def _hold(self, i: int) -> None:
        """Have the values of lazy sources kept, should they be made for others, until the node has settled."""
        if i not in self.held:
            active = {source for _, source, _ in self.sources[i]}
            self.held[i] = tuple([link.node for link in self.nodes[i].links.values() if link.node not in active])
            for source in self.held[i]:
                self.uses[source] += 1

    def wait_for(self, i: int, numbers: Iterable[int]) -> int:
        """Have a node woken when others are settled; returns how many of them are not yet."""
        waiting = 0
        for source in numbers:
            if self.state[source] == TODO:
                waiting += 1
                self.dependants.setdefault(source, []).append(i)
        return waiting

    def ask(self, i: int, names: Collection[str]) -> list[int]:
        """Let a node have more of its inputs; returns the sources that it did not have before."""
        before = self.sources[i]
        self.sources[i] = with_sources(self.keyer, self.nodes[i], before, names)
        self.keys[i] = None
        new = [source for each in self.sources[i] if each not in before for source in (each[1],)]
        for source in new:
            self.uses[source] += 1
        return new

    def demand(self, numbers: Iterable[int], fetch: Callable[[int], bool]) -> list[int]:
        """Have nodes settle that somebody needs: idle ones, and those whose values have been let go. `fetch` gets known
        values, or says that it cannot. Returns the idle ones that prove to be known."""
        stack, begun, known = [(i, True) for i in numbers], list[int](), list[int]()
        state = self.state
        while stack:
            i, for_value = stack.pop()
            idle = state[i] == UNUSED
            if idle:
                state[i] = self.idle.pop(i, TODO)
            if state[i] in (HIT, DONE):
                if not for_value or self.values[i] is not None or fetch(i):
                    known += [i] if idle else []
                    continue
                if not idle:
                    self.again.add(i)
                    self.grown.discard(i)
                state[i] = TODO
            elif not idle or state[i] != TODO:
                continue
            begun.append(i)
            stack += [(link.node, False) for link in self.nodes[i].when] if i in self.gated else []
            stack += [(source, True) for _, source, _ in self.sources[i]]
        for i in reversed(begun):
            self.count(i)
        return known

    def let_go(self, i: int) -> None:
        """A node has settled: let go of the inputs that nobody else needs."""
        uses = self.uses
        for _, source, _ in self.sources[i]:
            self.drop(source)
        if self.held:
            for source in self.held.pop(i, ()):
                uses[source] -= 1
                if uses[source] == 0:
                    self.values[source] = None

    def drop(self, source: int) -> None:
        """One less needs a node's values."""
        self.uses[source] -= 1
        if self.uses[source] == 0:
            self.values[source] = None

    def settle(self, i: int) -> None:
        """A node has settled: let go of its inputs, and wake those who waited for it."""
        if i not in self.grown:
            self.let_go(i)
        waiting = self.waiting
        for dependant in self.dependants.pop(i, ()):
            waiting[dependant] -= 1
            if waiting[dependant] == 0:
                self.ready.append(dependant)
