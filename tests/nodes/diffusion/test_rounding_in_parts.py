"""Weights are rounded a part of their file at a time, to the numbers that rounding them all at once gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nodes.diffusion.weights import map_files, rounded_in_parts, rounded_to


@pytest.mark.parametrize("part_bytes", [1, 100, 1 << 20])
def test_parts_of_any_size_give_the_same_numbers(tmp_path: Path, part_bytes: int):
    generator = torch.Generator().manual_seed(1)
    stored = {f"layer{i}": torch.randn(3, 5 + i, generator=generator) for i in range(9)}
    stored["half"], stored["ids"] = torch.randn(4, generator=generator).half(), torch.arange(6)
    file = tmp_path / "w.safetensors"
    save_file(stored, file)
    parts = rounded_in_parts(lambda: map_files([file]), torch.float16, torch.float32, part_bytes)
    at_once = rounded_to(map_files([file]), torch.float16)
    assert list(parts) == list(at_once)
    for name, tensor in at_once.items():
        assert torch.equal(parts[name], tensor.float() if name.startswith("layer") else tensor)
        assert parts[name].dtype == (torch.float32 if name.startswith("layer") else stored[name].dtype)


def test_a_file_is_mapped_anew_after_each_part(tmp_path: Path):
    file = tmp_path / "w.safetensors"
    save_file({f"layer{i}": torch.ones(10) for i in range(6)}, file)
    mappings: list[int] = []

    def mapped() -> dict[str, torch.Tensor]:
        mappings.append(1)
        return map_files([file])

    rounded_in_parts(mapped, torch.float16, torch.float32, 79)
    assert len(mappings) == 4
