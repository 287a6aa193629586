"""Small pictures to try nodes with."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from PIL import Image as PillowImage

from nodegraph.sockets import Image, Mask


def picture(height: int = 6, width: int = 9, channels: int = 3, *, batch: int = 2, seed: int = 0) -> Image:
    """Noise, in levels that files of 8 bits can hold."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.randint(0, 256, (batch, height, width, channels), generator=generator)
    return Image(levels.float() / 255)


def picture_of(height: int, width: int, colour: tuple[float, ...]) -> Image:
    """A picture of one colour."""
    return Image(torch.tensor(colour, dtype=torch.float32).expand(1, height, width, len(colour)).contiguous())


def mask(height: int = 6, width: int = 9, *, batch: int = 1, seed: int = 0) -> Mask:
    """Noise."""
    return Mask(torch.rand(batch, height, width, generator=torch.Generator().manual_seed(seed)))


def pillow_of(one: torch.Tensor) -> PillowImage.Image:
    """A picture [H, W, C] as Pillow has it."""
    levels = (one * 255).round().to(torch.uint8).numpy()
    return PillowImage.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)


def levels_of(image: PillowImage.Image) -> torch.Tensor:
    """Pillow's picture as levels 0 … 255."""
    return torch.from_numpy(np.array(image, dtype=np.int64))


PICTURES = st.builds(
    picture,
    st.integers(1, 7),
    st.integers(1, 7),
    st.sampled_from([1, 3, 4]),
    batch=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
MASKS = st.builds(mask, st.integers(1, 7), st.integers(1, 7), batch=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
