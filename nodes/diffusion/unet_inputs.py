"""What a UNet takes beside latent, timestep and prompt, by its configuration.

Stable Diffusion XL is told sizes and a pooled prompt, models for inpainting see a mask and the picture behind it, those
that follow instructions see the picture to change, those that enlarge see the small picture, unCLIP sees an encoded
picture. What an entry of a conditioning does not bring is filled in by what stands for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.conditions import Area, Condition
from nodes.diffusion.control import ControlRunner, WrongModel
from nodes.diffusion.image_conditions import Statistics, encoded_pictures, noised_picture
from nodes.diffusion.ip_adapter import ImageTokens
from nodes.diffusion.regions import window

#: What is laid beside the latent, by the number of channels that it takes.
Beside = Literal["nothing", "small picture", "picture", "mask and picture"]
BESIDE: dict[int, Beside] = {0: "nothing", 3: "small picture", 4: "picture", 5: "mask and picture"}
AESTHETIC_SCORE, POOR_SCORE = 6.0, 2.5
MOST_NOISY = 350
"""The step of the most noise on small pictures that models which enlarge them were trained with."""


#: Networks that were made for models of different families; the message says which.
Misfit = WrongModel


class BoxRunner(Protocol):
    """What puts named things into boxes (GLIGEN), ready to run."""

    def attached(self, unet: nn.Module) -> nn.Module:
        """The network with what it needs for boxes; kept, so that asking each step costs nothing."""
        ...

    def arguments(self, rows: int, height: int, width: int) -> dict[str, Any]:
        """`cross_attention_kwargs` for a batch of so many rows and latents of this size."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a sampling works on: `latent` [B, C, h, w] as the samplers see it, raw latents times `latent_scale`.

    mask: where to draw, [B, 1, h, w], or None. seed: for noise that a network is shown.
    """

    latent: Tensor
    mask: Tensor | None = None
    latent_scale: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Extra:
    """What a batch of entries gives its network beside latents, timesteps and contexts; each tensor has its rows.

    area: that of all entries, where they have controls. drawing: 1 for rows that say what to draw, 0 for those that say
    what to avoid, for networks that are shown pictures.
    """

    beside: Tensor | None = None
    class_labels: Tensor | None = None
    added: Mapping[str, Tensor] | None = None
    controls: tuple[ControlRunner, ...] = ()
    boxes: BoxRunner | None = None
    area: Area | None = None
    drawing: Tensor | None = None


Inputs = Callable[[Sequence[Condition], Tensor], Extra | None]
"""`inputs(entries, x [B, C, h, w])`: the extra inputs of entries that run in one batch on the latents x."""


def no_inputs(entries: Sequence[Condition], x: Tensor) -> Extra | None:
    """For networks that take none; controls still count."""
    first = entries[0]
    if not first.controls and first.gligen is None:
        return None
    return Extra(controls=first.controls, boxes=first.gligen, area=first.area)


def unet_inputs(unet: nn.Module, scene: Scene, statistics: Statistics | None = None) -> Inputs:
    """What entries give a `UNet2DConditionModel`. Raises ValueError for one that is not understood.

    statistics: mean and deviation of the encoded pictures that an unCLIP model was trained with.
    """
    config: Any = getattr(unet, "config", None)
    if config is None:
        return no_inputs
    beside = laid_beside(config)
    classes = "picture" if config.class_embed_type == "projection" else "level" if _has_levels(config) else ""
    sizes = config.addition_embed_type == "text_time"
    shown = any(isinstance(each, ImageTokens) for each in getattr(unet, "attn_processors", {}).values())
    if beside == "nothing" and not classes and not sizes and not shown:
        return no_inputs
    parameter = next(unet.parameters())

    def inputs(entries: Sequence[Condition], x: Tensor) -> Extra | None:
        rows = len(x)

        def joined(make: Callable[[Condition], Tensor]) -> Tensor:
            return torch.cat([_repeated(make(entry), rows) for entry in entries]).to(parameter.device, parameter.dtype)

        labels, added = None, None
        if classes == "picture":
            width = config.projection_class_embeddings_input_dim
            labels = joined(lambda entry: encoded_pictures(entry.options, width, scene.seed, statistics))
        elif classes == "level":
            labels = torch.cat([_repeated(noise_level(entry), rows) for entry in entries]).to(parameter.device)
        if sizes:
            pooled = joined(lambda entry: entry.options["pooled_output"])
            count = size_count(config, pooled.shape[-1])
            added = {"text_embeds": pooled, "time_ids": joined(lambda entry: size_ids(entry, scene.latent, count))}
        return Extra(
            None if beside == "nothing" else joined(lambda entry: window(entry, picture_beside(beside, entry, scene))),
            labels,
            added,
            entries[0].controls,
            entries[0].gligen,
            entries[0].area,
            joined(lambda entry: torch.tensor([0.0 if entry.role == "negative" else 1.0])) if shown else None,
        )

    return inputs


def laid_beside(config: Any) -> Beside:
    """What a UNet sees beside the latent. Raises ValueError for a number of channels that nothing is known of."""
    channels = config.in_channels - config.out_channels
    if channels not in BESIDE:
        raise ValueError(f"a UNet of {config.in_channels} channels in and {config.out_channels} out is not known")
    return BESIDE[channels]


def _has_levels(config: Any) -> bool:
    return config.class_embed_type is None and config.num_class_embeds is not None


def size_count(config: Any, pooled: int) -> int:
    """How many sizes a UNet is told: 6 (Stable Diffusion XL), or 5 (its refiner)."""
    return (config.projection_class_embeddings_input_dim - pooled) // config.addition_time_embed_dim


def size_ids(entry: Condition, latent: Tensor, count: int) -> Tensor:
    """[1, count]: the picture's size and cut (Podell et al. 2023), and either the size wanted or how good it looks.

    What the entry does not say is the latent's size in pixels, no cut, and 6 out of 10 (2.5 for what to avoid).
    """
    options = entry.options
    height, width = (float(options.get(name, latent.shape[i] * 8)) for name, i in (("height", -2), ("width", -1)))
    ids = [height, width, float(options.get("crop_h", 0)), float(options.get("crop_w", 0))]
    if count == 5:
        usual = POOR_SCORE if entry.role == "negative" else AESTHETIC_SCORE
        ids.append(float(options.get("aesthetic_score", usual)))
    else:
        ids += [float(options.get("target_height", height)), float(options.get("target_width", width))]
    return torch.tensor([ids])


def picture_beside(kind: Beside, entry: Condition, scene: Scene) -> Tensor:
    """[1 or B, C, h, w] to be laid beside the whole latent."""
    options, latent = entry.options, scene.latent
    if kind == "small picture":
        picture = options.get("concat_image")
        if picture is None:
            return torch.zeros(1, 3, *latent.shape[-2:])
        return noised_picture(_fitted(picture, latent), int(noise_level(entry)), scene.seed)
    picture = options.get("concat_latent_image")
    if kind == "picture":  # such a model was trained on raw latents here
        return torch.zeros_like(latent[:1]) if picture is None else _fitted(picture, latent)
    mask = options.get("concat_mask")
    if picture is None and mask is None and scene.mask is not None:
        mask, picture = scene.mask, latent
    else:
        picture = torch.zeros_like(latent[:1]) if picture is None else _fitted(picture, latent) * scene.latent_scale
    mask = torch.ones_like(latent[:1, :1]) if mask is None else mask.reshape(-1, 1, *mask.shape[-2:])
    mask = _fitted(mask.float(), latent).round()
    rows = max(len(mask), len(picture))
    return torch.cat([_repeated(mask.to(picture), rows), _repeated(picture, rows)], dim=1)


def noise_level(entry: Condition) -> Tensor:
    """[1] int64: how noisy a small picture is shown, as a step of the 1000 that it could be noised by."""
    return torch.tensor([round(MOST_NOISY * float(entry.options.get("noise_augmentation", 0.0)))])


def _fitted(picture: Tensor, latent: Tensor) -> Tensor:
    """[B, C, H, W] resized to the latent's size, where it is."""
    picture = picture.to(latent.device, torch.float32)
    if picture.shape[-2:] == latent.shape[-2:]:
        return picture
    return functional.interpolate(picture, size=latent.shape[-2:], mode="bilinear")


def _repeated(tensor: Tensor, rows: int) -> Tensor:
    copies = -(-rows // len(tensor))
    return tensor.repeat(copies, *[1] * (tensor.ndim - 1))[:rows] if len(tensor) != rows else tensor
