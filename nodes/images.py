"""Pictures: loading and saving."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, Range, node
from nodegraph.sockets import Image, Mask, Saved, SavedFile
from nodes.saving import file_name, saved_file, saving

if TYPE_CHECKING:
    import PIL.Image
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
Prefix = Annotated[str, Help("may hold a subfolder, %date:yyyy-MM-dd%, %width%, %height%")]
FramesPerSecond = Annotated[float, Range(0.01, 1000, step=0.01)]


def list_pictures(roots: Roots) -> list[str]:
    """Names of the pictures in the input folders."""
    return roots.list_files(roots.input, SUFFIXES)


def find_picture(name: str, roots: Roots) -> Path | None:
    """The picture `name` in the input folders, or None."""
    return roots.find_input(name) if name.lower().endswith(SUFFIXES) else None


PictureName = Annotated[
    str,
    Choices(list_pictures, find_picture, kind="picture", upload=True),
    Help("a file in the input folder, or beside the workflow"),
]


class LoadedImage(NamedTuple):
    """A picture, and what is transparent in it."""

    IMAGE: Image
    MASK: Annotated[Mask, Help("1 where the picture is transparent; 64 × 64 zeros if nothing is")]


@node(category="image", display_name="Load Image", version=2, numeric=False)
def LoadImage(image: PictureName, context: Context = NO_CONTEXT) -> LoadedImage:
    """Load a picture from the input folder, or from beside the workflow file.

    It is turned upright, and the frames of an animation are a batch.
    """
    picture, mask = load_picture(image, context)
    return LoadedImage(Image(picture), Mask(mask))


@node(category="mask", display_name="Load Image (as Mask)", numeric=False)
def LoadImageMask(
    image: PictureName,
    channel: Literal["alpha", "red", "green", "blue"] = "alpha",
    context: Context = NO_CONTEXT,
) -> Mask:
    """Load a mask from one channel of a picture.

    A colour is taken as it is; `alpha` gives 1 where the picture is transparent, as Load Image does.
    """
    picture, mask = load_picture(image, context)
    return Mask(mask if channel == "alpha" else picture[..., ("red", "green", "blue").index(channel)].contiguous())


def load_picture(name: str, context: Context) -> tuple[Tensor, Tensor]:
    """Picture and mask of an input file. Raises ProblemError for one that cannot be used."""
    from nodes.diffusion.pictures import UnusablePicture, read_picture

    try:
        return read_picture(context.input_file(name))
    except UnusablePicture as error:
        raise ProblemError(
            Problem(code="bad_value", message=str(error), input="image", got=name, hint="choose another picture")
        ) from error


@node(category="image", display_name="Save Image", output_node=True, numeric=False)
def SaveImage(images: Image, filename_prefix: Prefix = "nodegraph", context: Context = NO_CONTEXT) -> Saved:
    """Save pictures as PNG in the output folder, with the workflow inside; existing files are never replaced."""
    return save_pictures(images, context.roots.output, "output", filename_prefix, context)


@node(category="image", display_name="Preview Image", output_node=True, numeric=False)
def PreviewImage(images: Image, context: Context = NO_CONTEXT) -> Saved:
    """Show pictures; they are kept in the temporary folder only."""
    return save_pictures(images, context.roots.temp, "temp", "preview", context)


@node(category="image/animation", display_name="Save Animated WebP", output_node=True, numeric=False)
def SaveAnimatedWEBP(
    images: Image,
    filename_prefix: Prefix = "nodegraph",
    fps: FramesPerSecond = 6.0,
    lossless: bool = True,
    quality: Annotated[int, Range(0, 100)] = 80,
    method: Annotated[Literal["default", "fastest", "slowest"], Help("slower makes smaller files")] = "default",
    context: Context = NO_CONTEXT,
) -> Saved:
    """Save a batch of pictures as an animated WebP in the output folder, with the workflow in its EXIF data."""
    from nodes.diffusion.animations import WEBP_EFFORT, WEBP_SIDE, webp_bytes

    if max(images.shape[1:3]) > WEBP_SIDE:
        message = f"a WebP is at most {WEBP_SIDE:,} pixels wide and high, not {images.shape[2]} × {images.shape[1]}"
        raise ProblemError(
            Problem("bad_value", message, input="images", hint="make the pictures smaller, or use SaveAnimatedPNG")
        )

    def encode(frames: list[PIL.Image.Image], texts: Mapping[str, str]) -> bytes:
        return webp_bytes(frames, texts, fps=fps, lossless=lossless, quality=quality, effort=WEBP_EFFORT[method])

    return save_animation(images, filename_prefix, ".webp", encode, context)


@node(category="image/animation", display_name="Save Animated PNG", output_node=True, numeric=False)
def SaveAnimatedPNG(
    images: Image,
    filename_prefix: Prefix = "nodegraph",
    fps: FramesPerSecond = 6.0,
    compress_level: Annotated[int, Range(0, 9)] = 4,
    context: Context = NO_CONTEXT,
) -> Saved:
    """Save a batch of pictures as an animated PNG in the output folder, with the workflow inside."""
    from nodes.diffusion.animations import apng_bytes

    def encode(frames: list[PIL.Image.Image], texts: Mapping[str, str]) -> bytes:
        return apng_bytes(frames, texts, fps=fps, compress_level=compress_level)

    return save_animation(images, filename_prefix, ".png", encode, context)


def save_pictures(images: Image, root: Path, kind: str, prefix: str, context: Context) -> Saved:
    """Write a batch [B, H, W, C] below `root`; `kind` is the folder's name for clients."""
    from nodes.diffusion.pictures import png_bytes, to_image

    texts = picture_texts(context)

    def encode() -> Iterable[bytes]:
        for i, picture in enumerate(images):
            context.progress(i, len(images))
            yield png_bytes(to_image(picture), texts)

    return save_files(images, encode(), root, kind, prefix, ".png")


