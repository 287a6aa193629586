"""Values in files: what is written is read again, and what is damaged is noticed."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodegraph.sockets import Clip
from nodegraph.sockets.codecs import MAX_DEPTH
from nodegraph.sockets.packing import (
    BadFile,
    Unstorable,
    from_bytes,
    pack,
    read_values,
    to_bytes,
    unpack,
    write_values,
)

DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8,
    torch.uint64, torch.uint32, torch.uint16, torch.uint8, torch.bool,
)  # fmt: skip

texts = st.text(st.characters(exclude_categories=()), max_size=8)  # with lone surrogates
floats = st.floats() | st.sampled_from([-0.0, math.inf, -math.inf, math.nan, 5e-324, 1e-7, 2**53 + 1.0])
scalars = st.none() | st.booleans() | st.integers() | st.integers(-(1 << 2000), 1 << 2000) | floats
leaves = scalars | texts | st.binary(max_size=20)


@st.composite
def tensors(draw: st.DrawFn) -> torch.Tensor:
    """Tensors of all kinds: empty, of no dimension, not contiguous, expanded, views of larger ones."""
    shape = draw(st.lists(st.integers(0, 4), max_size=3))
    data = torch.rand([*shape, 2], generator=torch.Generator().manual_seed(draw(st.integers(0, 99))))
    tensor = (data * 100).to(draw(st.sampled_from(DTYPES)))
    how = draw(st.sampled_from(["as it is", "a view", "turned", "expanded", "sliced"]))
    if how == "a view":
        return tensor[..., 0]
    if how == "turned":
        return tensor.transpose(0, -1)
    if how == "expanded":
        return tensor[None].expand(3, *tensor.shape)
    return tensor[..., 1:] if how == "sliced" else tensor


keys = st.none() | st.booleans() | st.integers() | texts | st.binary(max_size=4) | st.tuples(st.integers(), texts)
values = st.recursive(
    leaves | tensors(),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=8,
)


def bits(tensor: torch.Tensor) -> bytes:
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def alike(left: Any, right: Any) -> bool:
    """Whether two values are of the same types and bits all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return struct.pack(">d", left) == struct.pack(">d", right) or (math.isnan(left) and math.isnan(right))
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(alike, left, right))
    if isinstance(left, dict):
        return alike(list(left.items()), list(right.items()))
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and left.shape == right.shape and bits(left) == bits(right)
    return left == right


@given(values)
@example("\ud83d\ude00")  # two halves are not the letter that they would make
@example({True: 1, 0: 2, "0": 3, b"0": 4, None: 5, (1, "x"): 6})
@example([10**5000, -(10**5000)])
def test_bytes_hold_what_was_written(value: object):
    assert alike(from_bytes(to_bytes(*pack(value))), value)


@settings(max_examples=40)
@given(values, st.booleans())
def test_files_hold_what_was_written(tmp_path_factory: pytest.TempPathFactory, value: object, mapped: bool):
    path = tmp_path_factory.mktemp("file") / "value"
    assert write_values(path, value, {"key": "k"}) == path.stat().st_size
    found, notes = read_values(path, mapped=mapped)
    assert alike(found, value)
    assert notes == {"key": "k"}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_number_format_is_kept_to_the_bit(dtype: torch.dtype, tmp_path: Path):
    bits = torch.arange(256, dtype=torch.uint8).repeat(8)
    tensor = bits.view(dtype) if dtype is not torch.bool else bits > 99
    write_values(tmp_path / "v", tensor, {})
    assert alike(read_values(tmp_path / "v")[0], tensor)
    assert alike(from_bytes(to_bytes(*pack(tensor))), tensor)


def test_files_are_safetensors_files_as_the_library_reads_and_writes_them(tmp_path: Path):
    from safetensors import safe_open

    tensors = {"0": torch.ones(3, dtype=torch.bool), "1": torch.arange(5.0), "2": torch.arange(3, dtype=torch.float16)}
    write_values(tmp_path / "v", list(tensors.values()), {"key": "k"})
    with safe_open(tmp_path / "v", framework="pt") as file:  # pyright: ignore[reportGeneralTypeIssues]
        assert set(file.keys()) == set(tensors)
        assert all(alike(file.get_tensor(name), tensor) for name, tensor in tensors.items())
        assert file.metadata()["key"] == "k"


