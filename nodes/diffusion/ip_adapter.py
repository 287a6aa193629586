"""IP-Adapters (Ye et al. 2023, arXiv:2308.06721): a UNet that attends to a picture beside its prompt.

The picture's tokens are fixed inside attention processors of a clone of the UNet, so that the UNet is called as ever.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.diffusion.headers import UnreadableModel
from nodes.diffusion.one_file import Shapes, read_shapes, read_weights

Kind = Literal["plain", "full", "plus"]
"""Which layer of a vision model it looks at: `plain` the projected one, the others the last but one."""

Weights = Mapping[str, Mapping[str, Tensor]]
"""The projection of pictures (`image_proj`) and the layers beside cross-attention (`ip_adapter`)."""

PARTS = ("image_proj", "ip_adapter")
ALWAYS = (math.inf, -math.inf)


class WrongModel(ValueError):
    """An IP-Adapter for models of another family; the message says what does not fit."""


def kind_of(shapes: Shapes) -> Kind | None:
    """Which kind of IP-Adapter a file's names are those of; None if they are of none that is known."""
    if not any(name.startswith("ip_adapter.") and name.endswith(".to_k_ip.weight") for name in shapes):
        return None
    inner = {name.removeprefix("image_proj.") for name in shapes if name.startswith("image_proj.")}
    if "perceiver_resampler.proj_in.weight" in inner:
        return None
    if "proj.weight" in inner:
        return "plain"
    if "proj.3.weight" in inner:
        return "full"
    return "plus" if {"latents", "proj_in.weight", "proj_out.weight"} <= inner else None


def read_ip_adapter_file(path: Path) -> Kind:
    """What kind of IP-Adapter a file holds, by its header alone. Raises UnreadableModel."""
    shapes = read_shapes(path)
    kind = kind_of(shapes)
    if kind is not None:
        return kind
    if any(name.startswith("image_proj.") for name in shapes):
        raise UnreadableModel(f"{path} is an IP-Adapter that looks at faces by other means, which is not supported")
    raise UnreadableModel(f"{path} holds no IP-Adapter")


def load_ip_adapter(path: Path) -> dict[str, dict[str, Tensor]]:
    """The weights of an IP-Adapter by part, mapped. Raises UnreadableModel."""
    read_ip_adapter_file(path)
    weights = read_weights(path)
    return {
        part: {name.removeprefix(f"{part}."): tensor for name, tensor in weights.items() if name.startswith(f"{part}.")}
        for part in PARTS
    }


def apply_ip_adapter(
    clone: Any,
    state_dict: Weights,
    image_embeds: Tensor,
    weight: float,
    negative: Tensor | None = None,
    window: tuple[float, float] = ALWAYS,
) -> None:
    """Have a clone of a UNet2DConditionModel attend to pictures. The processors that it has are kept, inside new ones.

    image_embeds: what a vision model makes of one or more pictures, [n, D], or [n, T, D] for kinds but `plain`.
    negative: the same for rows that avoid; nothing (zeros) if not given. window: the first and the last timestep at
    which the pictures count, both included; the clone tells its layers the timestep by itself.

    Which rows avoid may be told by `cross_attention_kwargs={"ip_adapter_masks": {"rows": rows}}` with rows [B] of 1
    (attend to the pictures) and 0 (avoid); otherwise all rows attend to them. Raises WrongModel, with the clone as it
    was.
    """
    device, dtype = clone.device, clone.dtype
    shown = [torch.zeros_like(image_embeds) if negative is None else negative, image_embeds]
    try:
        project = _projection(clone, state_dict).to(device, dtype)
        with torch.no_grad():
            tokens = [project(each.to(device, dtype)).flatten(0, 1)[None] for each in shown]
        processors = dict(clone.attn_processors)
        crossing = [name for name in processors if name.endswith("attn2.processor")]
        layers = state_dict["ip_adapter"]
        fitted = {
            # The authors number all attention layers through; every second one attends to the prompt.
            name: _tokens_at(clone, name, processors[name], layers, 2 * i + 1, tokens, weight, window)
            for i, name in enumerate(crossing)
        }
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise WrongModel(
            "this IP-Adapter was made for models of another family, or for another vision model"
        ) from error
    clone.set_attn_processor({**processors, **fitted})
    if window != ALWAYS:
        clone.register_forward_pre_hook(_tell_time, with_kwargs=True)


