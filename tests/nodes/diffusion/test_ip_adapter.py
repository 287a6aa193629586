"""IP-Adapters inside a clone of a UNet give what diffusers' own way of calling one gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nodes.diffusion.clones import structural_clone
from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.ip_adapter import WrongModel, apply_ip_adapter, load_ip_adapter, read_ip_adapter_file
from tests.nodes.steering_models import Weights, ip_adapter, randn, save, unet, vision_model

KINDS = ["plain", "full", "plus"]
CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-4}
X, T = randn(2, 4, 8, 8), torch.tensor([500, 20])


def parts(weights: Weights) -> dict[str, dict[str, Tensor]]:
    return {
        part: {k.removeprefix(part + "."): v for k, v in weights.items() if k.startswith(part + ".")}
        for part in ("image_proj", "ip_adapter")
    }


def prompt(structure: str = "sd1") -> Tensor:
    return randn(2, 5, {"sd1": 768, "sd2": 1024}[structure], seed=1)


def shown(kind: str, count: int = 1, seed: int = 7) -> Tensor:
    return randn(count, 24, seed=seed) if kind == "plain" else randn(count, 5, 64, seed=seed)


def by_diffusers(structure: str, weights: Weights, embeds: Tensor, scale: float) -> Tensor:
    """embeds: [rows, images, …]."""
    model: Any = unet(structure)
    with torch.random.fork_rng():
        model._load_ip_adapter_weights([parts(weights)], low_cpu_mem_usage=False)
    for processor in model.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale]
    with torch.no_grad():
        return model(X, T, prompt(structure), added_cond_kwargs={"image_embeds": [embeds]}).sample


def ours(model: Any, structure: str = "sd1", **more: Any) -> Tensor:
    with torch.no_grad():
        return model(X, T, prompt(structure), **more).sample


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("structure", ["sd1", "sd2"])
def test_a_clone_with_the_pictures_inside_gives_what_diffusers_gives(structure: str, kind: str) -> None:
    base = unet(structure)
    weights = ip_adapter(base, kind)
    clone = structural_clone(base)
    apply_ip_adapter(clone, parts(weights), shown(kind), 0.8)
    wanted = by_diffusers(structure, weights, shown(kind).expand(2, *shown(kind).shape[1:])[:, None], 0.8)
    torch.testing.assert_close(ours(clone, structure), wanted, **CLOSE)
    plain = ours(base, structure)
    assert not torch.allclose(plain, wanted, atol=1e-3)
    assert torch.equal(plain, ours(unet(structure), structure))  # the original is as it was


def test_several_pictures_count_together_as_in_diffusers() -> None:
    base = unet()
    weights, seen = ip_adapter(base), shown("plain", 3)
    clone = structural_clone(base)
    apply_ip_adapter(clone, parts(weights), seen, 1.0)
    torch.testing.assert_close(ours(clone), by_diffusers("sd1", weights, seen[None].expand(2, -1, -1), 1.0), **CLOSE)


@pytest.mark.parametrize("kind", ["plain", "plus"])
def test_rows_that_avoid_are_shown_nothing_or_something_else(kind: str) -> None:
    base = unet()
    weights, seen = ip_adapter(base, kind), shown(kind)
    rows: dict[str, Any] = {"cross_attention_kwargs": {"ip_adapter_masks": {"rows": torch.tensor([0.0, 1.0])}}}
    for negative in (None, shown(kind, seed=9)):
        clone = structural_clone(base)
        apply_ip_adapter(clone, parts(weights), seen, 0.6, negative)
        other = torch.zeros_like(seen) if negative is None else negative
        wanted = by_diffusers("sd1", weights, torch.stack([other, seen]), 0.6)
        torch.testing.assert_close(ours(clone, **rows), wanted, **CLOSE)


def test_two_adapters_add_and_a_weight_of_nothing_changes_nothing() -> None:
    base = unet()
    first, second = ip_adapter(base, "plain"), ip_adapter(base, "plus", seed=50)
    clone = structural_clone(base)
    apply_ip_adapter(clone, parts(first), shown("plain"), 0.7)
    apply_ip_adapter(clone, parts(second), shown("plus"), 0.3)
    model: Any = unet()
    with torch.random.fork_rng():
        model._load_ip_adapter_weights([parts(first), parts(second)], low_cpu_mem_usage=False)
    for processor in model.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.7, 0.3]
    embeds = [shown("plain").expand(2, -1)[:, None], shown("plus").expand(2, -1, -1)[:, None]]
    torch.testing.assert_close(ours(clone), ours(model, added_cond_kwargs={"image_embeds": embeds}), **CLOSE)
    nothing = structural_clone(base)
    apply_ip_adapter(nothing, parts(first), shown("plain"), 0.0)
    assert torch.equal(ours(nothing), ours(base))


def test_each_adapter_counts_at_its_own_timesteps() -> None:
    base = unet()
    first, second = ip_adapter(base, "plain"), ip_adapter(base, "plus", seed=50)
    both, early, late = structural_clone(base), structural_clone(base), structural_clone(base)
    apply_ip_adapter(both, parts(first), shown("plain"), 1.0, window=(1000.0, 500.0))
    apply_ip_adapter(both, parts(second), shown("plus"), 1.0, window=(499.0, 10.0))
    apply_ip_adapter(early, parts(first), shown("plain"), 1.0)
    apply_ip_adapter(late, parts(second), shown("plus"), 1.0)

    def at(model: Any, timestep: Any, **more: Any) -> Tensor:
        with torch.no_grad():
            return model(X, timestep, encoder_hidden_states=prompt(), **more).sample

    for timestep, same in ((999, early), (500, early), (499, late), (10, late), (9, base)):
        assert torch.equal(at(both, timestep), at(same, timestep))
        assert torch.equal(at(structural_clone(both), torch.tensor([timestep] * 2)), at(same, timestep))
    rows: dict[str, Any] = {"cross_attention_kwargs": {"ip_adapter_masks": {"rows": torch.tensor([0.0, 1.0])}}}
    assert torch.equal(at(both, 700, **rows), at(early, 700, **rows))
    assert "timestep" not in rows["cross_attention_kwargs"]["ip_adapter_masks"]


def test_a_clone_of_the_clone_attends_to_the_same_pictures() -> None:
    clone = structural_clone(unet())
    apply_ip_adapter(clone, parts(ip_adapter(clone)), shown("plain"), 1.0)
    assert torch.equal(ours(structural_clone(clone)), ours(clone))


@pytest.mark.parametrize(
    ("made_for", "seen"),
    [("sd2", shown("plain")), ("xl", shown("plain")), ("sd1", randn(1, 99)), ("sd1", shown("plus"))],
)
def test_adapters_for_other_models_are_refused_and_leave_the_clone_as_it_was(made_for: str, seen: Tensor) -> None:
    clone = structural_clone(unet())
    with pytest.raises(WrongModel):
        apply_ip_adapter(clone, parts(ip_adapter(unet(made_for))), seen, 1.0)
    assert torch.equal(ours(clone), ours(unet()))


def test_no_random_numbers_are_drawn() -> None:
    base = unet()
    before = torch.random.get_rng_state()
    apply_ip_adapter(structural_clone(base), parts(ip_adapter(base, "plus")), shown("plus"), 1.0)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_told_by_their_names(kind: str, tmp_path: Path) -> None:
    weights = ip_adapter(unet(), kind)
    path = save(tmp_path / "adapter.safetensors", weights)
    assert read_ip_adapter_file(path) == kind
    loaded, wanted = load_ip_adapter(path), parts(weights)
    assert {part: sorted(names) for part, names in loaded.items()} == {p: sorted(n) for p, n in wanted.items()}
    assert all(torch.equal(loaded[part][name], wanted[part][name]) for part in wanted for name in wanted[part])


def test_other_files_are_refused(tmp_path: Path) -> None:
    face = {"image_proj.norm.weight": torch.zeros(3), "ip_adapter.1.to_k_ip.weight": torch.zeros(3, 3)}
    for i, (weights, reason) in enumerate(
        [(face, "faces"), (vision_model().state_dict(), "no IP-Adapter"), ({}, "no")]
    ):
        with pytest.raises(UnreadableModel, match=reason):
            load_ip_adapter(save(tmp_path / f"{i}.safetensors", weights))
