"""Problems of a prompt in the words that ComfyUI's clients know, and which of its outputs can run all the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

Json = Mapping[str, object]
Prompt = Mapping[str, object]
NodeErrors = dict[str, dict[str, object]]

#: Problem code → the type of error that clients tell by. What is not here is `exception_during_validation`.
TYPES: Final[Mapping[str, str]] = {
    "missing_input": "required_input_missing",
    "unknown_output": "bad_linked_input",
    "unknown_reference": "bad_linked_input",
    "ambiguous_output": "bad_linked_input",
    "bad_reference": "bad_linked_input",
    "type_mismatch": "return_type_mismatch",
    "wrong_kind": "invalid_input_type",
    "bad_number": "invalid_input_type",
    "out_of_range": "value_bigger_than_max",
    "not_a_choice": "value_not_in_list",
    "bad_value": "custom_validation_failed",
    "cycle": "dependency_cycle",
    "unknown_input": "unknown_input",
}


#: Nodes with errors whose dependent outputs are looked for; each costs a walk through the prompt.
MOST_FOLLOWED: Final = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a prompt. everything: problems that concern all of it. errors: per node. good: the outputs
    that need no node with an error."""

    everything: Sequence[Json] = ()
    errors: NodeErrors = field(default_factory=dict[str, dict[str, object]])
    good: Sequence[str] = ()


def judge(prompt: Prompt, problems: Iterable[Json], outputs: Sequence[str], object_info: Json) -> Verdict:
    """Sort the problems of a check by node. A node that no output needs is nobody's concern."""
    needed, followers = ancestors(prompt, outputs), followers_of(prompt)
    everything: list[Json] = []
    by_node: dict[str, list[Json]] = {}
    for problem in problems:
        if problem.get("severity") == "warning":
            continue
        node = problem.get("node")
        if not isinstance(node, str) or node not in prompt:
            everything.append(problem)
        elif node in needed:
            by_node.setdefault(node, []).append(problem)
    errors: NodeErrors = {}
    for node, found in by_node.items():
        class_type = _class_type(prompt, node)
        facts = object_info.get(class_type)
        described = [error_of(prompt, node, problem, facts) for problem in found]
        reached = reachable(followers, (node,)) if len(errors) < MOST_FOLLOWED else {node}
        dependent = [output for output in outputs if output in reached]
        errors[node] = {"errors": described, "dependent_outputs": dependent, "class_type": class_type}
    bad = reachable(followers, by_node)
    good = [output for output in outputs if output not in bad]
    return Verdict(everything, errors, good)


def error_of(prompt: Prompt, node: str, problem: Json, facts: object) -> dict[str, object]:
    """One problem of a node's input as clients know it; the message and the remedy are our own."""
    name = problem.get("input")
    value = _inputs(prompt, node).get(name) if isinstance(name, str) else None
    linked = is_link(value)
    kind = _type_of(problem, value, linked=linked)
    info: dict[str, object] = {}
    if isinstance(name, str):
        info = {"input_name": name, "input_config": input_config(facts, name)}
        if kind != "required_input_missing":
            info["received_value"] = value
        if kind == "return_type_mismatch":
            info |= {"received_type": problem.get("got"), "linked_node": value}
    message, hint = str(problem.get("message", "")), problem.get("hint")
    details = ": ".join(str(part) for part in (name, hint) if part)
    return {"type": kind, "message": message, "details": details, "extra_info": info}


def _type_of(problem: Json, value: object, *, linked: bool) -> str:
    code = str(problem.get("code"))
    if code == "type_mismatch" and not linked:
        return "invalid_input_type"
    if code == "out_of_range" and _is_below(value, problem.get("expected")):
        return "value_smaller_than_min"
    return TYPES.get(code, "exception_during_validation")


def _is_below(value: object, expected: object) -> bool:
    """Whether a number lies below bounds that are told as `1 … 10`."""
    try:
        low = float(str(expected).replace("..", "…").split("…")[0].replace(",", ""))
    except ValueError:
        return False
    return isinstance(value, int | float) and value < low


def input_config(facts: object, name: str) -> object:
    """What `/object_info` says of an input of a node type, None if it has none."""
    inputs = cast(Json, facts).get("input") if isinstance(facts, Mapping) else None
    for section in ("required", "optional"):
        listed = cast(Json, inputs).get(section) if isinstance(inputs, Mapping) else None
        if isinstance(listed, Mapping) and name in listed:
            return cast(Json, listed)[name]
    return None


def ancestors(prompt: Prompt, nodes: Collection[str]) -> set[str]:
    """These nodes and all that they need, as far as they are in the prompt."""
    before = {node: [link[0] for link in _inputs(prompt, node).values() if is_link(link)] for node in prompt}
    return reachable(before, nodes)


def followers_of(prompt: Prompt) -> dict[str, list[str]]:
    """For each node those that take something from it."""
    after: dict[str, list[str]] = {node: [] for node in prompt}
    for node in prompt:
        for link in _inputs(prompt, node).values():
            if is_link(link) and link[0] in after:
                after[link[0]].append(node)
    return after


def reachable(ways: Mapping[str, Sequence[str]], nodes: Iterable[str]) -> set[str]:
    """These nodes and all that ways lead to, as far as they are known."""
    found: set[str] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node in ways and node not in found:
            found.add(node)
            stack += ways[node]
    return found


def pruned(prompt: Prompt, outputs: Collection[str]) -> dict[str, object]:
    """The part of a prompt that some outputs need, in its order."""
    needed = ancestors(prompt, outputs)
    return {node: entry for node, entry in prompt.items() if node in needed}


def output_nodes(prompt: Prompt, object_info: Json) -> list[str]:
    """The ids of the nodes whose type writes or shows something."""
    return [node for node in prompt if _is_output(object_info.get(_class_type(prompt, node)))]


def _is_output(facts: object) -> bool:
    return isinstance(facts, Mapping) and cast(Json, facts).get("output_node") is True


def is_link(value: object) -> bool:
    """Whether an input's value is `[node id, output number]`."""
    if not isinstance(value, list):
        return False
    items = cast("list[object]", value)
    return len(items) == 2 and isinstance(items[0], str) and type(items[1]) is int


def _class_type(prompt: Prompt, node: str) -> str:
    entry = prompt.get(node)
    found = cast(Json, entry).get("class_type") if isinstance(entry, Mapping) else None
    return found if isinstance(found, str) else ""


def _inputs(prompt: Prompt, node: str) -> Mapping[str, list[str]]:
    """A node's inputs; the type holds of those that are links."""
    entry = prompt.get(node)
    found = cast(Json, entry).get("inputs") if isinstance(entry, Mapping) else None
    return cast("Mapping[str, list[str]]", found) if isinstance(found, Mapping) else {}
