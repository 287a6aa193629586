"""GLIGEN (Li et al. 2023, arXiv:2301.07093): named things in boxes, by gated attention inside a UNet.

A clone of the UNet gets the layers for it; diffusers' UNet2DConditionModel knows how to be told of the things.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nodes.diffusion.clones import structural_clone
from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.one_file import Shapes, build, describing, read_shapes, read_weights

if TYPE_CHECKING:
    from diffusers.models.embeddings import GLIGENTextBoundingboxProjection

MAX_THINGS = 30  # as many as the networks were trained with; places that are left are told to be empty
FREQUENCIES = 8

Box = tuple[Tensor, int, int, int, int]
"""A thing: its name [D], as a text encoder pools it, and its height, width, y, x in units of the latent."""

_ORDER = {"input_blocks": 0, "down_blocks": 0, "middle_block": 1, "mid_block": 1, "output_blocks": 2, "up_blocks": 2}
_PREFIX = "model.diffusion_model."


class WrongModel(ValueError):
    """A GLIGEN model and a UNet, or a text encoder, that do not belong together."""


class Gligen(nn.Module):
    """The network of a file: what encodes things (`position_net`), and `fusers` in the order of a UNet's blocks."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        from diffusers.models.attention import GatedSelfAttentionDense
        from diffusers.models.embeddings import GLIGENTextBoundingboxProjection

        super().__init__()
        self.position_net: GLIGENTextBoundingboxProjection = GLIGENTextBoundingboxProjection(
            config["name_width"], config["width"], fourier_freqs=FREQUENCIES
        )
        # How many heads they have is the UNet's to say.
        self.fusers = nn.ModuleList(
            [GatedSelfAttentionDense(width, inner, 1, width) for width, inner in config["fusers"]]
        )


def read_gligen_file(path: Path) -> dict[str, Any]:
    """The sizes of the GLIGEN model in a file, by its header alone. Raises UnreadableModel."""
    shapes = read_shapes(path)
    if not places_of(shapes) or not any("position_net." in name for name in shapes):
        raise UnreadableModel(f"{path} holds no GLIGEN model")
    return describing(path, lambda: gligen_config(shapes))


def gligen_config(shapes: Shapes) -> dict[str, Any]:
    """The argument of Gligen. Raises KeyError, IndexError or ValueError for shapes without sense."""
    named = {new: shapes[old] for old, new in names_of(shapes).items()}
    fusers = [named[f"fusers.{i}.linear.weight"] for i in range(len(places_of(shapes)))]
    return {
        "name_width": named["position_net.null_positive_feature"][0],
        "width": named["position_net.linears.4.weight"][0],
        "fusers": [(shape[0], shape[1]) for shape in fusers],
    }


def places_of(names: Iterable[str]) -> list[str]:
    """The transformer blocks that a file has fusers for, in the order of a UNet's blocks, of either layout's names."""
    places = {name.split(".fuser.")[0] for name in names if ".fuser." in name}

    def order(place: str) -> tuple[int, list[int]]:
        inner = place.removeprefix(_PREFIX)
        return _ORDER.get(inner.partition(".")[0], 3), [int(number) for number in re.findall(r"\d{1,6}", inner)]

    return sorted(places, key=order)


def names_of(names: Iterable[str]) -> dict[str, str]:
    """Name in the file → name in Gligen; other names are left out."""
    names = list(names)
    numbers = {place: i for i, place in enumerate(places_of(names))}
    named: dict[str, str] = {}
    for name in names:
        place, found, inner = name.partition(".fuser.")
        if found:
            named[name] = f"fusers.{numbers[place]}.{inner}"
        elif "position_net." in name:
            named[name] = "position_net." + name.split("position_net.")[1]
    return named


