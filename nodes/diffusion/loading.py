"""Models from folders in diffusers' layout: what a folder holds, and its parts as modules.

Only safetensors files are read, and nothing is ever fetched: a folder either holds what it needs or is refused.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Hashable, Sequence
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
KINDS = {
    "unet": ("_class_name", "UNet2DConditionModel"),
    "vae": ("_class_name", "AutoencoderKL"),
    "text_encoder": ("model_type", "clip_text_model"),
}
# Keys by which a folder asks for Python code of its own to be run.
CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipeline", "custom_pipelines")
MAX_JSON_BYTES = 32 << 20
MAX_TRAINING_STEPS = 100_000
# The libraries import themselves piece by piece, and two threads at it at once may meet a half-made module.
_IMPORTING = threading.Lock()


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


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The safetensors files of one part of a model; `variant` is what stands between name and suffix (`fp16`)."""

    files: tuple[Path, ...]
    variant: str | None = None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file that asks for no code to be run. Raises UnreadableModel."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise UnreadableModel(f"{path} is too large for a configuration")
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnreadableModel(f"{path} is missing") from error
    except RecursionError as error:
        raise UnreadableModel(f"{path} is nested too deeply") from error
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableModel):
            raise
        raise UnreadableModel(f"{path} is not readable JSON ({error})") from error
    if not isinstance(data, dict):
        raise UnreadableModel(f"{path} should hold a JSON object")
    asked = [key for key in CODE_KEYS if data.get(key)]
    if asked:
        raise UnreadableModel(f"{path} asks for code of its own to be run ({asked[0]}), which nodegraph never does")
    return data


def check_folder(folder: Path) -> None:
    """Look at what a model folder says it is, before any weights are read. Raises UnreadableModel."""
    if not (folder / "model_index.json").is_file():
        raise UnreadableModel(f"{folder} has no model_index.json, so it is no diffusers folder")
    index = read_json(folder / "model_index.json")
    if any(index.get("text_encoder_2") or ()):
        raise UnreadableModel(f"{folder} is a model with two text encoders, which is not supported")
    configs: dict[str, dict[str, Any]] = {}
    for part, stem in WEIGHTS.items():
        configs[part] = config = read_json(folder / part / "config.json")
        key, wanted = KINDS[part]
        if config.get(key) != wanted:
            raise UnreadableModel(f"{folder / part} is a {config.get(key)}, not a {wanted}")
        for file in weight_files(folder / part, stem).files:
            check_safetensors(file)
    check_tokenizer(folder / "tokenizer")
    _check_fit(folder, configs)


def _check_fit(folder: Path, configs: dict[str, dict[str, Any]]) -> None:
    """Whether the parts belong to one model."""
    unet, channels = configs["unet"], configs["vae"].get("latent_channels", 4)
    if (unet.get("in_channels", 4), unet.get("out_channels", 4)) != (channels, channels):
        raise UnreadableModel(
            f"{folder}: the UNet takes {unet.get('in_channels')} channels and gives {unet.get('out_channels')}, "
            f"where the VAE's latents have {channels}"
        )
    wanted, given = unet.get("cross_attention_dim"), configs["text_encoder"].get("hidden_size", 512)
    if isinstance(wanted, int) and wanted != given:
        raise UnreadableModel(f"{folder}: the UNet wants text of width {wanted}, the text encoder gives {given}")


def weight_files(part: Path, stem: str) -> WeightFiles:
    """The weights in a part's folder: one file, shards named by an index, or half-precision ones.

    Raises UnreadableModel if there are none in safetensors, or an index names files elsewhere.
    """
    single, index, half = (
        part / f"{stem}{end}" for end in (".safetensors", ".safetensors.index.json", ".fp16.safetensors")
    )
    if single.is_file():
        return WeightFiles((single,))
    if index.is_file():
        shards = read_json(index).get("weight_map")
        names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
        for name in names:
            if "/" in name or "\\" in name or not name.endswith(".safetensors") or not (part / name).is_file():
                raise UnreadableModel(f"{index} names {name!r}, which is no safetensors file beside it")
        if names:
            return WeightFiles(tuple(part / name for name in names))
    if half.is_file():
        return WeightFiles((half,), "fp16")
    others = sorted(file.name for file in part.glob("*.bin"))
    why = f"; {others[0]} may run code when read and is not used" if others else ""
    raise UnreadableModel(f"{part} has no {stem}.safetensors{why}")