def test_tensors_that_share_memory_come_back_whole():
    base = torch.arange(10.0)
    value = [base, base[2:5], base, base.view(2, 5), base[None].expand(4, 10), base[::2]]
    assert alike(from_bytes(to_bytes(*pack(value))), value)


def test_only_what_a_view_shows_is_written(tmp_path: Path):
    size = write_values(tmp_path / "v", torch.zeros(1 << 20)[:10], {})
    assert size < 1000


def test_a_tensor_that_learns_is_written_as_plain_numbers():
    tensor = torch.ones(3, requires_grad=True)
    found = from_bytes(to_bytes(*pack(tensor * 2)))
    assert isinstance(found, torch.Tensor) and not found.requires_grad
    assert found.tolist() == [2, 2, 2]


class Sub(dict):
    pass


def deep(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        Clip("diffusers", "/m", "0", "text_encoder"),
        {"model": [Clip("diffusers", "/m", "0", "text_encoder")]},
        object(), print, {1, 2}, Sub(a=1), range(3), deep(MAX_DEPTH + 1),
        torch.eye(3).to_sparse(), torch.ones(2) * 1j,
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_of_use_in_one_process_only_is_not_written(value: object):
    with pytest.raises(Unstorable):
        pack(value)


def test_a_tensor_without_data_is_not_written(tmp_path: Path):
    packed = pack(torch.empty(3, device="meta"))
    with pytest.raises(Unstorable):
        to_bytes(*packed)
    with pytest.raises(Unstorable):
        write_values(tmp_path / "v", torch.empty(3, device="meta"), {})


LIST = [1, (True, None), "grüße", b"\0\1", math.inf]
SAMPLE = {"samples": torch.arange(6.0).view(2, 3), "list": LIST, "n": 1 << 2000}


@settings(max_examples=300)
@given(st.data())
def test_damaged_bytes_are_a_bad_file_and_nothing_else(data: st.DataObject):
    whole = bytearray(to_bytes(*pack(SAMPLE if data.draw(st.booleans()) else LIST)))
    damaged = damage(data, whole)
    with suppress(BadFile):
        from_bytes(bytes(damaged))  # damage to the numbers themselves is for whoever keeps a digest


@settings(max_examples=200)
@given(st.data(), st.booleans())
def test_damaged_files_are_a_bad_file_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, mapped: bool
):
    path = tmp_path_factory.mktemp("damaged") / "v"
    write_values(path, SAMPLE, {"key": "k"})
    path.write_bytes(damage(data, bytearray(path.read_bytes())))
    with suppress(BadFile):
        read_values(path, mapped=mapped)


def damage(data: st.DataObject, whole: bytearray) -> bytearray:
    """Some bytes flipped, and often cut short."""
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    return whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_a_bad_file(data: bytes):
    for head in (b"", b"j", b"s", b"s\0\0\0\2{}"):
        with suppress(BadFile):
            from_bytes(head + data)


@pytest.mark.parametrize(
    "structure",
    ["", "{", "{}", '{"x": "7"}', '{"x": []}', '{"q": 1}', '{"t": 5}', '{"m": [1]}', '{"m": [[[], 1]]}', '{"y": "?"}',
     '{"f": []}', '{"i": "zz"}', '{"u": "d8"}', '{"t": [], "m": []}', "[" * 100_000, "1" * 10_000],
)  # fmt: skip
def test_a_structure_that_nobody_wrote_is_a_bad_file(structure: str):
    with pytest.raises(BadFile):
        unpack(structure, {})


def test_a_file_that_is_none_is_bad(tmp_path: Path):
    from safetensors.torch import save_file

    (tmp_path / "empty").touch()
    (tmp_path / "pickle").write_bytes(b"\x80\x04K\x01.")
    save_file({"a": torch.ones(2)}, tmp_path / "other")  # no value of ours
    for name in ("empty", "pickle", "other"):
        for mapped in (True, False):
            with pytest.raises(BadFile):
                read_values(tmp_path / name, mapped=mapped)
    with pytest.raises(OSError, match="none"):
        read_values(tmp_path / "none", mapped=False)
