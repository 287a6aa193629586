"""What nodes of ComfyUI's second form show and save: pictures, masks and texts."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from nodegraph.comfy_compat import current
from nodegraph.comfy_compat.folder_paths import get_save_image_path
from nodegraph.comfy_compat.progress import pictures_of

Result = dict[str, str]


class _Shown:
    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def as_dict(self) -> dict[str, Any]:
        """What is shown, as nodes of the first form say it."""
        return self.values


class SavedImages(_Shown):
    """Pictures that were saved."""

    def __init__(self, results: list[Result], is_animated: bool = False) -> None:
        super().__init__({"images": results} | ({"animated": (True,)} if is_animated else {}))


class PreviewImage(_Shown):
    """Pictures to look at."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **more: Any) -> None:
        prefix = f"preview_{secrets.token_hex(4)}"
        results = ImageSaveHelper.save_images(image, prefix, "temp", cls, compress_level=1)
        super().__init__({"images": results, "animated": (animated,)})


class PreviewMask(PreviewImage):
    """Masks to look at."""

    def __init__(self, mask: Any, animated: bool = False, cls: Any = None, **more: Any) -> None:
        super().__init__(mask.reshape((-1, 1, *mask.shape[-2:])).movedim(1, -1).expand(-1, -1, -1, 3), animated, cls)


class PreviewText(_Shown):
    """A text to read."""

    def __init__(self, value: str, **more: Any) -> None:
        super().__init__({"text": (value,)})


class ImageSaveHelper:
    """Saves pictures."""

    @staticmethod
    def save_images(
        images: Any, filename_prefix: str, folder_type: str, cls: Any = None, compress_level: int = 4, **more: Any
    ) -> list[Result]:
        """Save pictures as PREFIX_00001_.png and so on; returns how clients ask for them."""
        import PIL.PngImagePlugin

        type_ = str(getattr(folder_type, "value", folder_type))
        root = current.folder_of(type_) or current.roots().output
        height, width = images.shape[-3], images.shape[-2]
        folder, stem, number, subfolder, _ = get_save_image_path(filename_prefix, str(root), width, height)
        results: list[Result] = []
        for i, picture in enumerate(pictures_of(images)):
            info = PIL.PngImagePlugin.PngInfo()
            for key, text in _origin(cls).items():
                info.add_text(key, text)
            name = f"{stem.replace('%batch_num%', str(i))}_{number + i:05}_.png"
            writing = Path(folder) / f".writing-{secrets.token_hex(8)}.png"
            try:
                picture.save(writing, pnginfo=info, compress_level=compress_level)
                writing.replace(Path(folder) / name)
            finally:
                writing.unlink(missing_ok=True)
            results.append({"filename": name, "subfolder": subfolder, "type": type_})
        return results

    @staticmethod
    def get_save_images_ui(
        images: Any, filename_prefix: str, cls: Any = None, compress_level: int = 4, **more: Any
    ) -> SavedImages:
        """Save pictures into the output folder, and show them."""
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, "output", cls, compress_level))


def _origin(cls: Any) -> dict[str, str]:
    """What a picture says of its origin, as far as the node asked for it."""
    hidden = getattr(cls, "hidden", None)
    prompt, extra = getattr(hidden, "prompt", None), getattr(hidden, "extra_pnginfo", None)
    texts = {"prompt": json.dumps(prompt)} if prompt else {}
    more: dict[str, Any] = extra or {}
    return texts | {str(key): json.dumps(value) for key, value in more.items()}