def check_safetensors(path: Path) -> None:
    """Look at a file's header: is it safetensors, and all there? Raises UnreadableModel."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np"):
            return
    except (SafetensorError, OSError) as error:
        if _starts_like_pickle(path):
            raise UnreadableModel(
                f"{path} is a pickle under another name; it may run code when read and is not used"
            ) from error
        raise UnreadableModel(f"{path} is damaged, cut short, or no safetensors file ({first_line(error)})") from error


def _starts_like_pickle(path: Path) -> bool:
    """Whether a file that is no safetensors begins as pickles, and the zip archives around them, do."""
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError:
        return False
    return start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"))


def check_tokenizer(folder: Path) -> None:
    """Whether a tokenizer's files are there. Raises UnreadableModel."""
    present = {name for name in ("tokenizer.json", "vocab.json", "merges.txt") if (folder / name).is_file()}
    if "tokenizer.json" not in present and not {"vocab.json", "merges.txt"} <= present:
        raise UnreadableModel(f"{folder} has neither tokenizer.json nor vocab.json and merges.txt")
    if (folder / "tokenizer_config.json").is_file():
        read_json(folder / "tokenizer_config.json")


def read_schedule(folder: Path) -> Schedule:
    """The noise schedule of a model folder. Raises UnreadableModel for one that is not built of betas."""
    path = folder / "scheduler" / "scheduler_config.json"
    if not path.is_file():
        return Schedule()
    config = read_json(path)
    schedule = Schedule(
        _number(path, config, "beta_start", 0.00085),
        _number(path, config, "beta_end", 0.012),
        int(_number(path, config, "num_train_timesteps", 1000)),
        str(config.get("beta_schedule", "scaled_linear")),
        str(config.get("prediction_type", "epsilon")),
    )
    if schedule.kind not in ("scaled_linear", "linear"):
        raise UnreadableModel(f"{path}: beta_schedule {schedule.kind!r} is not known")
    if schedule.prediction not in ("epsilon", "v_prediction"):
        raise UnreadableModel(f"{path}: prediction_type {schedule.prediction!r} is not known")
    if not 0 < schedule.beta_start <= schedule.beta_end < 1:
        raise UnreadableModel(f"{path}: betas from {schedule.beta_start} to {schedule.beta_end} are no noise schedule")
    if not 2 <= schedule.steps <= MAX_TRAINING_STEPS:
        raise UnreadableModel(f"{path}: num_train_timesteps {schedule.steps} is not 2 … {MAX_TRAINING_STEPS}")
    return schedule


def read_scaling_factor(folder: Path) -> float:
    """What latents are multiplied by on the way into the UNet. Raises UnreadableModel."""
    path = folder / "vae" / "config.json"
    scale = _number(path, read_json(path), "scaling_factor", 0.18215)
    if scale <= 0:
        raise UnreadableModel(f"{path}: scaling_factor {scale} is not above 0")
    return scale


def read_preview(folder: Path) -> tuple[list[list[float]], list[float]] | None:
    """The model's own latent → RGB map: factors [C, 3] and bias [3]; None if it brings none. Raises UnreadableModel."""
    path = folder / "preview.json"
    if not path.is_file():
        return None
    data = read_json(path)
    factors: Any = data.get("factors")
    channels = read_json(folder / "vae" / "config.json").get("latent_channels", 4)
    rows: list[Any] = [*factors, data.get("bias")] if isinstance(factors, list) else []
    if len(rows) != channels + 1 or not all(_is_colour(row) for row in rows):
        raise UnreadableModel(f"{path} should hold {channels} rows of 3 numbers (factors) and one more (bias)")
    return rows[:-1], rows[-1]


def _is_colour(row: object) -> bool:
    return isinstance(row, list) and len(row) == 3 and all(isinstance(x, int | float) for x in row)


def _number(path: Path, config: dict[str, Any], key: str, default: float) -> float:
    value = config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnreadableModel(f"{path}: {key} should be a number, not {value!r:.60}")
    return float(value)


