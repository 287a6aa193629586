"""Digests: two values share one only if they are the same value, on every machine and in every process."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.sockets import Latent, Model, Patch
from nodegraph.sockets.codecs import Undigestible, digest, encode, size_of

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


def canonical(value: Any) -> object:
    """A value in a form whose equality is what digests should tell: types count, floats count by their bits."""
    if isinstance(value, float):
        return ("float", struct.pack(">d", value))
    if isinstance(value, list | tuple):
        return ("list", tuple(canonical(item) for item in value))
    if isinstance(value, Mapping):
        return ("map", frozenset((canonical(key), canonical(item)) for key, item in value.items()))
    return (type(value).__name__, value)


@given(values, values)
def test_digests_are_equal_exactly_when_the_values_are(a: Any, b: Any):
    same = canonical(a) == canonical(b)
    assert (digest(a) == digest(b)) is same
    assert (encode(a) == encode(b)) is same
    assert (digest([a, b]) == digest([b, a])) is same
    assert digest([a]) != digest(a)


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_texts_in_a_list_cannot_run_into_each_other(a: list[str], b: list[str]):
    assert (digest(a) == digest(b)) is (a == b)


def test_values_that_python_calls_equal_are_told_apart():
    alike = [
        1,
        1.0,
        True,
        "1",
        b"1",
        None,
        0,
        0.0,
        -0.0,
        False,
        "",
        b"",
        [],
        {},
        [1],
        ["1"],
        {"1": 1},
        {1: 1},
        "i1",
        "n",
    ]
    assert len({digest(value) for value in alike}) == len(alike)
    assert len({digest([value]) for value in alike}) == len(alike)


@given(st.dictionaries(st.text(), values, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_a_mapping_does_not_matter(mapping: dict[str, Any], random: Any):
    items = list(mapping.items())
    random.shuffle(items)
    assert digest(dict(items)) == digest(mapping) == digest(MappingProxyType(dict(items)))


def test_lists_and_tuples_are_the_same_value():
    assert digest([1, (2, 3)]) == digest((1, [2, 3]))


def test_nan_has_a_digest():
    assert digest(math.nan) == digest(math.nan)


DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool]


def test_tensors_count_by_dtype_shape_and_bytes():
    tensors = [
        torch.zeros(shape, dtype=dtype) for dtype in DTYPES for shape in [(), (1,), (0,), (2, 3), (3, 2), (6,), (0, 4)]
    ]
    tensors += [torch.ones(2, 3), -torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.complex64)]
    assert len({digest(tensor) for tensor in tensors}) == len(tensors)
    for tensor in tensors:
        assert digest(tensor) == digest(tensor.clone())


@pytest.mark.parametrize("dtype", DTYPES)
def test_how_a_tensor_lies_in_memory_does_not_matter(dtype: torch.dtype):
    base = torch.arange(24).reshape(4, 6).to(dtype)
    for view in (base.t(), base[:, ::2], base[1:3, 2:4], base[:1].expand(5, 6), base.flip(0)):
        assert digest(view) == digest(view.clone(memory_format=torch.contiguous_format))
    assert digest(base.t()) != digest(base)


def test_gradients_parameters_and_conjugates_do_not_matter():
    plain = torch.arange(4.0)
    assert digest(plain.clone().requires_grad_()) == digest(plain) == digest(torch.nn.Parameter(plain))
    number = torch.tensor([1 + 2j, 3 - 1j])
    assert digest(number.conj()) == digest(number.conj().resolve_conj()) != digest(number)


@pytest.mark.parametrize("make", [lambda: torch.zeros(3, device="meta"), lambda: torch.eye(3).to_sparse()])
def test_tensors_without_plain_bytes_have_no_digest(make: Any):
    with pytest.raises(Undigestible):
        digest(make())


def test_latents_and_conditioning_have_digests():
    latent: Latent = {"samples": torch.zeros(1, 4, 8, 8)}
    masked: Latent = {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": torch.ones(1, 8, 8)}
    assert digest(latent) != digest(masked)
    conditioning = [(torch.zeros(1, 77, 8), {"strength": 1.0})]
    assert digest(conditioning) == digest([(torch.zeros(1, 77, 8), {"strength": 1.0})])
    assert digest(conditioning) != digest([(torch.zeros(1, 77, 8), {"strength": 1})])


def test_models_count_by_their_recipe_and_not_by_where_they_lie():
    model = Model("diffusers", "/here", "abc", "unet")
    lora = Patch("lora", "def", "/here/x.safetensors", (("strength", 1.0),))
    assert digest(model) == digest(Model("diffusers", "/there", "abc", "unet"))
    others = [
        Model("diffusers", "/here", "abd", "unet"),
        model.patched(lora),
        model.patched(lora).patched(lora),
        model.patched(Patch("lora", "def", "/here/x.safetensors", (("strength", 1),))),
        model.with_options(prediction="v_prediction"),
    ]
    assert len({digest(value) for value in [model, *others]}) == 1 + len(others)
    assert model.with_options(b=1, a=2).digest == model.with_options(a=2).with_options(b=1).digest


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, lambda: 1, [object()], {"a": object()}],
    ids=["object", "set", "function", "list", "dict"],
)
def test_values_of_unknown_types_have_no_digest(value: object):
    with pytest.raises(Undigestible):
        digest(value)


def test_values_nested_for_ever_have_no_digest_and_a_finite_size():
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(Undigestible):
        digest(loop)
    assert 0 < size_of(loop) < 1_000_000


def test_sizes_are_about_the_bytes_that_are_kept():
    tensor = torch.zeros(1000, dtype=torch.float32)
    assert 4000 <= size_of(tensor) <= 4200
    assert 4000 <= size_of({"samples": tensor}) <= 4400
    assert 8000 <= size_of([(tensor, {}), (tensor, {})]) <= 9000
    assert 5000 <= size_of("x" * 5000) <= 5100
    for value in (None, 1, 1.5, True, object()):
        assert 0 < size_of(value) <= 256


GOLDEN = {
    "none": "1b16b1df538ba12dc3f97edbb85caa70",
    "true": "7dc96f776c8423e57a2785489a3f9c43",
    "int": "f8c252dbf5fa49b47a5679f520dc79db",
    "big": "ed6f55746c5bd372cd4a48bac1e8d544",
    "float": "e97dbb185eaa57ccd9183a77c3193c61",
    "text": "47d5eb6620369332cf25b7e7cd74f94a",
    "bytes": "889a53fbc5d7c79c22a8e76bb7999dae",
    "nested": "432a76f9bfd857d009f77f3523c7db9f",
    "tensor": "c2fa65890dd5bdcf49fbdf2c42f9e8ed",
    "bfloat16": "9de52c881d222a4d8b26b287b5ea0291",
    "model": "41579c7f84466603c07fa8f5bd30545e",
}

SAMPLES: dict[str, Any] = {
    "none": None,
    "true": True,
    "int": -7,
    "big": 2**100,
    "float": 0.1,
    "text": "grüße 🌟",
    "bytes": b"\x00\xff",
    "nested": {"b": [1, 1.0, True, "1", None], "a": {"x": ()}},
    "tensor": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "bfloat16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "model": Model("diffusers", "/x", "abc", "unet", (Patch("lora", "d", "/y", (("strength", 0.5),)),)),
}


def test_golden_digests():
    """These may never change: results that were kept are found by them."""
    assert {name: digest(value).hex()[:32] for name, value in SAMPLES.items()} == GOLDEN


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_digests_are_the_same_in_every_process(seed: str):
    code = (
        "from nodegraph.sockets.codecs import digest\n"
        "print(digest({'b': [1, 1.0, True, '1', None], 'a': {'x': ()}, 'zz': 'y', 1: 2}).hex())\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    value = {"b": [1, 1.0, True, "1", None], "a": {"x": ()}, "zz": "y", 1: 2}
    assert done.stdout.strip() == digest(value).hex()
