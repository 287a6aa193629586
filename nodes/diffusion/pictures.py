"""Picture files: reading them into tensors within bounds, and writing files that never replace anything."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

MAX_PIXELS = 100_000_000
MAX_FRAMES = 4096
NO_MASK = 64  # sides of the mask of a picture in which nothing is transparent
# What may be read: Pillow knows more, of which some start programs (EPS) and most are untried.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
COMPRESSION = 4


class UnusablePicture(ValueError):
    """A picture file that cannot be read, or a name that cannot be written; the message says why."""


def read_picture(path: Path) -> tuple[Tensor, Tensor]:
    """(IMAGE [B, H, W, 3], MASK [B, H, W]) of a picture file, turned upright by its EXIF orientation.

    The mask is 1 where the picture is transparent; where nothing can be, it is a small one of zeros [B, 64, 64], which
    nodes stretch over the picture as they need it. Frames of an animation are a batch, those of another size than the
    first left out. Raises UnusablePicture for files that are damaged, of an unknown format, or larger than MAX_PIXELS,
    all frames together.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what matters of a file is raised; MAX_PIXELS is below
            with Image.open(path, formats=FORMATS) as image:
                frames = [_read_frame(frame) for frame in _frames(image, path.name)]
    except (UnusablePicture, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise UnusablePicture(f"{path.name} is not a picture of a known format") from error
    except Image.DecompressionBombError as error:
        raise UnusablePicture(f"{path.name} is too large: it has more than {MAX_PIXELS:,} pixels") from error
    except Exception as error:  # Pillow's decoders let all kinds of errors through
        raise UnusablePicture(f"{path.name} is damaged or cut short ({error})") from error
    first = frames[0][0].shape
    same = [frame for frame in frames if frame[0].shape == first]
    masks = [mask for _, mask in same]
    if all(mask is None for mask in masks):
        return _batch([picture for picture, _ in same]), torch.zeros(len(same), NO_MASK, NO_MASK)
    whole = [torch.zeros(first[:2]) if mask is None else mask for mask in masks]
    return _batch([picture for picture, _ in same]), _batch(whole)


def _batch(items: list[Tensor]) -> Tensor:
    """Items as a batch; a single one is not copied, since it may be large."""
    return items[0][None] if len(items) == 1 else torch.stack(items)


def _frames(image: Image.Image, name: str) -> Iterator[Image.Image]:
    """The frames of a picture, as long as they stay within the limits; of a camera's picture only the first."""
    pixels = 0
    for i, frame in enumerate(ImageSequence.Iterator(image)):
        pixels += frame.width * frame.height
        if pixels > MAX_PIXELS:
            raise UnusablePicture(f"{name} has {frame.width} × {frame.height} pixels, in all more than {MAX_PIXELS:,}")
        if i >= MAX_FRAMES:
            raise UnusablePicture(f"{name} has more than {MAX_FRAMES:,} frames")
        yield frame
        if image.format == "MPO":  # the others are a thumbnail or a depth map
            return


def _read_frame(frame: Image.Image) -> tuple[Tensor, Tensor | None]:
    """A frame [H, W, 3], and its mask [H, W] if it has transparency."""
    frame = ImageOps.exif_transpose(frame)
    if frame.mode.startswith("I"):  # 16 bits a channel
        levels = np.asarray(frame, dtype=np.float32) / 65535
        return torch.from_numpy(levels).clamp(0, 1)[..., None].expand(-1, -1, 3).contiguous(), None
    transparent = "A" in frame.getbands() or "transparency" in frame.info
    levels = np.array(frame.convert("RGBA" if transparent else "RGB"), dtype=np.float32)
    levels /= 255  # in place: a picture may be large
    picture = torch.from_numpy(levels)
    return (picture[..., :3].contiguous(), 1 - picture[..., 3]) if transparent else (picture, None)


def to_image(picture: Tensor) -> Image.Image:
    """A picture [H, W, C] with values 0 … 1 as 8-bit RGB or RGBA; values are cut off, not rounded."""
    levels = (picture.float() * 255).clamp(0, 255).to(torch.uint8).cpu().numpy()
    return Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else levels)


def png_bytes(image: Image.Image, texts: Mapping[str, str], *, compress_level: int = COMPRESSION, **more: Any) -> bytes:
    """A PNG with text chunks, as Latin-1 where that is enough and as UTF-8 otherwise; `more` goes to Pillow."""
    info = PngInfo()
    for name, text in texts.items():
        text = without_halves(text)
        info.add_itxt(name, text) if not text.isascii() else info.add_text(name, text)
    # Into memory first: Pillow, writing to a file, does not say that the disk is full.
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=compress_level, **more)
    return buffer.getvalue()


def without_halves(text: str) -> str:
    """A text that UTF-8 can hold: half of a surrogate pair is no text."""
    return text.encode("utf-8", "replace").decode()