def save_animation(
    images: Image,
    prefix: str,
    suffix: str,
    encode: Callable[[list[PIL.Image.Image], Mapping[str, str]], bytes],
    context: Context,
) -> Saved:
    """Write a batch [B, H, W, C] as one file in the output folder."""
    from nodes.diffusion.pictures import to_image

    def data() -> Iterable[bytes]:
        frames: list[PIL.Image.Image] = []
        for i, picture in enumerate(images):
            context.progress(i, len(images))
            frames.append(to_image(picture))
        if frames:
            yield encode(frames, picture_texts(context))

    return save_files(images, data(), context.roots.output, "output", prefix, suffix)


def save_files(images: Image, encoded: Iterable[bytes], root: Path, kind: str, prefix: str, suffix: str) -> Saved:
    """Write files below `root` as they are encoded; `images` [B, H, W, C] is what they show."""
    from nodes.diffusion.numbered import write_numbered

    files: list[SavedFile] = []
    height, width, channels = (int(size) for size in images.shape[1:])
    if channels not in (1, 3, 4):
        raise ProblemError(
            Problem(code="bad_value", message=f"pictures have 1, 3 or 4 channels, not {channels}", input="images")
        )
    with saving("the picture", prefix, root):
        name = file_name(prefix, width, height)
        for data in encoded:
            path = write_numbered(root, name, suffix, data)
            files.append(saved_file(path, root, kind, width, height))
    return Saved(tuple(files))


def picture_texts(context: Context) -> Mapping[str, str]:
    """What goes into a picture's text chunks: the YAML, the API-format prompt, the editor's file, facts of the run."""
    origin = context.provenance
    texts = {"nodegraph": origin.workflow, "prompt": origin.prompt, "workflow": origin.editor}
    if origin.facts:
        texts["nodegraph.run"] = json.dumps(dict(origin.facts))
    return {name: text for name, text in texts.items() if text}