def load_part(folder: Path, part: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """One module of a model folder, in evaluation mode: `unet`, `vae` or `text_encoder`.

    On the CPU, weights that are stored as `dtype` stay in their files, mapped into memory: the files must not be
    written to as long as the module lives (see `weights_stamp`). Every weight comes from the folder's files: raises
    UnreadableModel when one is missing or has another shape.
    """
    from nodes.diffusion.weights import build_hollow, fill, map_files

    quiet_libraries()
    place = folder / part
    files = weight_files(place, WEIGHTS[part]).files
    read_json(place / "config.json")  # which must not ask for code
    try:
        module = build_hollow(lambda: _unfilled(place, part))
        misfits = fill(module, map_files(files), device, dtype)
    except UnreadableModel:
        raise
    except Exception as error:
        raise UnreadableModel(f"{place} cannot be loaded: {first_line(error)}") from error
    _complain(place, misfits.missing, "are missing")
    _complain(place, misfits.misshapen, "have another shape than config.json says")
    return module.eval().requires_grad_(False)


def _complain(part: Path, weights: Sequence[str], what: str) -> None:
    """Raise UnreadableModel for weights that would have to be made up."""
    if weights:
        names = sorted(weights)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise UnreadableModel(f"{part}: weights {what}: {', '.join(names[:3])}{more}")


def _unfilled(folder: Path, part: str) -> Any:
    """The module that a part's configuration describes, with whatever weights its library begins with."""
    with _IMPORTING:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
        from transformers import CLIPTextConfig, CLIPTextModel
    if part == "text_encoder":
        # A configuration may name an implementation of attention that transformers would fetch, unless told another.
        config = CLIPTextConfig.from_pretrained(str(folder), local_files_only=True, attn_implementation="sdpa")
        return CLIPTextModel(config)
    return {"unet": UNet2DConditionModel, "vae": AutoencoderKL}[part].from_config(read_json(folder / "config.json"))


def weights_stamp(folder: Path, part: str) -> str:
    """What tells whether the weights of a part were written to since: inode, size and times of their files.

    A mapped module changes with its files, so that its place in a pool is named by this as well as by its digest.
    Raises UnreadableModel.
    """
    try:
        stats = [file.stat() for file in weight_files(folder / part, WEIGHTS[part]).files]
    except OSError as error:
        raise UnreadableModel(f"{folder / part} cannot be read: {error.strerror}") from error
    return ",".join(f"{s.st_dev}:{s.st_ino}:{s.st_size}:{s.st_mtime_ns}:{s.st_ctime_ns}" for s in stats)


def estimate_bytes(folder: Path, part: str, dtype: torch.dtype) -> int:
    """Bytes that a part will take as `dtype`, from the headers of its files; 0 if they cannot be read."""
    from safetensors import SafetensorError, safe_open

    total = 0
    try:
        for file in weight_files(folder / part, WEIGHTS[part]).files:
            with safe_open(str(file), framework="pt") as opened:
                total += sum(math.prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118 (it is no mapping)
    except (UnreadableModel, SafetensorError, OSError):
        return 0
    return total * dtype.itemsize


def load_tokenizer(folder: Path) -> Any:
    """The CLIPTokenizer of a model folder. Raises UnreadableModel."""
    from transformers import CLIPTokenizer

    quiet_libraries()
    check_tokenizer(folder / "tokenizer")
    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), subfolder="tokenizer", local_files_only=True)
    except Exception as error:
        raise UnreadableModel(f"{folder / 'tokenizer'} cannot be loaded: {first_line(error)}") from error
    known = read_json(folder / "text_encoder" / "config.json").get("vocab_size", 49408)
    if max(tokenizer.get_vocab().values()) >= known:
        raise UnreadableModel(f"{folder / 'tokenizer'} has more tokens than the text encoder's {known}")
    return tokenizer


def quiet_libraries() -> None:
    """Keep loading bars and advice of the model libraries off the terminal; their errors are raised anyway."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def first_line(error: BaseException) -> str:
    """The beginning of a library's message; the rest tends to be advice about downloads."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(":"):
        lines[0] += " " + lines[1]
    return lines[0][:300] if lines else type(error).__name__


def module_pieces(module: Any) -> dict[Hashable, int]:
    """Where a module's parameters and buffers lie → bytes there; modules that share weights share such pieces.

    True as long as the module lives: afterwards something else may lie there.
    """
    storages = [tensor.untyped_storage() for tensor in (*module.parameters(), *module.buffers())]
    return {(str(storage.device), storage.data_ptr()): storage.nbytes() for storage in storages if storage.nbytes()}
