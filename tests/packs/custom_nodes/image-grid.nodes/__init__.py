"""Pictures side by side, resized, and sent one by one."""

import torch
from comfy.model_management import intermediate_device
from comfy.utils import ProgressBar, common_upscale

from nodes import MAX_RESOLUTION
from nodes import NODE_CLASS_MAPPINGS as ALL_NODES


class ImageGrid:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "images": ("IMAGE",),
                "columns": ("INT", {"default": 2, "min": 1, "max": 64}),
                "gap": ("INT", {"default": 0, "min": 0, "max": MAX_RESOLUTION}),
            }
        }

    RETURN_TYPES = ("IMAGE", "INT", "INT")
    RETURN_NAMES = ("grid", "width", "height")
    INPUT_IS_LIST = True
    FUNCTION = "make"
    CATEGORY = "grid"

    def make(self, images, columns, gap):
        columns, gap = columns[0], gap[0]
        pictures = [picture for batch in images for picture in batch]
        height, width = pictures[0].shape[:2]
        rows = -(-len(pictures) // columns)
        size = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
        grid = torch.zeros(size, device=intermediate_device())
        bar = ProgressBar(len(pictures))
        for i, picture in enumerate(pictures):
            if picture.shape[:2] != (height, width):
                picture = common_upscale(picture.movedim(-1, 0)[None], width, height, "bilinear", "center")[0]
                picture = picture.movedim(0, -1)
            top, left = i // columns * (height + gap), i % columns * (width + gap)
            grid[top : top + height, left : left + width] = picture
            bar.update(1)
        return (grid[None], size[1], size[0])


class ImagesToList:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}

    RETURN_TYPES = ("IMAGE",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "split"
    CATEGORY = "grid"

    def split(self, images):
        return ([image[None] for image in images],)


class Tint:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "image": ("IMAGE",),
                "strength": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.05}),
                "color": ("COLOR", {"default": "#ff0000"}),
            }
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "tint"
    CATEGORY = "grid"

    def tint(self, image, strength, color):
        rgb = torch.tensor([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        image *= 1 - strength  # in place, which is not as it should be
        image += rgb * strength
        return (image,)


class Blank:
    """Calls a node of another pack."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"size": ("INT", {"default": 8, "min": 1, "max": 64})}}

    RETURN_TYPES = ALL_NODES["EmptyImage"].RETURN_TYPES
    FUNCTION = "blank"
    CATEGORY = "grid"

    def blank(self, size):
        other = ALL_NODES["EmptyImage"]()
        return getattr(other, other.FUNCTION)(width=size, height=size, batch_size=1, color=0xFFFFFF)


NODE_CLASS_MAPPINGS = {"GridImages": ImageGrid, "GridSplit": ImagesToList, "GridTint": Tint, "GridBlank": Blank}
