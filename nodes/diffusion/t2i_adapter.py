"""T2I-Adapters (Mou et al. 2023, arXiv:2302.08453): which one a file holds, by its names and shapes."""

from __future__ import annotations

from nodes.diffusion.one_file import Shapes, count

#: Channels that the first layer sees → (channels of the picture, pixels folded into one place, per side).
_FOLDED = {64: (1, 8), 192: (3, 8), 256: (1, 16), 768: (3, 16)}
_DIFFUSERS = "adapter."


def is_t2i_adapter(shapes: Shapes) -> bool:
    """Whether a file's names are those of a T2I-Adapter, in the layout of its authors or of diffusers."""
    inner = {name.removeprefix(_DIFFUSERS) for name in shapes}
    full = {"conv_in.weight"} & inner and {"body.0.block1.weight", "body.0.resnets.0.block1.weight"} & inner
    light = "body.0.in_conv.weight" in inner and "body.0.out_conv.weight" in inner
    return bool(full) or light


def t2i_config(shapes: Shapes) -> dict[str, object]:
    """The arguments of diffusers' T2IAdapter. Raises KeyError, IndexError or ValueError for shapes without sense."""
    named = {new: shapes[old] for old, new in t2i_names(shapes).items()}
    body = f"{_DIFFUSERS}body."
    stages = count(named, body)
    blocks = count(named, f"{body}0.resnets.")
    light = f"{body}0.out_conv.weight" in named
    first = named[f"{body}0.in_conv.weight" if light else f"{_DIFFUSERS}conv_in.weight"][1]
    if first not in _FOLDED:
        raise ValueError(f"a picture folded into {first} channels")
    colours, factor = _FOLDED[first]
    last = "out_conv" if light else "resnets.0.block2"
    channels = [named[f"{body}{i}.{last}.weight"][0] for i in range(stages)]
    kind = "light_adapter" if light else "full_adapter_xl" if factor == 16 else "full_adapter"
    return {
        "in_channels": colours,
        "channels": channels[:-1] if light else channels,  # a light one has its last stage twice
        "num_res_blocks": blocks,
        "downscale_factor": factor,
        "adapter_type": kind,
    }


def t2i_names(shapes: Shapes) -> dict[str, str]:
    """Name in the file → name in diffusers' T2IAdapter.

    The authors number the residual blocks of a full adapter through; each stage that widens begins with an `in_conv`,
    so that the first of those tells how many blocks a stage has. A light adapter has its blocks by stage already.
    """
    plain = {name: name.removeprefix(_DIFFUSERS) for name in shapes}
    inner = set(plain.values())
    if "body.0.block1.weight" in inner:
        flat = count(dict.fromkeys(inner, ()), "body.")
        blocks = next((i for i in range(1, flat) if f"body.{i}.in_conv.weight" in inner), 2)
        return {name: _DIFFUSERS + _staged(old, blocks) for name, old in plain.items()}
    return {name: _DIFFUSERS + _renamed(old) for name, old in plain.items()}


def _staged(name: str, blocks: int) -> str:
    part, _, rest = name.partition(".")
    number, _, inner = rest.partition(".")
    if part != "body" or not number.isdecimal():
        return name
    stage, i = divmod(int(number), blocks)
    return f"body.{stage}.{inner}" if inner.startswith("in_conv.") else f"body.{stage}.resnets.{i}.{inner}"


def _renamed(name: str) -> str:
    """`body.0.body.1.block1` of a light adapter is `body.0.resnets.1.block1` in diffusers."""
    parts = name.split(".")
    if len(parts) > 3 and parts[0] == parts[2] == "body":
        parts[2] = "resnets"
    return ".".join(parts)
