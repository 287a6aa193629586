"""What UNets of each kind are told, compared with calls of diffusers' modules by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch import Tensor
from torch.nn import functional

from nodes.diffusion.conditions import conditions
from nodes.diffusion.control_residuals import Residuals
from nodes.diffusion.denoiser import unet_denoiser
from nodes.diffusion.guidance import guided_denoiser
from nodes.diffusion.image_conditions import cosine_signal, noised_picture
from nodes.diffusion.noise import generator, independent_seed
from nodes.diffusion.sigmas import ModelSigmas
from nodes.diffusion.unet_inputs import Misfit, Scene, unet_inputs
from tests.nodes.diffusion.unets import POOLED, WIDTH, make_unet

SD = ModelSigmas.stable_diffusion()
SCALE = 0.5
SIGMA = 3.0
CFG = 2.0


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


X, LATENT = randn(2, 4, 8, 12) * SIGMA, randn(2, 4, 8, 12, seed=1)
PROMPT, AVOID = randn(1, 7, WIDTH, seed=2), randn(1, 7, WIDTH, seed=3)


class ByHand:
    """A UNet called as diffusers' users call it, guidance included."""

    def __init__(self, kind: str) -> None:
        self.unet = make_unet(kind)

    def epsilon(self, context: Tensor, beside: Tensor | None = None, **given: Any) -> Tensor:
        scaled = X / math.sqrt(1 + SIGMA**2)
        sample = scaled if beside is None else torch.cat([scaled, beside.expand(2, -1, -1, -1)], dim=1)
        timestep = SD.timestep(torch.tensor([SIGMA] * 2))
        return self.unet(sample, timestep, encoder_hidden_states=context.expand(2, -1, -1), **given).sample

    def guided(self, positive: Tensor, negative: Tensor) -> Tensor:
        return X - SIGMA * (negative + CFG * (positive - negative))

    def ours(
        self, positive: dict[str, Any], negative: dict[str, Any], mask: Tensor | None = None, seed: int = 0
    ) -> Tensor:
        model = guided_denoiser(
            unet_denoiser(self.unet, SD),
            conditions([(PROMPT, positive)], SD),
            conditions([(AVOID, negative)], SD, role="negative"),
            CFG,
            unet_inputs(self.unet, Scene(LATENT, mask, SCALE, seed)),
        )
        return model(X, torch.tensor([SIGMA] * 2))


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def told(pooled: Tensor, *sizes: float) -> dict[str, Any]:
    return {"added_cond_kwargs": {"text_embeds": pooled.expand(2, -1), "time_ids": torch.tensor([sizes] * 2)}}


def test_stable_diffusion_xl_is_told_pooled_prompt_and_sizes():
    hand, pooled, other = ByHand("sdxl"), randn(1, POOLED, seed=4), randn(1, POOLED, seed=5)
    options = {"pooled_output": pooled, "height": 512, "width": 768, "crop_h": 8, "crop_w": 16}
    options |= {"target_height": 1024, "target_width": 640}
    positive = hand.epsilon(PROMPT, **told(pooled, 512, 768, 8, 16, 1024, 640))
    negative = hand.epsilon(AVOID, **told(other, 64, 96, 0, 0, 64, 96))  # the latent's size
    close(hand.ours(options, {"pooled_output": other}), hand.guided(positive, negative))


def test_the_refiner_is_told_how_good_pictures_look():
    hand, pooled = ByHand("refiner"), randn(1, POOLED, seed=4)
    for options, wanted in (({}, (6.0, 2.5)), ({"aesthetic_score": 9.0}, (9.0, 9.0))):
        positive = hand.epsilon(PROMPT, **told(pooled, 64, 96, 0, 0, wanted[0]))
        negative = hand.epsilon(AVOID, **told(pooled, 64, 96, 0, 0, wanted[1]))
        given = {"pooled_output": pooled, **options}
        close(hand.ours(given, given), hand.guided(positive, negative))


