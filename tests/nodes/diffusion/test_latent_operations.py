"""Tone mapping and sharpening of latents: what they do to the vectors along the channel axis."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nodes.diffusion.latent_operations import OPERATIONS, apply_operation, gaussian_blur


def latent(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*(shape or (2, 4, 9, 7)), generator=torch.Generator().manual_seed(seed))


def lengths(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.norm(dim=1)


@given(st.integers(0, 50), st.floats(0.01, 100))
def test_tone_mapping_shortens_vectors_long_ones_more_and_turns_none(seed: int, multiplier: float) -> None:
    before = latent(seed=seed)
    after = apply_operation("tonemap_reinhard", (("multiplier", multiplier),), before)
    kept = lengths(after) / lengths(before)
    assert (kept <= 1).all()
    for item in range(2):
        order = lengths(before)[item].flatten().argsort()
        assert (kept[item].flatten()[order].diff() <= 1e-5).all()
        assert (lengths(after)[item].flatten()[order].diff() >= -1e-5).all()
    turned = torch.cosine_similarity(before, after, dim=1)
    torch.testing.assert_close(turned, torch.ones_like(turned), atol=1e-4, rtol=0)


def test_a_known_tone_mapping() -> None:
    flat = torch.ones(1, 4, 2, 2)  # all vectors are 2 long: mean 2, no spread, so that top is 2
    torch.testing.assert_close(apply_operation("tonemap_reinhard", {}, flat), flat / 2)
    torch.testing.assert_close(apply_operation("tonemap_reinhard", {"multiplier": 3.0}, flat), flat * 0.75)
    assert not apply_operation("tonemap_reinhard", {"multiplier": 0.0}, flat).any()


def test_each_latent_of_a_batch_is_mapped_by_itself() -> None:
    both = torch.cat((latent(1, 4, 5, 5), 10 * latent(1, 4, 5, 5, seed=1)))
    for kind in OPERATIONS:
        together = apply_operation(kind, {}, both)
        for item in range(2):
            torch.testing.assert_close(apply_operation(kind, {}, both[item : item + 1]), together[item : item + 1])


@pytest.mark.parametrize("radius", [1, 9, 31])
def test_sharpening_leaves_even_areas_alone_and_raises_edges(radius: int) -> None:
    flat = latent(1, 4, 1, 1).expand(1, 4, 6, 6)
    settings = {"sharpen_radius": radius, "sigma": 1.0, "alpha": 0.1}
    torch.testing.assert_close(apply_operation("sharpen", settings, flat), flat, atol=1e-5, rtol=0)
    edge = torch.ones(1, 4, 8, 8)
    edge[:, :2, :, 4:] = -1
    sharper = apply_operation("sharpen", settings, edge)
    step = [each[0, 0, 4, 3] - each[0, 0, 4, 4] for each in (edge, sharper)]
    assert step[1] > step[0] * 1.1
    torch.testing.assert_close(apply_operation("sharpen", settings | {"alpha": 0.0}, edge), edge)


def test_a_blur_keeps_the_sum_of_a_dot_and_is_even_on_all_sides() -> None:
    dot = torch.zeros(1, 1, 9, 9)
    dot[0, 0, 4, 4] = 1
    blurred = gaussian_blur(dot, 3, 1.5)
    assert blurred.sum().item() == pytest.approx(1)
    for other in (blurred.flip(2), blurred.flip(3), blurred.transpose(2, 3)):
        torch.testing.assert_close(blurred, other)
    ratio = blurred[0, 0, 4, 5] / blurred[0, 0, 4, 4]
    assert ratio.item() == pytest.approx(torch.exp(torch.tensor(-1 / (2 * 1.5**2))).item())


@pytest.mark.parametrize("shape", [(1, 4, 1, 1), (1, 4, 1, 5), (1, 1, 3, 2), (2, 16, 4, 4)])
@pytest.mark.parametrize("kind", sorted(OPERATIONS))
def test_latents_of_any_size_and_empty_ones_are_fine(kind: str, shape: tuple[int, ...]) -> None:
    for tensor in (latent(*shape), torch.zeros(shape)):
        before = tensor.clone()
        after = apply_operation(kind, {}, tensor)
        assert after.shape == shape
        assert torch.isfinite(after).all()
        assert torch.equal(tensor, before)


def test_unknown_operations_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="no latent operation 'melt'"):
        apply_operation("melt", {}, latent())
    with pytest.raises(ValueError, match="strength"):
        apply_operation("sharpen", {"strength": 1.0}, latent())
