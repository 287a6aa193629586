"""`comfy.model_management` of ComfyUI's interface, as far as nodegraph has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodegraph.comfy_compat.current import Interrupted, this_context

if TYPE_CHECKING:
    import torch

#: Raised inside a node when its run is to stop; a node that raises it by itself ends the run.
InterruptProcessingException = Interrupted


def get_torch_device() -> torch.device:
    """The device that models run on."""
    from nodes.diffusion.devices import pick_device

    return pick_device(this_context().device)


def intermediate_device() -> torch.device:
    """Where pictures and latents between nodes are."""
    import torch

    return torch.device("cpu")


def throw_exception_if_processing_interrupted() -> None:
    """Stop here if the run was cancelled."""
    if processing_interrupted():
        raise InterruptProcessingException


def processing_interrupted() -> bool:
    """Whether the run was cancelled."""
    token = this_context().token
    return token is not None and token.cancelled


def soft_empty_cache(force: bool = False) -> None:
    """Give memory back that nobody uses."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
