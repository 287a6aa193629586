"""Moving pictures as files: animated WebP and PNG, with the workflow inside."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence

from PIL import Image

from nodes.diffusion.pictures import png_bytes, without_halves

# How hard the WebP encoder tries; 4 is its own default.
WEBP_EFFORT = {"default": 4, "fastest": 0, "slowest": 6}
WEBP_SIDE = 16383  # pixels
# EXIF tags that programs look for a workflow in: the prompt, and counting down from there all other texts.
PROMPT_TAG = 0x0110


def milliseconds(fps: float) -> int:
    """How long a frame is shown, at least a millisecond."""
    return max(1, int(1000 / fps))


def webp_bytes(
    frames: Sequence[Image.Image],
    texts: Mapping[str, str],
    *,
    fps: float,
    lossless: bool = True,
    quality: int = 80,
    effort: int = 4,
) -> bytes:
    """An animated WebP that repeats for ever. Texts lie in EXIF as `name:text`, the one called `prompt` in 0x0110."""
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=milliseconds(fps),
        lossless=lossless,
        quality=quality,
        method=effort,
        exif=_exif(texts),
    )
    return buffer.getvalue()


def _exif(texts: Mapping[str, str]) -> Image.Exif:
    exif = Image.Exif()
    others = [(name, text) for name, text in texts.items() if name != "prompt"]
    for i, (name, text) in enumerate(others, start=1):
        exif[PROMPT_TAG - i] = f"{name}:{without_halves(text)}".encode()
    if "prompt" in texts:
        exif[PROMPT_TAG] = f"prompt:{_ascii_json(texts['prompt'])}".encode()
    return exif


def _ascii_json(text: str) -> str:
    """JSON without letters beyond ASCII, which readers of EXIF take for anything; other texts as they are."""
    try:
        return json.dumps(json.loads(text))
    except ValueError:
        return without_halves(text)


def apng_bytes(
    frames: Sequence[Image.Image], texts: Mapping[str, str], *, fps: float, compress_level: int = 4
) -> bytes:
    """An animated PNG that repeats for ever; frames that are the same become one that is shown for longer."""
    return png_bytes(
        frames[0],
        texts,
        compress_level=compress_level,
        save_all=True,
        append_images=list(frames[1:]),
        duration=milliseconds(fps),
    )
