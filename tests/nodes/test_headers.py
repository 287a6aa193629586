"""Headers of weights files: sound ones are read without reading a weight, hostile ones are refused in words."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from nodes.diffusion.headers import UnreadableModel, is_pickle, read_header


def write(path: Path, header: object, data: bytes = b"", length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(begin: int, end: int, shape: Any = None, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


def test_a_files_tensors_and_notes(tmp_path: Path):
    tensors = {"a": torch.zeros(2, 3), "b": torch.zeros(5, dtype=torch.float16), "empty": torch.zeros(0, 4)}
    save_file(tensors, tmp_path / "w.safetensors", {"note": "hello"})
    header = read_header(tmp_path / "w.safetensors")
    assert {name: (info.dtype, info.shape) for name, info in header.tensors.items()} == {
        "a": ("F32", (2, 3)), "b": ("F16", (5,)), "empty": ("F32", (0, 4)),
    }  # fmt: skip
    assert header.metadata == {"note": "hello"}
    assert header.shape("missing") == ()


def zipped(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "out")


HOSTILE = {
    "empty": lambda p: p.write_bytes(b""),
    "seven bytes": lambda p: p.write_bytes(b"1234567"),
    "length of all bits": lambda p: write(p, {}, length=2**64 - 1),
    "length of 2 to the 63": lambda p: write(p, {}, length=2**63),
    "longer than the file": lambda p: write(p, {}, length=1000),
    "no JSON": lambda p: write(p, b"{not json"),
    "not UTF-8": lambda p: write(p, b"\xff\xfe{}"),
    "a list": lambda p: write(p, []),
    "nested deeply": lambda p: write(p, b"[" * 100_000),
    "no offsets": lambda p: write(p, {"a": {"dtype": "F32", "shape": [1]}}, b"1234"),
    "an unknown format": lambda p: write(p, {"a": entry(0, 4, [1], "F99")}, b"1234"),
    "a negative side": lambda p: write(p, {"a": entry(0, 4, [-1, -1])}, b"1234"),
    "sides that are texts": lambda p: write(p, {"a": entry(0, 4, ["1"])}, b"1234"),
    "a shape that does not fit": lambda p: write(p, {"a": entry(0, 4, [2])}, b"1234"),
    "offsets turned round": lambda p: write(p, {"a": entry(4, 0, [1])}, b"1234"),
    "overlapping tensors": lambda p: write(p, {"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)),
    "holes between tensors": lambda p: write(p, {"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)),
    "cut short": lambda p: write(p, {"a": entry(0, 4000)}, bytes(10)),
    "more than it says": lambda p: write(p, {"a": entry(0, 4)}, bytes(10)),
    "a number for notes": lambda p: write(p, {"__metadata__": 5, "a": entry(0, 4)}, bytes(4)),
    "a list for notes": lambda p: write(p, {"__metadata__": ["x"], "a": entry(0, 4)}, bytes(4)),
    "a format that is a list": lambda p: write(p, {"a": entry(0, 4, [1], ["F32"])}, bytes(4)),
    "a side that is true": lambda p: write(p, {"a": entry(0, 4, [True])}, bytes(4)),
    "offsets that are no numbers": lambda p: write(p, b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[NaN,4]}}'),
    "three offsets": lambda p: write(p, {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, bytes(4)),
    "a side of 5000 digits": lambda p: write(
        p, b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}'
    ),
    "a zip that leads out": lambda p: zipped(p, "../../evil"),
    "a text for an entry": lambda p: write(p, {"a": "F32"}, bytes(4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_line(name: str, tmp_path: Path):
    path = tmp_path / "evil.safetensors"
    HOSTILE[name](path)
    with pytest.raises(UnreadableModel) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt", "MODEL.SafeTensors"])
def test_a_pickle_is_known_by_what_it_holds(name: str, tmp_path: Path):
    old, new = tmp_path / f"old-{name}", tmp_path / f"new-{name}"
    old.write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    torch.save({"weights": torch.zeros(3)}, new)
    for path in (old, new):
        assert is_pickle(path)
        with pytest.raises(UnreadableModel, match="pickle"):
            read_header(path)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_header_or_one_error(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    path = tmp_path_factory.mktemp("any") / "w.safetensors"
    path.write_bytes(data)
    try:
        told = str(read_header(path).metadata)
    except UnreadableModel as error:
        told = str(error)
    assert "\n" not in told


@given(st.integers(0, 300), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int):
    path = tmp_path_factory.mktemp("changed") / "w.safetensors"
    save_file({"a": torch.zeros(4, 4), "b": torch.ones(3)}, path, {"note": "x"})
    data = bytearray(path.read_bytes())
    data[place % len(data)] = byte
    path.write_bytes(data)
    try:
        header = read_header(path)
    except UnreadableModel:
        return
    assert sum(info.bytes for info in header.tensors.values()) <= len(data)
