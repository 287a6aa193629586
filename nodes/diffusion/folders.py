"""Models in folders of diffusers' layout: what a folder holds, and whether its parts belong together.

Only safetensors files are read, and nothing is ever fetched: a folder either holds what it needs or is refused.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodes.diffusion.headers import UnreadableModel, read_header
from nodes.diffusion.loading import Blueprint, first_line, quiet_libraries

#: What the weights of each part are called, without the suffix.
WEIGHTS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
KINDS = {
    "unet": ("_class_name", "UNet2DConditionModel"),
    "vae": ("_class_name", "AutoencoderKL"),
    "text_encoder": ("model_type", "clip_text_model"),
    "text_encoder_2": ("model_type", "clip_text_model"),
}
#: The folder of a text encoder's tokenizer.
TOKENIZERS = {"text_encoder": "tokenizer", "text_encoder_2": "tokenizer_2"}
# Keys by which a folder asks for Python code of its own to be run.
CODE_KEYS = ("auto_map", "trust_remote_code", "custom_pipeline", "custom_pipelines")
MAX_JSON_BYTES = 32 << 20
MAX_TRAINING_STEPS = 100_000


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


def parts_of(folder: Path) -> tuple[str, ...]:
    """The parts that a model folder has: a UNet, a VAE, and one or two text encoders. Raises UnreadableModel."""
    if not (folder / "model_index.json").is_file():
        raise UnreadableModel(f"{folder} has no model_index.json, so it is no diffusers folder")
    index = read_json(folder / "model_index.json")
    second = bool(any(index.get("text_encoder_2") or ()))
    first = bool(any(index.get("text_encoder") or ())) or not second
    texts = [part for part, there in (("text_encoder", first), ("text_encoder_2", second)) if there]
    return ("unet", "vae", *texts)


def check_folder(folder: Path) -> None:
    """Look at what a model folder says it is, before any weights are read. Raises UnreadableModel."""
    configs: dict[str, dict[str, Any]] = {}
    for part in parts_of(folder):
        configs[part] = config = read_json(folder / part / "config.json")
        key, wanted = KINDS[part]
        if config.get(key) != wanted:
            raise UnreadableModel(f"{folder / part} is a {config.get(key)}, not a {wanted}")
        for file in weight_files(folder / part, WEIGHTS[part]).files:
            read_header(file)
        if part in TOKENIZERS:
            check_tokenizer(folder / TOKENIZERS[part])
    _check_fit(folder, configs)


def _check_fit(folder: Path, configs: dict[str, dict[str, Any]]) -> None:
    """Whether the parts belong to one model."""
    unet, channels = configs["unet"], configs["vae"].get("latent_channels", 4)
    given, drawn = unet.get("in_channels", 4), unet.get("out_channels", 4)
    # Beside the latent there may be another one, of a picture to edit, and a mask.
    if drawn != channels or given not in (channels, 2 * channels, 2 * channels + 1):
        raise UnreadableModel(
            f"{folder}: the UNet takes {given} channels and gives {drawn}, where the VAE's latents have {channels}"
        )
    wanted = unet.get("cross_attention_dim")
    texts = sum(configs[part].get("hidden_size", 512) for part in TOKENIZERS if part in configs)
    if isinstance(wanted, int) and wanted != texts:
        raise UnreadableModel(f"{folder}: the UNet wants text of width {wanted}, the text encoder gives {texts}")


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


def blueprint(folder: Path, part: str) -> Blueprint:
    """How a part of a model folder is made. Raises UnreadableModel."""
    place = folder / part
    config = read_json(place / "config.json")
    files = weight_files(place, WEIGHTS[part]).files
    kind = KINDS[part][1]
    if part in TOKENIZERS:
        projects = any("text_projection.weight" in read_header(file).tensors for file in files)
        kind = "CLIPTextModelWithProjection" if projects else "CLIPTextModel"
    return Blueprint(str(place), kind, config, files, lambda weights: weights)


def load_tokenizer(folder: Path, part: str = "text_encoder") -> Any:
    """The CLIPTokenizer of a model folder's text encoder. Raises UnreadableModel."""
    from transformers import CLIPTokenizer

    quiet_libraries()
    place = folder / TOKENIZERS[part]
    check_tokenizer(place)
    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), subfolder=TOKENIZERS[part], local_files_only=True)
    except Exception as error:
        raise UnreadableModel(f"{place} cannot be loaded: {first_line(error)}") from error
    known = read_json(folder / part / "config.json").get("vocab_size", 49408)
    if max(tokenizer.get_vocab().values()) >= known:
        raise UnreadableModel(f"{place} has more tokens than the text encoder's {known}")
    return tokenizer