def load_gligen(path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """The Gligen of a file, in evaluation mode. Raises UnreadableModel."""
    config = read_gligen_file(path)

    def read() -> dict[str, Tensor]:
        weights = read_weights(path)
        return {new: weights[old] for old, new in names_of(weights).items()}

    return build(path, lambda: Gligen(config), read, device, dtype)


@dataclass(frozen=True, slots=True, eq=False)
class BoxRunner:
    """Things in boxes, at work: what a UNet gets for them, and what it is told at each call.

    size: height and width of the latent that the boxes lie in; None for that of the call.
    """

    gligen: Any
    boxes: Sequence[Box]
    size: tuple[int, int] | None = None
    _attached: dict[int, tuple[nn.Module, nn.Module]] = field(default_factory=dict, init=False, repr=False)

    def attached(self, unet: nn.Module) -> nn.Module:
        """A clone of a UNet2DConditionModel that can be told of things. Raises WrongModel if they do not fit."""
        kept = self._attached.get(id(unet))
        if kept is None:  # the UNet is kept beside its clone, so that its id stays its own
            kept = self._attached[id(unet)] = (unet, attached(unet, self.gligen))
        return kept[1]

    def arguments(self, rows: int, height: int, width: int) -> dict[str, Any]:
        """The `cross_attention_kwargs` that tell the clone, for a batch of so many rows of latents of this size."""
        told = told_of(self.gligen, self.boxes, self.size or (height, width))
        return {"gligen": {name: tensor.expand(rows, *tensor.shape[1:]) for name, tensor in told.items()}}


def attached(unet: nn.Module, gligen: Any) -> nn.Module:
    """A clone of a UNet2DConditionModel with the layers of a Gligen. Raises WrongModel if they do not fit."""
    from diffusers.models.attention import BasicTransformerBlock

    clone: Any = structural_clone(unet)
    named = [(name, module) for name, module in clone.named_modules() if isinstance(module, BasicTransformerBlock)]
    blocks = [module for _, module in sorted(named, key=lambda pair: _ORDER.get(pair[0].partition(".")[0], 3))]
    if len(blocks) != len(gligen.fusers):
        raise WrongModel(f"this GLIGEN model fits UNets of {len(gligen.fusers)} transformers, not of {len(blocks)}")
    for block, fuser in zip(blocks, gligen.fusers, strict=True):
        own: Any = structural_clone(fuser)
        own.attn.heads = block.attn1.heads
        if own.linear.out_features != block.attn1.to_q.in_features:
            raise WrongModel("this GLIGEN model was made for a UNet of another family")
        block.fuser = own
    clone.position_net = gligen.position_net
    return clone


def told_of(gligen: Any, boxes: Sequence[Box], size: tuple[int, int]) -> dict[str, Tensor]:
    """What `position_net` is told of things: [1, MAX_THINGS, …], corners from 0 to 1, places that are left masked out.

    Raises WrongModel for too many things, or for names of another width.
    """
    check_boxes(gligen, boxes)
    like = gligen.position_net.null_positive_feature
    names = like.new_zeros(1, MAX_THINGS, len(like))
    corners, there = like.new_zeros(1, MAX_THINGS, 4), like.new_zeros(1, MAX_THINGS)
    rows, columns = size
    for i, (name, height, width, y, x) in enumerate(boxes):
        names[0, i] = name.reshape(-1).to(names)
        corners[0, i] = torch.tensor([x / columns, y / rows, (x + width) / columns, (y + height) / rows])
        there[0, i] = 1
    return {"boxes": corners, "masks": there, "positive_embeddings": names}


def check_boxes(gligen: Any, boxes: Sequence[Box]) -> None:
    """Raise WrongModel for too many things, or for names of another width than the network wants."""
    if len(boxes) > MAX_THINGS:
        raise WrongModel(f"a picture can have at most {MAX_THINGS} boxes, not {len(boxes)}")
    wanted = len(gligen.position_net.null_positive_feature)
    for name, *_ in boxes:
        if name.shape[-1] != wanted:
            raise WrongModel(f"this GLIGEN model wants names of width {wanted}, not {name.shape[-1]}")
