"""LoadImage: every common kind of picture, upright, with its transparency; everything else is refused in words."""

from __future__ import annotations

import io
import os
import resource
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from nodegraph.context import Context
from nodes.images import LoadImage, LoadImageMask, find_picture, list_pictures
from tests.helpers import digest_of, problem

BLACK_PIXEL = zlib.compress(b"\0" * 4)
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def folder(context: Context) -> Path:
    """The input folder."""
    context.roots.input[0].mkdir()
    return context.roots.input[0]


def two_colours(mode: str = "RGB", size: tuple[int, int] = (12, 8)) -> Image.Image:
    """A picture with a red left and a blue right half."""
    picture = Image.new("RGB", size, RED)
    picture.paste(BLUE, (size[0] // 2, 0, size[0], size[1]))
    return picture.convert(mode)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, rows: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "PNG"])
def test_common_formats_load_as_rgb_between_0_and_1(folder: Path, context: Context, suffix: str) -> None:
    two_colours().save(folder / f"a.{suffix}")
    picture, mask = LoadImage(f"a.{suffix}", context)
    assert picture.shape == (1, 8, 12, 3)
    assert picture.dtype == mask.dtype == torch.float32
    assert torch.equal(mask, torch.zeros(1, 64, 64))  # nothing is transparent
    torch.testing.assert_close(picture[0, 4, 1], torch.tensor([1.0, 0.0, 0.0]), atol=0.06, rtol=0)
    torch.testing.assert_close(picture[0, 4, 10], torch.tensor([0.0, 0.0, 1.0]), atol=0.06, rtol=0)


def test_levels_are_exact_and_the_same_each_time(folder: Path, context: Context) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(np.stack([levels] * 3, -1)).save(folder / "grey.png")
    picture, _ = LoadImage("grey.png", context)
    assert torch.equal(picture[0, ..., 0], torch.from_numpy(levels).float() / 255)
    assert digest_of(picture) == digest_of(LoadImage("grey.png", context).IMAGE)


def test_the_mask_is_1_where_the_picture_is_transparent(folder: Path, context: Context) -> None:
    picture = two_colours("RGBA")
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 6, 8))
    alpha.putpixel((11, 0), 51)
    picture.putalpha(alpha)
    picture.save(folder / "a.png")
    image, mask = LoadImage("a.png", context)
    assert image.shape == (1, 8, 12, 3)
    assert torch.equal(mask[0, :, :6], torch.ones(8, 6))
    assert mask[0, 4, 10] == 0
    assert mask[0, 0, 11] == pytest.approx(0.8)
    assert torch.equal(image[0, 4, 1], torch.tensor([1.0, 0.0, 0.0]))  # colours under full transparency are kept


def test_a_palette_with_a_transparent_colour_has_a_mask(folder: Path, context: Context) -> None:
    palette = two_colours("P")
    palette.save(folder / "a.png", transparency=palette.getpixel((0, 0)))
    image, mask = LoadImage("a.png", context)
    assert torch.equal(mask[0, :, :6], torch.ones(8, 6))
    assert torch.equal(mask[0, :, 6:], torch.zeros(8, 6))
    assert torch.equal(image[0, 0, 11], torch.tensor([0.0, 0.0, 1.0]))


