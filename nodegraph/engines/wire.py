"""Values on their way to a worker or back: a JSON structure, and the bytes of tensors beside it; never a pickle.

Plain values go as they do into files (`sockets.packing`). Models and what steers a sampling are recipes, and go field
by field; weights never travel. A tensor is a view of its bytes, whatever its number format, with format and shape
beside it, so that nothing is copied here and bfloat16 needs no help from numpy.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from nodegraph.engines.contract import Buffer
from nodegraph.sockets.handles import (
    Clip,
    ClipVision,
    ControlNet,
    Gligen,
    IPAdapter,
    Model,
    Patch,
    StyleModel,
    UpscaleModel,
    Vae,
)
from nodegraph.sockets.packing import FORMATS, BadFile, Kinds, Unstorable, pack, unpack
from nodegraph.sockets.steering import Control, Guider, LatentOperation, Noise, Sampler

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class From:
    """Stands for what an earlier step of the same call gives: output number `output` of step number `step`."""

    step: int
    output: int


#: What travels field by field, by name.
KINDS: Final[Kinds] = {
    kind.__name__: kind
    for kind in (
        *(Model, Clip, Vae, ControlNet, ClipVision, StyleModel, Gligen, IPAdapter, UpscaleModel, Patch),
        *(Sampler, Noise, LatentOperation, Guider, Control),
        From,
    )
}


class Wired(NamedTuple):
    """A value ready to travel: its structure, format and shape of each tensor, and their bytes."""

    structure: str
    tensors: list[tuple[str, list[int]]]
    buffers: list[Buffer]


def to_wire(value: object) -> Wired:
    """A value as it travels. Raises Unstorable for one that cannot."""
    structure, tensors = pack(value, KINDS)
    wired = Wired(structure, [], [])
    for number in range(len(tensors)):
        tensor = tensors[str(number)]
        wired.tensors.append((str(tensor.dtype).removeprefix("torch."), list(tensor.shape)))
        wired.buffers.append(_bytes_of(tensor))
    return wired


def from_wire(structure: str, tensors: Sequence[Sequence[Any]], buffers: Sequence[Buffer]) -> object:
    """The value again; its tensors lie in `buffers` where those may be written to. Raises BadFile for anything that
    `to_wire` did not make."""
    if len(tensors) > len(buffers):
        raise BadFile(f"there are bytes of {len(buffers)} tensors for {len(tensors)}")
    found = {str(i): _tensor(each, buffers[i]) for i, each in enumerate(tensors)}
    return unpack(structure, found, KINDS)


def wired_data(wired: Wired) -> dict[str, object]:
    """What of a wired value goes into a message."""
    return {"structure": wired.structure, "tensors": wired.tensors}


def value_of(data: Mapping[str, object], buffers: Sequence[Buffer]) -> object:
    """The value that `wired_data` and the buffers tell. Raises BadFile."""
    structure, tensors = data.get("structure"), data.get("tensors")
    if not isinstance(structure, str) or not isinstance(tensors, list | tuple):
        raise BadFile("there is no value in the message")
    return from_wire(structure, cast("Sequence[Sequence[Any]]", tensors), buffers)


def _bytes_of(tensor: Tensor) -> Buffer:
    """The bytes of a tensor, row by row; a view if they lie so already."""
    import torch

    try:
        flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return cast(Buffer, flat.view(torch.uint8).numpy())
    except RuntimeError as error:
        raise Unstorable(f"tensors on {tensor.device} do not travel: {error}") from error


def _tensor(told: Sequence[Any], buffer: Buffer) -> Tensor:
    """A tensor of some bytes. Bytes that must not be written to are copied: torch would not know."""
    import torch

    try:
        format_, shape = told
        if format_ not in FORMATS:
            raise BadFile(f"there is no number format {format_!r}")
        dtype = getattr(torch, format_)
        view = memoryview(cast(Any, buffer)).cast("B")
        if not view.nbytes:
            return torch.empty(0, dtype=dtype).reshape(shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bytes that are read-only
            flat = torch.frombuffer(view, dtype=torch.uint8)
        return (flat.clone() if view.readonly else flat).view(dtype).reshape(shape)
    except (ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise BadFile(f"a tensor is damaged: {error}") from error
