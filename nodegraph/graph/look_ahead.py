"""What can be told of a workflow's values before anything runs: which family a model is of, how wide its prompts are.

Nodes tell facts of their outputs (`foresee`), which flow along links in topological order, and object to inputs that
would fail. What a node does not tell of is taken to be like its first input of the same type: a LoRA makes no other
family of a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nodegraph.context import Roots
from nodegraph.errors import Problem
from nodegraph.graph.complaints import placed
from nodegraph.graph.draft import DraftNode
from nodegraph.node import Facts, Sight

NOTHING: Facts = {}


def look_ahead(nodes: Mapping[str, DraftNode], order: Sequence[str], roots: Roots) -> list[Problem]:
    """All that nodes object to, each at the place of its input. `order` is topological."""
    problems: list[Problem] = []
    known: dict[str, dict[str, Facts]] = {}
    interested = any(node.spec.foresee is not None for node in nodes.values())
    for name in order if interested else ():
        node = nodes[name]
        arriving = _arriving(node, nodes, known)
        facts = _like_inputs(node, arriving)
        if node.spec.foresee is not None:
            told, objections = node.spec.foresee(Sight(node.values, arriving, roots))
            facts |= told
            problems += [placed(problem, node.entry, problem.input or "") for problem in objections]
        if facts:
            known[name] = facts
    return problems


def _arriving(
    node: DraftNode, nodes: Mapping[str, DraftNode], known: Mapping[str, Mapping[str, Facts]]
) -> dict[str, Facts]:
    """The facts of what arrives at each linked input, as far as there are any."""
    found: dict[str, Facts] = {}
    for name, link in node.links.items():
        facts = known.get(link.name)
        if facts:
            output = nodes[link.name].spec.outputs[link.output].name
            if output in facts:
                found[name] = facts[output]
    return found


def _like_inputs(node: DraftNode, arriving: Mapping[str, Facts]) -> dict[str, Facts]:
    """Facts of outputs by those of the first input of the same type."""
    found: dict[str, Facts] = {}
    if arriving:
        for output in node.spec.outputs:
            for each in node.spec.inputs:
                if each.type == output.type and each.name in arriving:
                    found[output.name] = arriving[each.name]
                    break
    return found
