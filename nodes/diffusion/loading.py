"""Models from folders in diffusers' layout: what a folder holds, and its parts as modules.

Only safetensors files are read, and nothing is ever fetched: a folder either holds what it needs or is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
}
CLASSES = {"unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}


class UnreadableModel(ValueError):
    """A model folder that cannot be used; the message says which file, and why."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a model's noise was scheduled in training."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    steps: int = 1000
    kind: str = "scaled_linear"
    prediction: str = "epsilon"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises UnreadableModel."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnreadableModel(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise UnreadableModel(f"{path} is not readable JSON ({error})") from error
    if not isinstance(data, dict):
        raise UnreadableModel(f"{path} should hold a JSON object")
    return data


def check_folder(folder: Path) -> None:
    """Look at what a model folder says it is, before any weights are read. Raises UnreadableModel."""
    if not (folder / "model_index.json").is_file():
        raise UnreadableModel(f"{folder} has no model_index.json, so it is no diffusers folder")
    for part, stem in WEIGHTS.items():
        config = read_json(folder / part / "config.json")
        wanted = CLASSES.get(part)
        if wanted is not None and config.get("_class_name") != wanted:
            raise UnreadableModel(f"{folder / part} is a {config.get('_class_name')}, not a {wanted}")
        if not list((folder / part).glob(f"{stem}*.safetensors")):
            others = sorted(file.name for file in (folder / part).glob("*.bin"))
            why = f"; {others[0]} may run code when read and is not used" if others else ""
            raise UnreadableModel(f"{folder / part} has no {stem}.safetensors{why}")


def read_schedule(folder: Path) -> Schedule:
    """The noise schedule of a model folder. Raises UnreadableModel for one that is not built of betas."""
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        return Schedule()
    config = read_json(path)
    schedule = Schedule(
        float(config.get("beta_start", 0.00085)),
        float(config.get("beta_end", 0.012)),
        int(config.get("num_train_timesteps", 1000)),
        str(config.get("beta_schedule", "scaled_linear")),
        str(config.get("prediction_type", "epsilon")),
    )
    if schedule.kind not in ("scaled_linear", "linear"):
        raise UnreadableModel(f"{path}: beta_schedule {schedule.kind!r} is not known")
    if schedule.prediction not in ("epsilon", "v_prediction"):
        raise UnreadableModel(f"{path}: prediction_type {schedule.prediction!r} is not known")
    return schedule


def read_scaling_factor(folder: Path) -> float:
    """What latents are multiplied by on the way into the UNet."""
    return float(read_json(folder / "vae" / "config.json").get("scaling_factor", 0.18215))


def load_part(folder: Path, part: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """One module of a model folder, in evaluation mode: `unet`, `vae` or `text_encoder`.

    Raises UnreadableModel when its files do not fit together.
    """
    import torch

    quiet_libraries()
    # diffusers would ask for the package accelerate otherwise; transformers has no such option.
    extra = {"low_cpu_mem_usage": False} if part in CLASSES else {}
    try:
        module: nn.Module = _model_class(part).from_pretrained(
            str(folder), subfolder=part, local_files_only=True, use_safetensors=True, torch_dtype=dtype, **extra
        )
    except Exception as error:
        raise UnreadableModel(f"{folder / part} cannot be loaded: {first_line(error)}") from error
    module = module.to(device).eval().requires_grad_(False)
    return module.to(memory_format=torch.channels_last) if part in CLASSES else module


def _model_class(part: str) -> Any:
    if part == "unet":
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

        return UNet2DConditionModel
    if part == "vae":
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

        return AutoencoderKL
    from transformers import CLIPTextModel

    return CLIPTextModel


def load_tokenizer(folder: Path) -> Any:
    """The CLIPTokenizer of a model folder. Raises UnreadableModel."""
    from transformers import CLIPTokenizer

    quiet_libraries()
    try:
        return CLIPTokenizer.from_pretrained(str(folder), subfolder="tokenizer", local_files_only=True)
    except Exception as error:
        raise UnreadableModel(f"{folder / 'tokenizer'} cannot be loaded: {first_line(error)}") from error


def quiet_libraries() -> None:
    """Keep loading bars and advice of the model libraries off the terminal; their errors are raised anyway."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def first_line(error: BaseException) -> str:
    """The beginning of a library's message; the rest tends to be advice about downloads."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def module_bytes(module: Any) -> int:
    """Bytes of a module's parameters and buffers."""
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
