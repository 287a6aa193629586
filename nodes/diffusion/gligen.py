"""GLIGEN (Li et al. 2023, arXiv:2301.07093): named things in boxes, by gated attention inside a UNet.

The things are fixed inside a clone of the UNet, so that it is called as ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nodes.diffusion.clones import structural_clone
from nodes.diffusion.loading import UnreadableModel
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


def with_boxes(unet: nn.Module, gligen: Any, boxes: Sequence[Box], size: tuple[int, int]) -> nn.Module:
    """A clone of a UNet2DConditionModel that draws the things of `boxes` where they are told to be.

    size: height and width of the latent that the boxes lie in. Raises WrongModel if the networks do not fit.
    """
    from diffusers.models.attention import BasicTransformerBlock

    clone = structural_clone(unet)
    named = [(name, module) for name, module in clone.named_modules() if isinstance(module, BasicTransformerBlock)]
    blocks = [module for _, module in sorted(named, key=lambda pair: _ORDER.get(pair[0].partition(".")[0], 3))]
    if len(blocks) != len(gligen.fusers):
        raise WrongModel(f"this GLIGEN model fits UNets of {len(gligen.fusers)} transformers, not of {len(blocks)}")
    things = things_in(gligen.position_net, boxes, size)
    for block, fuser in zip(blocks, gligen.fusers, strict=True):
        own: Any = structural_clone(fuser)
        own.attn.heads = block.attn1.heads
        if own.linear.out_features != block.attn1.to_q.in_features:
            raise WrongModel("this GLIGEN model was made for a UNet of another family")
        block.fuser = own
        block.register_forward_pre_hook(_Telling(things), with_kwargs=True)
    return clone


def things_in(position_net: Any, boxes: Sequence[Box], size: tuple[int, int]) -> Tensor:
    """The encoded things [1, MAX_THINGS, width]. Raises WrongModel for too many, or names of another width."""
    if len(boxes) > MAX_THINGS:
        raise WrongModel(f"a picture can have at most {MAX_THINGS} boxes, not {len(boxes)}")
    weight = position_net.null_positive_feature
    names = torch.zeros(1, MAX_THINGS, len(weight), device=weight.device, dtype=weight.dtype)
    corners = names.new_zeros(1, MAX_THINGS, 4)
    there = names.new_zeros(1, MAX_THINGS)
    rows, columns = size
    for i, (name, height, width, y, x) in enumerate(boxes):
        if name.shape[-1] != len(weight):
            raise WrongModel(f"this GLIGEN model wants names of width {len(weight)}, not {name.shape[-1]}")
        names[0, i] = name.reshape(-1).to(names)
        corners[0, i] = torch.tensor([x / columns, y / rows, (x + width) / columns, (y + height) / rows])
        there[0, i] = 1
    with torch.no_grad():
        return position_net(boxes=corners, masks=there, positive_embeddings=names)


class _Telling:
    """Tells a transformer block of the things, as if the UNet's caller had."""

    def __init__(self, things: Tensor) -> None:
        self.things = things

    def __call__(self, block: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        batch = len(args[0] if args else kwargs["hidden_states"])
        told = {**(kwargs.get("cross_attention_kwargs") or {}), "gligen": {"objs": self.things.expand(batch, -1, -1)}}
        return args, {**kwargs, "cross_attention_kwargs": told}

    def __deepcopy__(self, memo: Any) -> _Telling:
        return self  # clones of the clone tell the same