def test_an_inpainting_model_sees_the_mask_and_the_picture_behind_it():
    hand, picture, mask = ByHand("inpainting"), randn(1, 4, 8, 12, seed=6), torch.zeros(1, 64, 96)
    mask[:, 16:40, 8:80] = 1
    options = {"concat_latent_image": picture, "concat_mask": mask}
    small = functional.interpolate(mask[:, None], size=(8, 12), mode="bilinear").round()
    beside = torch.cat([small, picture * SCALE], dim=1)
    wanted = hand.guided(hand.epsilon(PROMPT, beside), hand.epsilon(AVOID, beside))
    close(hand.ours(options, options), wanted)


def test_without_a_picture_an_inpainting_model_sees_the_latent_to_be_drawn_on_or_an_empty_one():
    hand = ByHand("inpainting")
    mask = (randn(2, 1, 8, 12, seed=7) > 0).float()
    beside = torch.cat([mask, LATENT], dim=1)
    close(hand.ours({}, {}, mask), hand.guided(hand.epsilon(PROMPT, beside), hand.epsilon(AVOID, beside)))
    beside = torch.cat([torch.ones(1, 1, 8, 12), torch.zeros(1, 4, 8, 12)], dim=1)
    close(hand.ours({}, {}), hand.guided(hand.epsilon(PROMPT, beside), hand.epsilon(AVOID, beside)))


def test_a_model_that_follows_instructions_sees_the_picture_to_change():
    hand, picture = ByHand("instructions"), randn(1, 4, 8, 12, seed=6)
    positive, negative = hand.epsilon(PROMPT, picture), hand.epsilon(AVOID, torch.zeros(1, 4, 8, 12))
    close(hand.ours({"concat_latent_image": picture}, {}), hand.guided(positive, negative))
    large = functional.interpolate(picture, size=(16, 24), mode="nearest")
    resized = functional.interpolate(large, size=(8, 12), mode="bilinear")
    close(
        hand.ours({"concat_latent_image": large}, {}),
        hand.guided(hand.epsilon(PROMPT, resized), negative),
    )


def test_an_upscaler_sees_the_small_picture_and_is_told_how_noisy_it_is():
    hand, small = ByHand("upscaler"), torch.rand(1, 3, 8, 12, generator=generator(8)) * 2 - 1
    options = {"concat_image": small, "noise_augmentation": 0.1}
    beside, level = noised_picture(small, 35, 5), {"class_labels": torch.tensor([35, 35])}
    wanted = hand.guided(hand.epsilon(PROMPT, beside, **level), hand.epsilon(AVOID, beside, **level))
    close(hand.ours(options, options, seed=5), wanted)
    torch.testing.assert_close(noised_picture(small, 0, 5), small, atol=0.05, rtol=0)


def code(picture: Tensor, amount: float, seed: int) -> Tensor:
    """An encoded picture with its noise, as Stable unCLIP's pipeline makes it."""
    step = round(999 * amount)
    signal = cosine_signal(step)
    noise = torch.randn(picture.shape, generator=generator(independent_seed(seed, "unclip")))
    noised = picture * math.sqrt(signal) + noise * math.sqrt(1 - signal)
    level = get_timestep_embedding(torch.tensor([step]), POOLED, flip_sin_to_cos=True, downscale_freq_shift=0)
    return torch.cat([noised, level], dim=1)


def shown(*pictures: tuple[Tensor, float, float]) -> dict[str, Any]:
    return {
        "unclip_conditioning": [
            {"clip_vision_output": {"image_embeds": picture}, "strength": strength, "noise_augmentation": amount}
            for picture, strength, amount in pictures
        ]
    }


def test_unclip_is_shown_an_encoded_picture_with_noise():
    hand, picture = ByHand("unclip"), randn(1, POOLED, seed=9)
    positive = hand.epsilon(PROMPT, class_labels=code(picture, 0.2, 5).expand(2, -1) * 0.5)
    negative = hand.epsilon(AVOID, class_labels=torch.zeros(2, 2 * POOLED))
    close(hand.ours(shown((picture, 0.5, 0.2)), {}, seed=5), hand.guided(positive, negative))


