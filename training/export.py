"""Write the model folder (`python -m training.export`): fp16 safetensors in the layout of Stable Diffusion.

Every file is written in full beside its place and then renamed into it, so that readers never see half a model.
The folder is checked by loading it into diffusers' StableDiffusionPipeline.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionPipeline
from safetensors.torch import load_file

from training.common import MODEL, WORK, Module, replace_file
from training.data import load_pictures
from training.encode import LATENTS
from training.tokenizer import FOLDER, load_tokenizer
from training.unet import load_averaged
from training.vae import FINAL, build_vae, load_vae

LIMIT = 12_000_000
"""The most bytes that all weights together may have."""


def build_scheduler() -> EulerDiscreteScheduler:
    """Euler steps on Stable Diffusion's noise schedule."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        timestep_spacing="linspace",
        steps_offset=1,
    )


def build_pipeline() -> Module:
    """The pipeline of the newest weights there are."""
    tokenizer = load_tokenizer()
    unet, text = load_averaged(tokenizer)
    make: Module = StableDiffusionPipeline
    return make(
        vae=load_vae() if FINAL.exists() else build_vae(),
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def fit_preview() -> dict[str, list[list[float]] | list[float]]:
    """The linear map from scaled latents (spread 1) to RGB in -1..1, by least squares over encoded pictures.

    Returns factors (4 x 3) and bias (3): rgb = latent @ factors + bias for each latent pixel.
    """
    latents = np.load(LATENTS, mmap_mode="r")[:2000].astype(np.float64)
    pictures = load_pictures()[:2000].reshape(-1, 16, 8, 16, 8, 3).mean((2, 4)) / 127.5 - 1
    x = np.moveaxis(latents, 1, -1).reshape(-1, 4)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    solution, *_ = np.linalg.lstsq(x, pictures.reshape(-1, 3), rcond=None)
    rest = pictures.reshape(-1, 3) - x @ solution
    print(f"export: the preview map explains {1 - rest.var() / pictures.var():.3f} of the variance")
    rounded = solution.round(5)
    return {"factors": rounded[:4].tolist(), "bias": rounded[4].tolist()}


def weight_bytes(folder: Path) -> int:
    """Size of all weights under `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def install(pipeline: Module, folder: Path) -> None:
    """Save the pipeline to a temporary folder in fp16, check it, then rename file by file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as temporary:
        source = Path(temporary)
        pipeline.to(dtype=torch.float16).save_pretrained(source, safe_serialization=True)
        for name in ("vocab.json", "merges.txt"):
            (source / "tokenizer" / name).write_bytes((FOLDER / name).read_bytes())
        size = weight_bytes(source)
        if size > LIMIT:
            raise SystemExit(f"export: {size} bytes of weights, {LIMIT} at most")
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            target = folder / path.relative_to(source)
            target.parent.mkdir(exist_ok=True)
            path.chmod(0o644)
            path.replace(target)


def check(folder: Path) -> None:
    """Load the folder as anyone would and draw one picture; no file may be a pickle."""
    foreign = [p.name for p in folder.rglob("*") if p.suffix in (".bin", ".pt", ".ckpt", ".pkl")]
    if foreign:
        raise SystemExit(f"export: {foreign} do not belong into the model")
    for path in folder.rglob("*.safetensors"):
        if not all(t.dtype == torch.float16 and t.isfinite().all() for t in load_file(path).values()):
            raise SystemExit(f"export: {path} is not all finite fp16")
    pipeline: Module = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, dtype=torch.float32, local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(
        "a red star at night under the stars",
        num_inference_steps=20,
        guidance_scale=4.0,
        generator=torch.Generator().manual_seed(1),
    ).images[0]
    if picture.size != (128, 128):
        raise SystemExit(f"export: a picture of {picture.size}")
    replace_file(WORK / "export.png", lambda p: picture.save(p, "PNG"))


def main() -> None:
    """Export and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=MODEL, help="the folder to write (models/tiny)")
    folder: Path = parser.parse_args().output
    install(build_pipeline(), folder)
    if LATENTS.exists():
        text = json.dumps(fit_preview(), indent=2) + "\n"
        replace_file(folder / "preview.json", lambda p: p.write_text(text))
    check(folder)
    print(f"export: {weight_bytes(folder)} bytes of weights in {folder.name}/")


if __name__ == "__main__":
    main()
