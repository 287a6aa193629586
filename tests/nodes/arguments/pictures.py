"""Arguments to try the nodes for pictures and masks with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nodegraph.files import FileDigests
from nodegraph.sockets import UpscaleModel
from tests.nodes.arguments import Arguments, latent, mask, picture
from tests.nodes.conftest import Tiny
from tests.nodes.upscale_models import save_compact


def upscale_model(tiny: Tiny) -> Path:
    """A small network that enlarges, in the first of the folders for models."""
    path = tiny.context.roots.models[0] / "upscale_models" / "small.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_compact(path)
    return path


def upscaling(tiny: Tiny) -> dict[str, Any]:
    path = upscale_model(tiny)
    handle = UpscaleModel("upscaler", str(path), FileDigests().digest(path), "upscaler")
    return {"upscale_model": handle, "image": picture(side=24)}


def loading_an_upscaler(tiny: Tiny) -> dict[str, Any]:
    return {"model_name": upscale_model(tiny).name}


def two(side: int = 32) -> torch.Tensor:
    return torch.cat([picture(1, side), picture(2, side)])


ARGUMENTS: Arguments = {
    "Canny": lambda tiny: {"image": two()},
    "CropMask": lambda tiny: {"mask": mask(), "x": 3, "y": 60, "width": 20, "height": 20},
    "EmptyImage": lambda tiny: {"width": 8, "height": 4, "batch_size": 2, "color": 0x123456},
    "FeatherMask": lambda tiny: {"mask": mask(), "left": 5, "bottom": 70},
    "GetImageSize": lambda tiny: {"image": two()},
    "GrowMask": lambda tiny: {"mask": mask(), "expand": -3},
    "ImageAddNoise": lambda tiny: {"image": two(), "seed": 3},
    "ImageBatch": lambda tiny: {"image1": picture(), "image2": picture(1, 48, 4)},
    "ImageBlend": lambda tiny: {"image1": two(), "image2": picture(3, 40), "blend_mode": "soft_light"},
    "ImageBlur": lambda tiny: {"image": two(), "blur_radius": 5},
    "ImageColorToMask": lambda tiny: {"image": two(), "color": 0xFF},
    "ImageCompositeMasked": lambda tiny: {
        "destination": two(),
        "source": picture(3, 16, 4),
        "x": 20,
        "y": 5,
        "mask": mask(side=8),
    },
    "ImageCrop": lambda tiny: {"image": two(), "width": 10, "height": 50, "x": 3, "y": 4},
    "ImageFlip": lambda tiny: {"image": two(), "flip_method": "y-axis: horizontally"},
    "ImageFromBatch": lambda tiny: {"image": two(), "batch_index": 1},
    "ImageInvert": lambda tiny: {"image": picture(channels=4)},
    "ImagePadForOutpaint": lambda tiny: {"image": two(), "left": 8, "bottom": 16},
    "ImageQuantize": lambda tiny: {"image": two(), "colors": 7, "dither": "bayer-4"},
    "ImageRGBToYUV": lambda tiny: {"image": two()},
    "ImageRotate": lambda tiny: {"image": two(), "rotation": "90 degrees"},
    "ImageScaleBy": lambda tiny: {"image": two(), "upscale_method": "bicubic", "scale_by": 1.5},
    "ImageScaleToMaxDimension": lambda tiny: {"image": two(), "upscale_method": "lanczos", "largest_size": 50},
    "ImageScaleToTotalPixels": lambda tiny: {"image": two(), "upscale_method": "bilinear", "megapixels": 0.01},
    "ImageSharpen": lambda tiny: {"image": two(), "sharpen_radius": 2},
    "ImageStitch": lambda tiny: {"image1": two(), "image2": picture(3, 20), "spacing_width": 4, "direction": "up"},
    "ImageToMask": lambda tiny: {"image": two(), "channel": "green"},
    "ImageUpscaleWithModel": upscaling,
    "ImageYUVToRGB": lambda tiny: {"Y": picture(1), "U": picture(2, 32), "V": picture(3)},
    "InvertMask": lambda tiny: {"mask": mask()},
    "JoinImageWithAlpha": lambda tiny: {"image": two(), "alpha": mask(side=16)},
    "LatentCompositeMasked": lambda tiny: {
        "destination": latent() | {"noise_mask": mask()},
        "source": latent(1, 4),
        "x": 16,
        "y": 48,
        "mask": mask(2),
    },
    "LoadImageMask": lambda tiny: {"image": "pictures/heart.png", "channel": "red"},
    "MaskComposite": lambda tiny: {"destination": mask(), "source": mask(1, 40), "x": 30, "operation": "xor"},
    "MaskPreview": lambda tiny: {"mask": mask()},
    "MaskToImage": lambda tiny: {"mask": mask()},
    "Morphology": lambda tiny: {"image": two(), "operation": "gradient", "kernel_size": 4},
    "PorterDuffImageComposite": lambda tiny: {
        "source": two(),
        "source_alpha": mask(1, 32),
        "destination": picture(4),
        "destination_alpha": mask(2),
        "mode": "OVERLAY",
    },
    "PreviewAny": lambda tiny: {"source": [1, 2.5, {"a": "b"}]},
    "RepeatImageBatch": lambda tiny: {"image": two(), "amount": 3},
    "ResizeAndPadImage": lambda tiny: {"image": two(), "target_width": 40, "target_height": 20},
    "SaveAnimatedPNG": lambda tiny: {"images": two(), "fps": 3.0},
    "SaveAnimatedWEBP": lambda tiny: {"images": two(), "lossless": False},
    "SolidMask": lambda tiny: {"value": 0.25, "width": 7, "height": 3},
    "SplitImageWithAlpha": lambda tiny: {"image": picture(channels=4)},
    "ThresholdMask": lambda tiny: {"mask": mask()},
    "UpscaleModelLoader": loading_an_upscaler,
}