def test_several_encoded_pictures_are_added_up():
    hand, one, two = ByHand("unclip"), randn(1, POOLED, seed=9), randn(1, POOLED, seed=10)
    total = code(one, 0.0, 5) * 0.75 + code(two, 0.1, 5) * 0.25
    positive = hand.epsilon(PROMPT, class_labels=code(total[:, :POOLED], 0.05, 5).expand(2, -1))
    negative = hand.epsilon(AVOID, class_labels=torch.zeros(2, 2 * POOLED))
    close(hand.ours(shown((one, 0.75, 0.0), (two, 0.25, 0.1)), {}, seed=5), hand.guided(positive, negative))


def test_noise_on_encoded_pictures_is_that_of_the_cosine_schedule():
    from diffusers import DDPMScheduler

    signal = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2").alphas_cumprod
    for step in (0, 1, 50, 500, 999):
        assert cosine_signal(step) == pytest.approx(float(signal[step]), rel=1e-3, abs=1e-7)


def test_the_statistics_of_encoded_pictures_are_used():
    from nodes.diffusion.image_conditions import noised_code

    picture, mean, deviation = randn(1, POOLED), randn(1, POOLED, seed=1), randn(1, POOLED, seed=2).abs() + 0.5
    plain = noised_code((picture - mean) / deviation, 0.7, 3, None)[:, :POOLED]
    close(noised_code(picture, 0.7, 3, (mean, deviation))[:, :POOLED], plain * deviation + mean)


def test_a_part_of_the_picture_is_shown_for_a_part_of_the_latent():
    hand, picture = ByHand("instructions"), randn(1, 4, 8, 12, seed=6)
    seen: list[Tensor] = []
    hand.unet.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    entries = conditions([(PROMPT, {"concat_latent_image": picture, "area": (4, 8, 2, 3)})], SD)
    inputs = unet_inputs(hand.unet, Scene(LATENT, None, SCALE))
    guided_denoiser(unet_denoiser(hand.unet, SD), entries, (), 1, inputs)(X, torch.tensor([SIGMA] * 2))
    assert torch.equal(seen[0][:, 4:], picture[:, :, 2:6, 3:11].expand(2, -1, -1, -1))


def test_a_number_of_channels_that_means_nothing_is_refused():
    from types import SimpleNamespace

    from nodes.diffusion.unet_inputs import laid_beside

    with pytest.raises(ValueError, match="6 channels in and 4 out"):
        laid_beside(SimpleNamespace(in_channels=6, out_channels=4))


# --- networks that steer


class Steering:
    """A toy network that steers: adds a number to all features, above a noise level."""

    def __init__(self, amount: float, above: float = 0.0, kind: str = "down") -> None:
        self.amount, self.above, self.kind = amount, above, kind
        self.calls: list[tuple[Any, ...]] = []

    def residuals(self, x_in, sigma, timestep, context, added=None, *, area=None):
        self.calls.append((x_in, sigma, timestep, context, added, area))
        if sigma < self.above:
            return None
        features = tuple(torch.full((1, 1, 1, 1), self.amount) for _ in range(6))
        if self.kind == "intrablock":
            return Residuals(intrablock=features[:3])
        return Residuals(down=features, mid=features[0] if self.kind == "down" else None)


def steered(hand: ByHand, *entries: tuple[Tensor, dict[str, Any]], cfg: float = 1.0, negative: Any = ()) -> Tensor:
    def same(control: Any) -> Any:
        return control

    read, avoided = (conditions(part, SD, steered=same) for part in (entries, negative))
    return guided_denoiser(unet_denoiser(hand.unet, SD), read, avoided, cfg)(X, torch.tensor([SIGMA] * 2))


