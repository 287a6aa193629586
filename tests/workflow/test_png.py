"""Workflows inside PNG files: read by the chunk, with every chunk bounded."""

from __future__ import annotations

import io
import pathlib
import struct
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from nodegraph.errors import ProblemError
from nodegraph.workflow.limits import Limits
from nodegraph.workflow.png import read_text_chunks
from nodegraph.workflow.read import load_file
from tests.workflow.support import HEAD, codes, only, peak_bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PROMPT = '{"3": {"class_type": "FromPrompt", "inputs": {}}}'


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    return SIGNATURE + chunk(b"IHDR", bytes(13)) + b"".join(chunks) + chunk(b"IEND", b"")


def picture(*texts: tuple[str, str, bool], international: bool = False) -> bytes:
    """A picture as Pillow writes it, with texts (keyword, text, compressed)."""
    info = PngInfo()
    for key, text, is_compressed in texts:
        if international:
            info.add_itxt(key, text, zip=is_compressed)
        else:
            info.add_text(key, text, zip=is_compressed)
    stream = io.BytesIO()
    Image.new("RGB", (3, 2)).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def save(folder: pathlib.Path, data: bytes, name: str = "p.png") -> pathlib.Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("international", [False, True])
def test_texts_that_pillow_writes(is_compressed: bool, international: bool) -> None:
    text = "a star ☆" if international else "a star é"
    data = picture(("one", text, is_compressed), ("two", "x" * 10_000, is_compressed), international=international)
    assert read_text_chunks(data) == {"one": text, "two": "x" * 10_000}


@pytest.mark.parametrize("name", ["p.png", "p.yaml", "p"])
def test_the_workflow_in_a_picture_is_preferred_to_its_prompt(name: str, tmp_path: pathlib.Path) -> None:
    path = save(tmp_path, picture(("prompt", PROMPT, False), ("nodegraph", HEAD, False), international=True), name)
    loaded = load_file(path)
    assert codes(loaded) == []
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["a"].uses == "X"
    assert (loaded.workflow.text, loaded.workflow.file) == (HEAD, str(path))


def test_the_prompt_of_a_picture(tmp_path: pathlib.Path) -> None:
    loaded = load_file(save(tmp_path, picture(("prompt", PROMPT, False))))
    assert loaded.workflow is not None
    assert loaded.workflow.nodes["3"].uses == "FromPrompt"


def test_mistakes_inside_a_picture_say_where(tmp_path: pathlib.Path) -> None:
    path = save(tmp_path, picture(("nodegraph", HEAD + "    wiht: {}\n", False)))
    problem = only(load_file(path))
    assert (problem.place.file, problem.place.line) == (f"{path}[nodegraph]", 5)


def test_a_picture_without_workflow(tmp_path: pathlib.Path) -> None:
    problem = only(load_file(save(tmp_path, picture(("Author", "me", False)))))
    assert problem.code == "no_workflow_in_picture"
    assert problem.hint


def bomb(size: int) -> bytes:
    """Compressed zeros, made without holding them."""
    compressor = zlib.compressobj(9)
    return b"".join(compressor.compress(bytes(1_000_000)) for _ in range(size // 1_000_000)) + compressor.flush()


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_decompression_bomb(kind: bytes) -> None:
    head = b"nodegraph\0\0" if kind == b"zTXt" else b"nodegraph\0\1\0\0\0"
    data = png(chunk(kind, head + bomb(100_000_000)))

    def read() -> None:
        with pytest.raises(ProblemError) as caught:
            read_text_chunks(data)
        assert caught.value.problems[0].code == "file_too_large"

    assert peak_bytes(read) < 50_000_000


def test_many_texts_share_one_limit() -> None:
    texts = [chunk(b"tEXt", f"k{i}\0".encode() + b"x" * 50) for i in range(3)]
    assert len(read_text_chunks(png(*texts), Limits(bytes=200))) == 3
    with pytest.raises(ProblemError) as caught:
        read_text_chunks(png(*texts), Limits(bytes=140))
    assert caught.value.problems[0].code == "file_too_large"


@pytest.mark.parametrize(
    "data",
    [
        SIGNATURE,
        SIGNATURE + b"\0\0",
        picture(("nodegraph", HEAD, False))[:-20],
        png()[:-12],
        SIGNATURE + struct.pack(">I", 0xFFFFFFFF) + b"tEXt" + bytes(100),
        SIGNATURE + struct.pack(">I", 0x7FFFFFFF) + b"tEXt" + bytes(100),
        png(chunk(b"tEXt", b"a\0b")[:-1] + b"!"),
        png(chunk(b"zTXt", b"a\0\0not deflated")),
        png(chunk(b"zTXt", b"a\0\0" + zlib.compress(b"x" * 1000)[:-6])),
        png(chunk(b"iTXt", b"a\0\0\0\0\0\xff\xfe")),
    ],
)
def test_damaged_files(data: bytes, tmp_path: pathlib.Path) -> None:
    problem = only(load_file(save(tmp_path, data)))
    assert problem.code == "file_unreadable"
    assert "damaged" in problem.message


def test_odd_but_harmless_chunks() -> None:
    data = png(
        chunk(b"tEXt", b"no zero at all"),
        chunk(b"tEXt", b"k\0first"),
        chunk(b"tEXt", b"k\0second"),
        chunk(b"abCd", bytes(50)),
    )
    assert read_text_chunks(data) == {"no zero at all": "", "k": "first"}


def test_a_large_picture_is_passed_over_without_being_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as stream:
        stream.write(SIGNATURE + chunk(b"IHDR", bytes(13)) + struct.pack(">I", 100_000_000) + b"IDAT")
        stream.seek(100_000_004, io.SEEK_CUR)
        stream.write(chunk(b"tEXt", b"nodegraph\0" + HEAD.encode()) + chunk(b"IEND", b""))
    assert load_file(path).workflow is not None


def test_what_is_no_png(tmp_path: pathlib.Path) -> None:
    for given in (b"", b"GIF89a", tmp_path / "none.png", tmp_path):
        with pytest.raises(ProblemError):
            read_text_chunks(given)
