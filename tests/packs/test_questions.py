"""What packs' classes are asked before their nodes run."""

from __future__ import annotations

import asyncio
import math

import pytest

from nodegraph.context import Context
from nodegraph.registry import Registry
from tests.packs.support import values


def test_fingerprints_come_from_is_changed(packs: Registry):
    def fingerprint(name: str, **given: object) -> object:
        function = packs.specs[name].fingerprint
        assert function is not None
        return function(given, "n1")

    assert fingerprint("ConvFingerprint", value=4) == "v4"
    assert fingerprint("ConvFingerprint", value=None) == "vNone"  # a link
    always = fingerprint("ConvAlways", value=4)
    assert isinstance(always, float) and math.isnan(always)
    assert asyncio.run(fingerprint("ConvFingerprintLater", value=4)) == 4  # type: ignore[arg-type]
    fails = fingerprint("ConvFingerprintFails", value=4)
    assert isinstance(fails, float) and math.isnan(fails)
    warnings: list[str] = []
    assert values(packs, "ConvFingerprintFails", Context(node="n1", warn=warnings.append), value=4) == (4,)
    assert warnings == [
        "it cannot tell whether it changed, and so runs each time (OSError: the file is gone)",
    ]
    assert fingerprint("SecondRepeat", text="ab", times=2, between="+") == "ab2"
    assert packs.specs["ConvTwo"].fingerprint is None


def test_output_nodes_run_again_in_each_process(packs: Registry):
    write, show = packs.specs["ConvWrite"].fingerprint, packs.specs["ConvShow"].fingerprint
    assert write is not None and show is not None
    assert write({}, "a") == show({}, "b") != ""


def test_a_class_may_check_its_inputs(packs: Registry):
    own, everything, types = (
        packs.specs[f"Conv{name}"].validation for name in ("OwnRange", "OwnEverything", "OwnTypes")
    )
    assert own is not None and everything is not None and types is not None
    assert (own.inputs, own.types) == (frozenset({"value"}), False)
    assert own.function({"value": 50}, {}) is True
    assert own.function({"value": 500}, {}) == "value 500 is too much"
    assert own.function({}, {"value": "INT"}) is True  # a link has no value yet
    assert everything.inputs is None
    assert asyncio.run(everything.function({"value": 1}, {})) is True  # type: ignore[arg-type]
    assert asyncio.run(everything.function({"value": 13}, {})) == "the node refuses its inputs"  # type: ignore[arg-type]
    assert (types.inputs, types.types) == (frozenset(), True)
    assert types.function({}, {"value": "STRING"}) is True
    assert types.function({}, {"value": "IMAGE"}) == "only whole numbers and texts"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"first": True, "a": None, "b": None}, ["a"]),
        ({"first": False, "a": None, "b": None}, ["b"]),
        ({"first": False, "a": None, "b": 1}, []),
    ],
)
@pytest.mark.parametrize("node", ["ConvLazy", "SecondPick"])
def test_lazy_inputs_are_asked_for(packs: Registry, node: str, given: dict[str, object], wanted: list[str]):
    ask = packs.specs[node].ask
    assert ask is not None and ask(given) == wanted
