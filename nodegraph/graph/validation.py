"""The checks that node types bring along for their own inputs (`NodeSpec.validation`)."""

from __future__ import annotations

from collections.abc import Mapping

from nodegraph.errors import Problem, shorten
from nodegraph.graph.awaiting import settled
from nodegraph.graph.complaints import placed
from nodegraph.graph.draft import DraftNode


def own_checks(nodes: Mapping[str, DraftNode]) -> list[Problem]:
    """What nodes say against their inputs. A check that fails itself is told like one that says no."""
    found = [_own_check(node, nodes) for node in nodes.values() if node.spec.validation is not None]
    return [problem for problem in found if problem is not None]


def _own_check(node: DraftNode, nodes: Mapping[str, DraftNode]) -> Problem | None:
    spec, validation = node.spec, node.spec.validation
    assert validation is not None
    given = node.entry.inputs
    values = {name: value for name, value in node.values.items() if value is not None or name in given}
    types = {name: nodes[link.name].spec.outputs[link.output].type.wire for name, link in node.links.items()}
    try:
        answer = settled(validation.function(values, types))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        message = f"'{node.entry.id}' ({spec.name}) could not check its inputs: {shorten(reason, limit=200)}"
        hint = f"this is a mistake in the node pack '{spec.pack}'"
        return Problem("bad_value", message, node.entry.place, node.entry.id, got=reason, hint=hint)
    if answer is True or answer is None:
        return None
    reason = answer if isinstance(answer, str) and answer else "it does not take these inputs"
    message = f"'{node.entry.id}' ({spec.name}): {reason}"
    named = [name for name in spec.inputs_by_name if name in given and name in reason]
    problem = Problem("bad_value", message, node.entry.place, node.entry.id, got=shorten(reason, limit=200))
    return placed(problem, node.entry, named[0]) if len(named) == 1 else problem
