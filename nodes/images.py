"""Pictures: loading, saving, resizing."""

from __future__ import annotations

import datetime
import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, Range, node
from nodegraph.sockets import Image, Mask, Saved, SavedFile

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ImageUpscaleMethod = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
Side = Annotated[int, Range(0, 16384, step=1)]


def list_pictures(roots: Roots) -> list[str]:
    """Names of the pictures in the input folders."""
    return roots.list_files(roots.input, SUFFIXES)


def find_picture(name: str, roots: Roots) -> Path | None:
    """The picture `name` in the input folders, or None."""
    return roots.find_input(name) if name.lower().endswith(SUFFIXES) else None


class LoadedImage(NamedTuple):
    """A picture, and what is transparent in it."""

    IMAGE: Image
    MASK: Annotated[Mask, Help("1 where the picture is transparent")]


@node(category="image", display_name="Load Image", numeric=False)
def LoadImage(
    image: Annotated[
        str,
        Choices(list_pictures, find_picture, kind="picture", upload=True),
        Help("a file in the input folder, or beside the workflow"),
    ],
    context: Context = NO_CONTEXT,
) -> LoadedImage:
    """Load a picture from the input folder, or from beside the workflow file."""
    from nodes.diffusion.pictures import UnusablePicture, read_picture

    try:
        picture, mask = read_picture(context.input_file(image))
    except UnusablePicture as error:
        raise ProblemError(
            Problem(code="bad_value", message=str(error), input="image", got=image, hint="choose another picture")
        ) from error
    return LoadedImage(Image(picture), Mask(mask))


@node(category="image", display_name="Save Image", output_node=True, numeric=False)
def SaveImage(
    images: Image,
    filename_prefix: Annotated[str, Help("may hold a subfolder, %date:yyyy-MM-dd%, %width%, %height%")] = "nodegraph",
    context: Context = NO_CONTEXT,
) -> Saved:
    """Save pictures as PNG in the output folder, with the workflow inside; existing files are never replaced."""
    return save_pictures(images, context.roots.output, "output", filename_prefix, context)


@node(category="image", display_name="Preview Image", output_node=True, numeric=False)
def PreviewImage(images: Image, context: Context = NO_CONTEXT) -> Saved:
    """Show pictures; they are kept in the temporary folder only."""
    return save_pictures(images, context.roots.temp, "temp", "preview", context)


def save_pictures(images: Image, root: Path, kind: str, prefix: str, context: Context) -> Saved:
    """Write a batch [B, H, W, C] below `root`; `kind` is the folder's name for clients."""
    from nodes.diffusion.pictures import UnusablePicture, expand_prefix, to_image, write_png

    texts = picture_texts(context)
    files: list[SavedFile] = []
    height, width, channels = images.shape[1:]
    if channels not in (1, 3, 4):
        raise ProblemError(
            Problem(code="bad_value", message=f"pictures have 1, 3 or 4 channels, not {channels}", input="images")
        )
    try:
        name = expand_prefix(prefix, width, height, datetime.datetime.now().astimezone())
        for i, picture in enumerate(images):
            context.progress(i, len(images))
            path = write_png(to_image(picture), root, name, texts)
            subfolder = path.parent.relative_to(root).as_posix()
            files.append(
                SavedFile(str(path), path.name, "" if subfolder == "." else subfolder, kind, int(width), int(height))
            )
    except UnusablePicture as error:
        raise ProblemError(
            Problem(
                code="bad_value",
                message=str(error),
                input="filename_prefix",
                got=prefix,
                hint="use letters, digits, - and _, and / for subfolders",
            )
        ) from error
    except OSError as error:
        full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        code = "disk_full" if error.errno in full else "cannot_write"
        reason = error.strerror or str(error)
        raise ProblemError(
            Problem(
                code=code,
                message=f"the picture cannot be written to {root}: {reason}",
                hint="free some space" if code == "disk_full" else "choose another folder with --output-dir",
            )
        ) from error
    return Saved(tuple(files))


def picture_texts(context: Context) -> Mapping[str, str]:
    """What goes into a picture's text chunks: the YAML, the API-format prompt, and the facts of the run."""
    origin = context.provenance
    texts = {"nodegraph": origin.workflow, "prompt": origin.prompt}
    if origin.facts:
        texts["nodegraph.run"] = json.dumps(dict(origin.facts))
    return {name: text for name, text in texts.items() if text}


@node(category="image/upscaling", display_name="Upscale Image")
def ImageScale(
    image: Image,
    upscale_method: ImageUpscaleMethod = "nearest-exact",
    width: Side = 512,
    height: Side = 512,
    crop: Literal["disabled", "center"] = "disabled",
) -> Image:
    """Resize pictures; a width or height of 0 keeps the proportions."""
    from nodes.diffusion.resize import fill_size, resize

    wanted = fill_size(width, height, image.shape[2], image.shape[1])
    resized = resize(image.movedim(-1, 1), *wanted, upscale_method, crop=crop == "center")
    return Image(resized.movedim(1, -1))