@pytest.mark.parametrize("kind", ["down", "no middle"])
def test_residuals_of_all_active_controls_are_added_up(kind):
    hand = ByHand("plain")
    controls = (Steering(0.5, kind=kind), Steering(0.25, kind=kind), Steering(9.0, above=10.0, kind=kind))
    down = tuple(torch.full((1, 1, 1, 1), 0.75) for _ in range(6))
    middle = down[0] if kind == "down" else torch.zeros(())
    wanted = hand.epsilon(PROMPT, down_block_additional_residuals=down, mid_block_additional_residual=middle)
    close(steered(hand, (PROMPT, {"control": controls})), X - SIGMA * wanted)
    x_in, sigma, timestep, context, added, area = controls[0].calls[0]
    close(x_in, X / math.sqrt(1 + SIGMA**2))
    assert (sigma, added, area) == (SIGMA, None, None)
    assert timestep.tolist() == SD.timestep(torch.tensor([SIGMA] * 2)).tolist()
    assert torch.equal(context, PROMPT.expand(2, -1, -1))


def test_features_within_blocks_are_added_at_every_step():
    hand, control = ByHand("plain"), Steering(0.5, kind="intrablock")
    features = [torch.full((1, 1, 1, 1), 0.5) for _ in range(3)]
    wanted = hand.epsilon(PROMPT, down_intrablock_additional_residuals=features)
    for _ in range(2):
        close(steered(hand, (PROMPT, {"control": (control,)})), X - SIGMA * wanted)


def test_controls_of_a_step_they_are_not_active_in_change_nothing():
    hand = ByHand("plain")
    assert torch.equal(steered(hand, (PROMPT, {"control": (Steering(1, above=10),)})), steered(hand, (PROMPT, {})))


def test_networks_of_different_families_do_not_steer_together():
    class Short(Steering):
        def residuals(self, *args, **kwargs):
            whole = super().residuals(*args, **kwargs)
            assert whole is not None
            return Residuals(whole.down[:4], whole.mid)

    with pytest.raises(Misfit, match="different families"):
        steered(ByHand("plain"), (PROMPT, {"control": (Steering(0.5), Short(0.5))}))


def test_only_entries_with_controls_are_steered():
    hand, control = ByHand("plain"), Steering(0.5)
    plain, alone = (steered(hand, (PROMPT, options)) for options in ({}, {"control": (control,)}))
    together = steered(hand, (PROMPT, {"control": (control,)}), (PROMPT, {}))
    close(together, (plain + alone) / 2)
    assert len(control.calls[-1][0]) == 2


def test_a_control_meant_for_both_prompts_steers_both_in_one_batch():
    hand, control = ByHand("plain"), Steering(0.5)
    options = {"control": (control,), "control_apply_to_uncond": True}
    found = steered(hand, (PROMPT, options), cfg=CFG, negative=[(AVOID, {})])
    assert [len(call[0]) for call in control.calls] == [4]
    alone = [steered(hand, (context, options)) for context in (PROMPT, AVOID)]
    close(found, alone[1] + CFG * (alone[0] - alone[1]))


def test_a_control_is_told_which_part_it_steers():
    hand, control = ByHand("plain"), Steering(0.5)
    steered(hand, *((PROMPT, {"control": (control,), "area": (8, 8, 0, x)}) for x in (0, 4)))
    assert [call[-1] for call in control.calls] == [(8, 8, 0, 0), (8, 8, 0, 4)]
    assert all(call[0].shape[-2:] == (8, 8) for call in control.calls)


def test_boxes_are_attached_and_told():
    hand = ByHand("plain")

    class Boxes:
        def __init__(self):
            self.told = []

        def attached(self, unet):
            return unet

        def arguments(self, rows, height, width):
            self.told.append((rows, height, width))
            return {"scale": 1.0}

    boxes = Boxes()
    entries = conditions([(PROMPT, {"gligen": ("position", boxes, [])})], SD, boxed=lambda option: option[1])
    avoid = conditions([(AVOID, {})], SD, role="negative")
    guided_denoiser(unet_denoiser(hand.unet, SD), entries, avoid, CFG)(X, torch.tensor([SIGMA] * 2))
    assert boxes.told == [(4, 8, 12)]