def _tell_time(unet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A UNet's call with its timestep among what its attention processors are told."""
    timestep = kwargs["timestep"] if "timestep" in kwargs else args[1]
    told = dict(kwargs.get("cross_attention_kwargs") or {})
    told["ip_adapter_masks"] = {**(told.get("ip_adapter_masks") or {}), "timestep": torch.as_tensor(timestep)}
    return args, {**kwargs, "cross_attention_kwargs": told}


def _projection(clone: Any, state_dict: Weights) -> nn.Module:
    # The layers begin with random weights, which are replaced at once: global chance is left as it is.
    with torch.random.fork_rng(devices=[]):
        return clone._convert_ip_adapter_image_proj_to_diffusers(
            dict(state_dict["image_proj"]), low_cpu_mem_usage=False
        )


def _tokens_at(
    clone: Any,
    name: str,
    base: Any,
    layers: Mapping[str, Tensor],
    number: int,
    tokens: list[Tensor],
    weight: float,
    window: tuple[float, float],
) -> ImageTokens:
    """The processor of one attention layer."""
    attention = clone.get_submodule(name.removesuffix(".processor"))
    keys, values = (
        [
            _heads(functional.linear(each, layers[f"{number}.{part}.weight"].to(each)), attention.heads)
            for each in tokens
        ]
        for part in ("to_k_ip", "to_v_ip")
    )
    if keys[1].shape[-1] * attention.heads != attention.to_q.out_features:
        raise ValueError("layers of another width")
    return ImageTokens(base, keys, values, weight, window)


def _heads(states: Tensor, heads: int) -> Tensor:
    """[B, T, C] → [B, heads, T, C / heads]."""
    return states.unflatten(-1, (heads, -1)).transpose(1, 2)


class ImageTokens(nn.Module):
    """An attention processor that adds what a layer's queries find in a picture to what another processor gives.

    The output layer is linear, so that adding behind it is the same as adding before it.
    """

    def __init__(
        self, base: Any, keys: list[Tensor], values: list[Tensor], weight: float, window: tuple[float, float] = ALWAYS
    ) -> None:
        super().__init__()
        self.base = base
        self.weight = weight
        self.window = window
        for i, (key, value) in enumerate(zip(keys, values, strict=True)):  # 0 to avoid, 1 to attend to
            self.register_buffer(f"key_{i}", key, persistent=False)
            self.register_buffer(f"value_{i}", value, persistent=False)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        ip_adapter_masks: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Attend to the prompt and the picture; ip_adapter_masks: see `apply_ip_adapter`."""
        told = ip_adapter_masks or {}
        more = {"ip_adapter_masks": told} if isinstance(self.base, ImageTokens) else {}
        output = self.base(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **more)
        if self.weight == 0 or not self._counts(told):
            return output
        query = _heads(attn.to_q(hidden_states), attn.heads)
        seen = self._attend(query, 1)
        if "rows" in told:
            rows = told["rows"].view(-1, 1, 1, 1).to(query)
            seen = seen * rows + self._attend(query, 0) * (1 - rows)
        added = functional.linear(seen.transpose(1, 2).flatten(2), attn.to_out[0].weight)
        return output + self.weight / attn.rescale_output_factor * added

    def _counts(self, told: Mapping[str, Tensor]) -> bool:
        """Whether it counts at this timestep, which all rows of a batch share."""
        first, last = self.window
        return "timestep" not in told or last <= float(told["timestep"].flatten()[0]) <= first

    def _attend(self, query: Tensor, which: int) -> Tensor:
        """What the queries find in the pictures to attend to (1) or to avoid (0)."""
        key, value = (
            tensor.to(query).expand(len(query), -1, -1, -1)
            for tensor in (self.get_buffer(f"key_{which}"), self.get_buffer(f"value_{which}"))
        )
        return functional.scaled_dot_product_attention(query, key, value)
