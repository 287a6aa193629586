"""What a checkpoint predicts: told by a configuration beside it, its metadata, or marks that trainers leave in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodes.diffusion.headers import Header, UnreadableModel

MAX_BYTES = 1 << 20
SUFFIXES = (".yaml", ".yml", ".json")
_NAMES = {"v": "v_prediction", "v_prediction": "v_prediction", "eps": "epsilon", "epsilon": "epsilon"}


@dataclass(frozen=True, slots=True)
class Told:
    """The kind of prediction, and whether the noise schedule was stretched to pure noise (Lin et al. 2023)."""

    prediction: str = "epsilon"
    zero_terminal_snr: bool = False


def prediction_of(path: Path, header: Header, config: Path | None = None) -> Told:
    """What a checkpoint predicts; noise (epsilon) if nothing says otherwise. Raises UnreadableModel.

    In this order: `config`, a configuration beside the file (`model.yaml` for `model.safetensors`, with
    `parameterization: v` as in the original training code, or `prediction_type` as in diffusers'), the metadata entry
    `modelspec.prediction_type`, the keys `v_pred` and `ztsnr`.
    """
    zsnr = "ztsnr" in header.tensors
    candidates = [config] if config is not None else [path.with_suffix(suffix) for suffix in SUFFIXES]
    for file in candidates:
        if file.is_file():
            found = _find(_read(file), ("parameterization", "prediction_type"))
            if isinstance(found, str) and found in _NAMES:
                return Told(_NAMES[found], zsnr)
    metadata = header.metadata.get("modelspec.prediction_type", "")
    if metadata in _NAMES:
        return Told(_NAMES[metadata], zsnr)
    return Told("v_prediction" if "v_pred" in header.tensors else "epsilon", zsnr)


def _read(file: Path) -> Any:
    import yaml

    try:
        if file.stat().st_size > MAX_BYTES:
            raise UnreadableModel(f"{file} is too large for a configuration")
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        if isinstance(error, UnreadableModel):
            raise
        raise UnreadableModel(f"{file} is no readable configuration ({str(error).splitlines()[0]:.200})") from error


def _find(data: Any, names: tuple[str, ...]) -> object:
    """The first entry with one of `names`, however deep it lies in tables (up to eight levels)."""
    level: list[Any] = [data]
    for _ in range(8):
        tables = [each for each in level if isinstance(each, dict)]
        for table in tables:
            for name in names:
                if name in table:
                    return table[name]
        level = [value for table in tables for value in table.values()]
    return None