def test_sixteen_bits_a_channel_keep_their_levels(folder: Path, context: Context) -> None:
    levels = np.array([[0, 1000, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(folder / "deep.png")
    picture, _ = LoadImage("deep.png", context)
    torch.testing.assert_close(picture[0, 0, :, 1], torch.from_numpy(levels[0].astype(np.float32)) / 65535)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "CMYK", "RGBA", "P"])
def test_other_colour_modes_become_rgb(folder: Path, context: Context, mode: str) -> None:
    name = "a.jpg" if mode == "CMYK" else "a.png"
    two_colours(mode).save(folder / name)
    picture, _ = LoadImage(name, context)
    assert picture.shape == (1, 8, 12, 3)
    assert picture.min() >= 0 and picture.max() <= 1
    assert (picture[0, :, :6].mean((0, 1)) - picture[0, :, 6:].mean((0, 1))).abs().max() > 0.1


def test_a_camera_held_sideways_gives_an_upright_picture(folder: Path, context: Context) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise
    two_colours("RGBA").save(folder / "a.png", exif=exif)
    picture, mask = LoadImage("a.png", context)
    assert picture.shape == (1, 12, 8, 3)
    assert mask.shape == (1, 12, 8)
    assert torch.equal(picture[0, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    assert torch.equal(picture[0, 11, 0], torch.tensor([0.0, 0.0, 1.0]))


def test_a_single_pixel_is_a_picture(folder: Path, context: Context) -> None:
    Image.new("RGB", (1, 1), BLUE).save(folder / "a.png")
    assert LoadImage("a.png", context).IMAGE.tolist() == [[[[0.0, 0.0, 1.0]]]]


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_the_frames_of_an_animation_are_a_batch(folder: Path, context: Context, suffix: str) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in (RED, BLUE, (0, 255, 0))]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(folder / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    picture, mask = LoadImage(f"a.{suffix}", context)
    assert picture.shape == (3, 4, 6, 3)
    assert torch.equal(mask, torch.zeros(3, 64, 64))
    assert picture[:, 2, 3].round().tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize(("suffix", "alpha"), [("gif", 0), ("png", 0), ("webp", 51)])
def test_frames_that_are_partly_transparent_have_masks(folder: Path, context: Context, suffix: str, alpha: int) -> None:
    frames = [two_colours("RGBA") for _ in range(2)]
    for frame, place in zip(frames, (0, 6), strict=True):
        frame.paste((0, 0, 0, alpha), (place, 0, place + 6, 8))
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {"disposal": 2}
    frames[0].save(folder / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    picture, mask = LoadImage(f"a.{suffix}", context)
    assert picture.shape == (2, 8, 12, 3)
    expected = torch.tensor([[1.0] * 6 + [0.0] * 6, [0.0] * 6 + [1.0] * 6]) * (1 - alpha / 255)
    torch.testing.assert_close(mask[:, 4], expected)


@pytest.mark.parametrize(("channel", "expected"), [("red", [1, 0]), ("green", [0, 0]), ("blue", [0, 1])])
def test_a_colour_can_be_a_mask(folder: Path, context: Context, channel: Any, expected: list[float]) -> None:
    two_colours().save(folder / "a.png")
    mask = LoadImageMask("a.png", channel, context)
    assert mask.shape == (1, 8, 12)
    assert [float(mask[0, 4, x]) for x in (1, 10)] == expected


def test_transparency_as_a_mask_is_what_load_image_gives(folder: Path, context: Context) -> None:
    picture = two_colours("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(folder / "a.png")
    two_colours().save(folder / "b.png")
    for name in ("a.png", "b.png"):
        assert torch.equal(LoadImageMask(name, context=context), LoadImage(name, context).MASK)
    assert 0 < float(LoadImageMask("a.png", context=context).mean()) < 1


def test_sixteen_bits_of_a_mask_keep_their_levels(folder: Path, context: Context) -> None:
    levels = np.array([[0, 1, 40000, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(folder / "deep.png")
    expected = torch.from_numpy(levels.astype(np.float32)) / 65535
    torch.testing.assert_close(LoadImageMask("deep.png", "red", context)[0], expected)


def test_what_is_no_picture_is_no_mask_either(folder: Path, context: Context) -> None:
    (folder / "a.png").write_bytes(b"just some words")
    assert problem(lambda: LoadImageMask("a.png", "red", context)).input == "image"


def test_pictures_in_subfolders_and_with_any_letters_are_found_and_hidden_ones_not_offered(
    folder: Path, context: Context
) -> None:
    (folder / "my pictures").mkdir()
    for name in ("my pictures/bär 🐻.png", ".hidden.png", "b.JPG", "notes.txt"):
        two_colours().save(folder / name, "PNG")
    assert list_pictures(context.roots) == ["b.JPG", "my pictures/bär 🐻.png"]
    assert LoadImage("my pictures/bär 🐻.png", context).IMAGE.shape == (1, 8, 12, 3)
    assert find_picture("notes.txt", context.roots) is None


# --- refused


def whole_png() -> bytes:
    buffer = io.BytesIO()
    rows = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(rows).save(buffer, "PNG")
    return buffer.getvalue()


BAD_FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "cut short": (lambda: whole_png()[:3000], "damaged or cut short"),
    "only a signature": (lambda: b"\x89PNG\r\n\x1a\n", "not a picture"),
    "broken rows": (lambda: png(64, 64, rows=b"\x78\x9cnonsense"), "damaged or cut short"),
    "text": (lambda: b"just some words\n", "not a picture of a known format"),
    "empty": (lambda: b"", "not a picture of a known format"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture of a known format"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture of a known format"),
    "60000 x 60000": (lambda: png(60_000, 60_000), "too large"),
    "just too many pixels": (lambda: png(10_001, 10_000, rows=zlib.compress(b"")), "more than 100,000,000"),
    "text bomb": (
        lambda: png(1, 1, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * (64 << 20), 9)), rows=BLACK_PIXEL),
        "too large",
    ),
    "profile bomb": (
        lambda: png(60_000, 1, png_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * (64 << 20), 9))),
        "damaged or cut short",
    ),
}  # fmt: skip


def webp_header(width: int, height: int) -> bytes:
    """An extended WebP that says how large its canvas is, and no more."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0]) + sides  # an animation
    body = b"WEBP" + chunk + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", len(body)) + body


#: Headers of 60,000 × 60,000 pixels in other formats, with little behind them.
HUGE = {
    "jpg": b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 60_000, 60_000, 3) + bytes([1, 17, 0, 2, 17, 0, 3, 17, 0])
    + b"\xff\xda" + struct.pack(">HB", 12, 3) + bytes([1, 0, 2, 0, 3, 0, 0, 63, 0]) + b"\0" * 99,
    "gif": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0x80, 0, 0) + b"\0" * 6
    + b"," + struct.pack("<HHHHB", 0, 0, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\0;",
    "bmp": b"BM" + struct.pack("<IHHI", 99, 0, 0, 54)
    + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, *[0] * 6),
    "webp": webp_header(60_000, 60_000),
    "tif": b"II*\0" + struct.pack("<IH", 8, 9) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in (
            (256, 60_000), (257, 60_000), (258, 8), (259, 1), (262, 1), (273, 0), (277, 1), (278, 60_000), (279, 9),
        )
    ) + b"\0" * 4,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the child runs this one call and ends
@pytest.mark.parametrize("suffix", HUGE)
def test_a_header_that_promises_too_much_takes_no_memory(folder: Path, context: Context, suffix: str) -> None:
    (folder / f"a.{suffix}").write_bytes(HUGE[suffix])
    found = problem(lambda: LoadImage(f"a.{suffix}", context))
    assert (found.code, found.input) == ("bad_value", "image")
    assert _stays_small(lambda: problem(lambda: LoadImage(f"a.{suffix}", context)), 64 << 20)


def _stays_small(call: Callable[[], object], more: int) -> bool:
    """Whether a call, in a process of its own, makes do with so many bytes of memory above what there is."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            call()
            code = 0 if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < used + more else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_frames_of_an_animation_are_counted(
    folder: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodes.diffusion.pictures.MAX_FRAMES", 5)
    frames = [Image.new("RGB", (3, 2), colour) for colour in (RED, BLUE) * 3]
    frames[0].save(folder / "six.gif", save_all=True, append_images=frames[1:])
    assert "more than 5 frames" in problem(lambda: LoadImage("six.gif", context)).message


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_is_no_usable_picture_is_told(folder: Path, context: Context, name: str) -> None:
    make, words = BAD_FILES[name]
    (folder / "a.png").write_bytes(make())
    found = problem(lambda: LoadImage("a.png", context))
    assert found.code == "bad_value"
    assert found.input == "image"
    assert "a.png" in found.message and words in found.message


def test_all_frames_of_an_animation_together_are_limited(
    folder: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodes.diffusion.pictures.MAX_PIXELS", 1000)
    frames = [Image.new("RGB", (10, 20), colour) for colour in (RED, BLUE) * 3]
    frames[0].save(folder / "five.gif", save_all=True, append_images=frames[1:5])
    frames[0].save(folder / "six.gif", save_all=True, append_images=frames[1:])
    assert LoadImage("five.gif", context).IMAGE.shape[0] == 5
    assert "in all more than 1,000" in problem(lambda: LoadImage("six.gif", context)).message


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the child runs this one call and ends
@pytest.mark.parametrize("name", ["text bomb", "profile bomb", "60000 x 60000"])
def test_a_bomb_stays_small(folder: Path, context: Context, name: str) -> None:
    (folder / "a.png").write_bytes(BAD_FILES[name][0]())
    pid = os.fork()
    if pid == 0:  # a process of its own, which cannot have more than 32 MiB above what it has now
        code = 1
        try:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), resource.RLIM_INFINITY))
            problem(lambda: LoadImage("a.png", context))
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_program_is_never_started_for_a_picture(folder: Path, context: Context) -> None:
    assert "EPS" in Image.registered_extensions().values()  # Pillow would, for this one
    (folder / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    assert "not a picture of a known format" in problem(lambda: LoadImage("a.png", context)).message


@pytest.mark.parametrize(
    "name",
    [
        "missing.png", "../secret.png", "a/../../secret.png", "/etc/passwd", "~/x.png", "C:\\x.png", "\\\\host\\x.png",
        "file:///etc/passwd", "nul\0.png", "", ".", "..", "x" * 5000 + ".png", "folder.png", "pipe.png", "link.png",
        "linked/secret.png", "sibling.png", "http://127.0.0.1/x.png",
    ],
)  # fmt: skip
def test_nothing_outside_the_input_folder_and_nothing_but_a_file_is_opened(
    folder: Path, context: Context, tmp_path: Path, name: str
) -> None:
    two_colours().save(tmp_path / "secret.png")
    (tmp_path / "input-secret").mkdir()
    two_colours().save(tmp_path / "input-secret" / "x.png")
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "sibling.png").symlink_to(tmp_path / "input-secret" / "x.png")
    assert find_picture(name, context.roots) is None
    found = problem(lambda: LoadImage(name, context))
    assert found.code == "bad_value"
    assert "there is no input file" in found.message
    assert len(found.message) < 200


def test_a_link_inside_the_input_folder_is_followed(folder: Path, context: Context) -> None:
    two_colours().save(folder / "a.png")
    (folder / "b.png").symlink_to("a.png")
    assert LoadImage("b.png", context).IMAGE.shape == (1, 8, 12, 3)


def test_the_text_limit_of_this_pillow_is_what_keeps_bombs_small() -> None:
    assert PngImagePlugin.MAX_TEXT_CHUNK <= 1 << 20
