"""What every built-in node promises: the same inputs give the same outputs, and inputs are never written to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nodegraph.cache.pool import LivePool
from nodegraph.engines.outcome import outcome_of
from nodegraph.graph.model import GraphNode
from nodegraph.node import Lazy, NodeSpec
from nodegraph.registry import load_registry
from nodegraph.resources import shipped
from nodegraph.sockets import Saved
from nodegraph.workflow.document import NodeEntry
from nodes.prompt import CLIPTextEncode
from tests.helpers import digest_of
from tests.nodes.arguments import all_arguments
from tests.nodes.conftest import Tiny

SPECS = {spec.name: spec for spec in load_registry().specs.values() if spec.pack == "builtin"}


ARGUMENTS = all_arguments()


def test_every_built_in_node_is_tried():
    assert sorted(ARGUMENTS) == sorted(SPECS)


def outcome(spec: NodeSpec, arguments: dict[str, Any]) -> list[object]:
    """Digests of what a node gives; of what an output node saved, the bytes of its files."""
    node = GraphNode(spec.name, spec, {}, {}, NodeEntry(spec.name, spec.name, {}))
    given = {name: Lazy(value) if name in spec.lazy_inputs else value for name, value in arguments.items()}
    found = outcome_of(node, spec.function(**given))
    files = [Path(file.path).read_bytes() for file in (found.saved or Saved()).files]
    return [*(digest_of(value) for value in found.values), *files]


@pytest.mark.parametrize("name", sorted(SPECS))
def test_a_node_run_twice_gives_the_same_and_writes_to_no_input(name: str, tiny: Tiny, tmp_path: Path):
    spec, arguments = SPECS[name], ARGUMENTS[name](tiny)
    before = {key: digest_of(value) for key, value in arguments.items()}
    inputs = (shipped("workflows"), Path(__file__).parent / "data" / "input")
    roots = replace(tiny.context.roots, input=inputs, output=tmp_path / "o", temp=tmp_path / "t")
    outcomes = list[list[object]]()
    for _ in range(2):
        context = replace(tiny.context, roots=roots, pool=LivePool())  # so that models are loaded again
        extra = {spec.context_name: context} if spec.context_name is not None else {}
        outcomes.append(outcome(spec, arguments | extra))
        assert {key: digest_of(value) for key, value in arguments.items()} == before
    assert (outcomes[0] == outcomes[1]) == spec.deterministic


def test_weights_in_memory_are_not_written_to_either(tiny: Tiny):
    """A model that stays in the pool gives later nodes what a fresh one gives."""
    kept = replace(tiny.context, pool=LivePool())
    for name in ("KSampler", "VAEDecode", "VAEEncode", "CLIPTextEncode"):
        first, second = (outcome(SPECS[name], ARGUMENTS[name](tiny) | {"context": kept}) for _ in range(2))
        fresh = outcome(SPECS[name], ARGUMENTS[name](tiny) | {"context": replace(kept, pool=LivePool())})
        assert first == second == fresh
    assert digest_of(CLIPTextEncode("a red star at night", tiny.checkpoint.CLIP, kept)) == digest_of(tiny.positive)
