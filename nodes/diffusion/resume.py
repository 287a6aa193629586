"""Sampling that is stopped in the middle and ends, in another process, in the very same latent.

What a sampler's loop depends on is handed out by its callback once a step: the latent, what the model sees behind it,
the memory of a multistep method, and the state of the noise. It is kept as plain numbers and tensors, with a
fingerprint of all that the sampler was called with; a state with another fingerprint is not looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from nodes.diffusion.noise import StepNoise
from nodes.diffusion.samplers import Callback, Start, Step

FORMAT = 2
"""Goes up when a sampler's memory, or the state below, changes its meaning."""


class Keeper(Protocol):
    """Who keeps the state: a `Context`'s checkpoint, or a stand-in."""

    def load(self) -> object | None: ...

    def due(self) -> bool: ...

    def save(self, state: object) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Resumed:
    """A step to go on from: its latent `x`, what the model gave for it, and where the sampler is to start."""

    x: Tensor
    denoised: Tensor
    start: Start
    unconditional: Tensor | None = None


def fingerprint(sampler: str, x: Tensor, sigmas: Tensor, seed: int, options: Mapping[str, object]) -> str:
    """Names one sampling: two with one fingerprint and one model take the same steps.

    `x` is the latent that it begins with; a device of another kind, or another torch, rounds otherwise.
    """
    hasher = hashlib.sha256()
    facts = (FORMAT, torch.__version__, sampler, sigmas.tolist(), seed, sorted(options.items()))
    place = (tuple(x.shape), str(x.dtype), x.device.type)
    hasher.update(repr((*facts, *place)).encode())
    hasher.update(x.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def keeping(callback: Callback, keeper: Keeper, mark: str, noise: StepNoise | None) -> Callback:
    """The callback of a sampling `mark` (its fingerprint), which also keeps the state of a step when that is due.

    When `callback` ends the sampling, its last state is kept at once: nothing that was drawn is lost.
    """

    def keep(step: Step) -> None:
        keeper.save(_state_of(step, mark, noise))

    def call(step: Step) -> None:
        try:
            callback(step)
        except BaseException:
            keep(step)
            raise
        if keeper.due():
            keep(step)

    return call


def resume(keeper: Keeper, mark: str, x: Tensor, steps: int | None, noise: StepNoise | None) -> Resumed | None:
    """The step that the sampling `mark` came to, its tensors where `x` is; `noise` goes on from there.

    `steps` is how many there are, None where nobody knows beforehand. Gives None, and leaves `noise` as it was, if
    nothing fitting was kept.
    """
    state = keeper.load()
    if not isinstance(state, Mapping) or state.get("mark") != mark:
        return None
    try:
        i, memory = state["i"], _thaw(state["memory"], x.device)
        found, denoised, unconditional = (_thaw(state[name], x.device) for name in ("x", "denoised", "unconditional"))
        if type(i) is not int or i < 0 or (steps is not None and i >= steps) or not isinstance(memory, tuple):
            return None
        tensors = (found, denoised) if unconditional is None else (found, denoised, unconditional)
        if any(tensor.shape != x.shape or tensor.dtype != x.dtype for tensor in tensors):
            return None
        if noise is not None:
            noise.restore(state["noise"])
    except (KeyError, ValueError, TypeError, AttributeError):  # whoever wrote this, it was not `keeping`
        return None
    return Resumed(found, denoised, Start(i, memory), unconditional)


def _state_of(step: Step, mark: str, noise: StepNoise | None) -> dict[str, object]:
    return {
        "mark": mark,
        "i": step.i,
        "x": _freeze(step.x),
        "denoised": _freeze(step.denoised),
        "unconditional": _freeze(step.unconditional),
        "memory": _freeze(step.memory),
        "noise": None if noise is None else noise.state(),
    }


def _freeze(value: Any) -> object:
    """A value with its tensors as (tensor, strides): some kernels round otherwise for another order in memory."""
    if isinstance(value, Tensor):
        return {"tensor": value, "strides": list(value.stride())}
    if isinstance(value, tuple):
        return tuple(_freeze(item) for item in value)
    return value


def _thaw(value: Any, device: torch.device) -> Any:
    """What `_freeze` was given, its tensors on `device` and laid out as they were. Raises KeyError, TypeError."""
    if isinstance(value, Mapping):
        return _laid_out(value["tensor"].to(device), value["strides"])
    if isinstance(value, tuple):
        return tuple(_thaw(item, device) for item in value)
    return value


def _laid_out(tensor: Tensor, strides: list[int]) -> Tensor:
    span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, strides, strict=True))
    if list(tensor.stride()) == strides or span != tensor.numel():  # the same, or with gaps or overlaps
        return tensor
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device=tensor.device).copy_(tensor)
