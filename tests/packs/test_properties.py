"""Whatever packs write, and whatever values they hand on."""

from __future__ import annotations

import json
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.cli.nodes import input_facts
from nodegraph.context import Context, Roots
from nodegraph.graph.literals import ChoiceLists, check_literal
from nodegraph.jobs.catalogue import input_data
from nodegraph.packs.copies import copied
from nodegraph.packs.declared import Taken
from nodegraph.packs.inputs import input_of, outputs_of
from nodegraph.packs.outcomes import outcome_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
TYPES = st.sampled_from(["INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "IMAGE", "*", "INT,FLOAT", "COLOR", "", ","])
OPTIONS = st.sampled_from(["default", "min", "max", "step", "options", "tooltip", "multiline", "lazy", "image_upload"])
ANYTHING = st.recursive(
    SCALARS | TYPES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(OPTIONS, inner, max_size=3)
    ),
    max_leaves=8,
)
ENTRIES = ANYTHING | st.tuples(TYPES | ANYTHING, st.dictionaries(OPTIONS, ANYTHING, max_size=5))


@given(written=ENTRIES, required=st.booleans(), own=ANYTHING, value=ANYTHING)
def test_any_entry_of_input_types_is_an_input(written: object, required: bool, own: object, value: object):
    taken = Taken({"x": own})
    spec = input_of("x", written, required=required, taken=taken, again=lambda: written, looked_up=False)
    assert input_facts(spec, Roots())
    assert json.dumps(input_data(spec, Roots()))
    check_literal(spec, value, ChoiceLists(Roots()))


@given(returns=st.lists(ANYTHING, max_size=5), names=st.lists(ANYTHING, max_size=5), lists=st.lists(st.booleans()))
def test_outputs_have_different_names(returns: list[object], names: list[object], lists: list[bool]):
    outputs = outputs_of(returns, names, (), lists)
    assert len(outputs) == len(returns)
    assert len({output.name.casefold() for output in outputs}) == len(outputs) and all(o.name for o in outputs)


@given(value=ANYTHING)
def test_copies_are_equal_and_share_nothing(value: Any):
    copy = copied(value)
    assert repr(copy) == repr(value)
    if isinstance(value, list | dict):
        assert copy is not value
    tensor = torch.ones(2)
    held = {"a": [tensor, value], "b": (tensor,)}
    copy = copied(held)
    copy["a"][0].zero_()
    copy["a"].append(1)
    assert tensor.all() and len(held["a"]) == 2
    assert copied(held, tensors=False)["b"][0] is tensor


@given(result=ANYTHING, lists=st.lists(st.booleans(), max_size=3))
def test_any_result_comes_to_something(result: object, lists: list[bool]):
    outcome_of(result, lists, Context())
    outcome_of({"ui": {"images": [result]}, "result": result}, lists, Context())
