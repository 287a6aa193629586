"""Random graphs of the whole language against a plain evaluator: equal values, and nothing done that nobody needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache.memory import MemoryStore
from nodegraph.execution.result import RunResult
from nodegraph.node import Blocked, Expansion, Lazy, node, spec_of
from nodegraph.sockets.flow import Call, Many, Out
from nodegraph.workflow.document import NodeEntry, Ref, Value, Workflow
from tests import toys
from tests.toys import graph_of

CALLS: list[str] = []


@node(category="toys", light=True, numeric=False)
def Mix(a: int, b: int, name: str) -> int:
    """A number from two others."""
    CALLS.append(name)
    return (a + 2 * b) % 7


@node(category="toys", numeric=False)
def Heavy(a: int, b: int, name: str) -> int:
    """The same, off the event loop."""
    CALLS.append(name)
    return (a + 2 * b) % 7


@node(category="toys", light=True, numeric=False)
def Less(a: int, b: int, name: str) -> bool:
    """Whether one is less than the other."""
    CALLS.append(name)
    return a < b


@node(category="toys", light=True, numeric=False)
def Pick(first: bool, a: Lazy[int], b: Lazy[int], name: str) -> int:
    """One of two."""
    value = a.get() if first else b.get()
    CALLS.append(name)
    return value


@node(category="toys", light=True, numeric=False)
def Spread(a: int, name: str) -> list[int]:
    """None, one or two numbers."""
    CALLS.append(name)
    return [a + i for i in range(a % 3)]


@node(category="toys", light=True, numeric=False)
def Total(a: list[int], name: list[str]) -> int:
    """The sum of all."""
    CALLS.append(name[0])
    return sum(a) % 7


@node(category="toys", light=True, numeric=False)
def Odd(a: int, name: str) -> int | Blocked:
    """Odd numbers pass."""
    CALLS.append(name)
    return a if a % 2 else Blocked()


@node(category="toys", light=True, numeric=False)
def Either(name: str, a: int | None = None, b: int | None = None) -> int:
    """The one that is there."""
    CALLS.append(name)
    return a if a is not None else b if b is not None else 5


@node(category="toys", light=True, numeric=False)
def Grow(a: int, name: str) -> int | Expansion[int]:
    """Twice the number, by nodes that are added, one within the other."""
    CALLS.append(name)
    if a == 0:
        return 0
    calls = {
        "rest": Call("Grow", {"a": a - 1, "name": name}),
        "sum": Call("Mix", {"a": Out("rest"), "b": 1, "name": name}),
    }
    return Expansion(calls, (Out("sum"),))


PACK = (Mix, Heavy, Less, Pick, Spread, Total, Odd, Either, Grow)
INPUTS = dict.fromkeys(["Mix", "Heavy", "Less", "Pick", "Either"], "ab")
INPUTS |= dict.fromkeys(["Spread", "Total", "Odd", "Grow"], "a")
OFF, FAIL, NONE = "off", "fail", Blocked()


@dataclass(frozen=True)
class Item:
    uses: str
    inputs: dict[str, int | str]  # a number, or the name of a node
    first: bool | str = True  # what Pick is told
    when: str | None = None


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Item]:
    graph: dict[str, Item] = {}
    for i in range(draw(st.integers(1, 12))):
        numbers = [name for name, item in graph.items() if item.uses != "Less"]
        truths = [name for name, item in graph.items() if item.uses == "Less"]
        uses = draw(st.sampled_from(sorted(INPUTS)))
        given_: dict[str, int | str] = {}
        for name in INPUTS[uses]:
            if uses == "Either" and draw(st.booleans()):
                continue
            source = st.sampled_from(numbers) if numbers else st.integers(0, 6)
            given_[name] = draw(source | source | st.integers(0, 6))
        first: bool | str = draw(st.booleans())
        if truths and draw(st.booleans()):
            first = draw(st.sampled_from(truths))
        when = draw(st.sampled_from(truths)) if truths and draw(st.integers(0, 3)) == 0 else None
        graph[f"n{i}"] = Item(uses, given_, first, when)
    return graph


def document(graph: dict[str, Item]) -> Workflow:
    nodes: dict[str, NodeEntry] = {}
    for name, item in graph.items():
        inputs: dict[str, Value] = {key: Ref(v) if isinstance(v, str) else v for key, v in item.inputs.items()}
        inputs["name"] = name
        if item.uses == "Pick":
            inputs["first"] = Ref(item.first) if isinstance(item.first, str) else item.first
        entry = NodeEntry(name, item.uses, inputs)
        nodes[name] = replace(entry, when=Ref(item.when)) if item.when else entry
    return Workflow(nodes)


def grown(a: int) -> int:
    total = 0
    for _ in range(a):
        total = (total + 2) % 7
    return total


FUNCTIONS: dict[str, Any] = {
    "Mix": lambda a, b: (a + 2 * b) % 7,
    "Heavy": lambda a, b: (a + 2 * b) % 7,
    "Less": lambda a, b: a < b,
    "Spread": lambda a: Many(tuple(a + i for i in range(a % 3))),
    "Odd": lambda a: a if a % 2 else NONE,
    "Grow": grown,
    "Either": lambda a=None, b=None: a if a is not None else b if b is not None else 5,
}


class Evaluator:
    """What each node comes to, computed as one would by hand."""

    def __init__(self, graph: dict[str, Item]) -> None:
        self.graph = graph
        self.known: dict[str, Any] = {}

    def value(self, name: str) -> Any:
        if name not in self.known:
            self.known[name] = self.compute(self.graph[name])
        return self.known[name]

    def compute(self, item: Item) -> Any:
        if item.when is not None:
            holds = self.value(item.when)
            if holds is OFF or holds is False:
                return OFF
            if holds in (FAIL, NONE):
                return holds
            if holds is not True:
                return FAIL  # several values decide nothing
        if item.uses == "Pick":
            return self.pick(item)
        arguments = {key: self.value(v) if isinstance(v, str) else v for key, v in item.inputs.items()}
        if item.uses == "Either":
            arguments = {key: v for key, v in arguments.items() if v is not OFF}
        for bad in (OFF, FAIL, NONE):
            if any(v is bad or v == bad for v in arguments.values()):
                return self.worst(arguments.values())
        if item.uses == "Total":
            items = arguments["a"].items if isinstance(arguments["a"], Many) else (arguments["a"],)
            return sum(v for v in items if v != NONE) % 7
        return mapped(FUNCTIONS[item.uses], arguments)

    @staticmethod
    def worst(values: Any) -> Any:
        found = list(values)
        return OFF if OFF in found else FAIL if FAIL in found else NONE

    def pick(self, item: Item) -> Any:
        first = self.value(item.first) if isinstance(item.first, str) else item.first
        if first in (OFF, FAIL) or first == NONE:
            return first
        arguments: dict[str, Any] = {"first": first}
        late: list[str] = []
        while True:  # each time the node asks for one more, it begins again
            calls = calls_of(arguments)
            wanted = next(
                (key for c in calls if c is not None for key in ["a" if c["first"] else "b"] if key not in late), None
            )
            if wanted is None:
                break
            late.append(wanted)
            given_ = item.inputs[wanted]
            arguments[wanted] = self.value(given_) if isinstance(given_, str) else given_
            if arguments[wanted] in (OFF, FAIL) or arguments[wanted] == NONE:
                return arguments[wanted]
        return mapped(lambda first, a=None, b=None: a if first else b, arguments)


def calls_of(arguments: dict[str, Any]) -> list[dict[str, Any] | None]:
    many = {key: v.items for key, v in arguments.items() if isinstance(v, Many)}
    if not many:
        return [arguments]
    count = max(map(len, many.values())) if all(many.values()) else 0
    calls: list[dict[str, Any] | None] = []
    for i in range(count):
        call = arguments | {key: items[min(i, len(items) - 1)] for key, items in many.items()}
        calls.append(None if any(v == NONE for v in call.values()) else call)
    return calls


def mapped(function: Any, arguments: dict[str, Any]) -> Any:
    calls = calls_of(arguments)
    results = [NONE if call is None else function(**call) for call in calls]
    if not any(isinstance(v, Many) for v in arguments.values()):
        return results[0]
    return Many(tuple(item for r in results for item in (r.items if isinstance(r, Many) else (r,))))


def run(graph: dict[str, Item], targets: list[str], store: MemoryStore) -> RunResult:
    CALLS.clear()
    types = toys.registry(*PACK)
    assert spec_of(Pick).lazy_inputs == {"a", "b"}
    return toys.run(graph_of(document(graph), *PACK), only=targets, want=targets, store=store, types=types)


def listed(value: Any) -> Any:
    """A value as a result has it."""
    return list(value.items) if isinstance(value, Many) else value


@settings(max_examples=200, deadline=None)
@given(graphs(), st.data())
def test_every_graph_comes_to_what_one_would_compute_by_hand(graph: dict[str, Item], data: st.DataObject):
    targets = sorted(data.draw(st.sets(st.sampled_from(sorted(graph)), min_size=1, max_size=3)))
    by_hand = Evaluator(graph)
    expected = {name: listed(by_hand.value(name)) for name in targets}
    store = MemoryStore()
    result = run(graph, targets, store)
    there = {name: value for name, value in expected.items() if value is not OFF and value is not FAIL}
    values = {name: result.values[name][0] for name in targets if name in result.values}
    assert values == {name: value for name, value in there.items() if name in values}
    assert all(value == NONE for name, value in there.items() if name not in values)
    assert {name.partition(".")[0] for name in CALLS} <= set(by_hand.known)  # nothing that nobody needed
    again = run(graph, targets, store)
    assert again.values == result.values
    assert again.executed == ()
    assert CALLS == []
