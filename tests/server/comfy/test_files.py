"""Pictures in and out: /upload/image, /upload/mask and /view."""

from __future__ import annotations

import asyncio
import io
import json
import os
from typing import Any

import pytest
import requests
from PIL import Image, PngImagePlugin

from tests.server.comfy.support import Client, Running, png


def upload(server: Running, name: str, data: bytes, path: str = "/upload/image", **fields: str) -> requests.Response:
    return requests.post(server.url + path, files={"image": (name, data)}, data=fields, timeout=60)


def view(server: Running, **query: str) -> requests.Response:
    return requests.get(server.url + "/view", params=query, timeout=60)


def uploaded(answer: requests.Response) -> tuple[str, str, str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"name", "subfolder", "type"}
    return body["name"], body["subfolder"], body["type"]


@pytest.mark.parametrize("path", ["/upload/image", "/api/upload/image"])
def test_a_picture_goes_in_and_comes_out(server: Running, path: str) -> None:
    data = png((1, 2, 3))
    assert uploaded(upload(server, "round.png", data, path)) == ("round.png", "", "input")
    answer = view(server, filename="round.png", type="input")
    assert answer.content == data
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_taken_name_gets_a_number_unless_the_picture_is_the_same(server: Running) -> None:
    one, two, three = (png((i, 0, 0)) for i in (1, 2, 3))
    sub = {"subfolder": "names/deep"}
    assert uploaded(upload(server, "a.png", one, **sub)) == ("a.png", "names/deep", "input")
    assert uploaded(upload(server, "a.png", one, **sub))[0] == "a.png"
    assert uploaded(upload(server, "a.png", two, **sub))[0] == "a (1).png"
    assert uploaded(upload(server, "a.png", two, **sub))[0] == "a (1).png"
    assert uploaded(upload(server, "a.png", three, **sub))[0] == "a (2).png"
    assert uploaded(upload(server, "a.png", three, **sub, overwrite="true"))[0] == "a.png"
    assert view(server, filename="a.png", subfolder="names/deep", type="input").content == three
    assert uploaded(upload(server, "a.png", one, type="temp"))[2] == "temp"
    assert not list(server.settings.input.rglob(".*"))


@pytest.mark.parametrize(
    ("name", "format", "kept"),
    [
        ("photo.JPG", "JPEG", "photo.JPG"),
        ("page.html", "PNG", "page.png"),
        ("none", "WEBP", "none.webp"),
        ("wrong.png", "JPEG", "wrong.jpg"),
        ("some/folder/x.gif", "GIF", "x.gif"),
        ("ünïcode 日本.png", "PNG", "ünïcode 日本.png"),
    ],
)
def test_what_a_picture_is_decides_its_ending(server: Running, name: str, format: str, kept: str) -> None:
    assert uploaded(upload(server, name, png(format=format)))[0] == kept


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html><script>alert(1)</script></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"\x89PNG\r\n\x1a\n<html>",
        png((1, 2, 3), (300, 300))[:-60],
        b"GIF89a",
    ],
)
def test_what_is_no_picture_is_refused(server: Running, data: bytes) -> None:
    answer = upload(server, "fine.png", data, subfolder="refused")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "file_unreadable"
    assert not (server.settings.input / "refused").exists()


def test_a_picture_of_too_many_pixels_is_refused(server: Running) -> None:
    head = bytearray(png())
    head[16:24] = (60_000).to_bytes(4, "big") * 2
    answer = upload(server, "huge.png", bytes(head))
    assert answer.status_code == 400
    assert view(server, filename="huge.png", type="input").status_code == 404


@pytest.mark.parametrize("folder", ["..", "../x", "a/../../b", "/etc", "C:\\x", "a\x00b", "link", "x" * 300, ".hidden"])
def test_a_picture_stays_inside(server: Running, folder: str) -> None:
    link = server.settings.input / "link"
    if not link.is_symlink():
        link.symlink_to(server.settings.input.parent)
    answer = upload(server, "stay.png", png(), subfolder=folder)
    if folder == "/etc":  # below the input folder, as every name is
        assert uploaded(answer)[1] == "etc"
    else:
        assert answer.status_code == 400
    assert not list(server.settings.input.parent.glob("*.png"))
    assert "/tmp" not in answer.text


@pytest.mark.parametrize("name", [".png", "..", ".hidden.png", "x" * 300 + ".png"])
def test_names_that_files_cannot_have(server: Running, name: str) -> None:
    assert upload(server, name, png()).status_code == 400


def test_forms_that_make_no_sense(server: Running) -> None:
    url = server.url + "/upload/image"
    assert requests.post(url, json={}, timeout=60).status_code in (403, 415)
    assert requests.post(url, files={"other": ("a.png", png())}, timeout=60).status_code == 400
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert requests.post(url, data=b"nonsense", headers=broken, timeout=60).status_code == 400
    assert requests.post(url, data=b"", headers={"Content-Type": "multipart/form-data"}, timeout=60).status_code == 400
    assert upload(server, "a.png", png(), type="elsewhere").status_code == 404
    many = [("image", (f"{i}.png", png())) for i in range(50)]
    assert requests.post(url, files=many, timeout=60).status_code == 400
    strange = {"Origin": "http://evil.example"}
    files = {"image": ("evil.png", png())}
    assert requests.post(url, files=files, headers=strange, timeout=60).status_code == 403


def test_a_mask_becomes_the_transparency_of_its_picture(server: Running) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("prompt", '{"kept": 1}')
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (10, 20, 30)).save(out, "PNG", pnginfo=texts)
    (server.settings.output / "sub").mkdir(exist_ok=True)
    (server.settings.output / "sub" / "under.png").write_bytes(out.getvalue())
    reference = {"filename": "under.png", "subfolder": "sub", "type": "output"}
    mask = png((0, 0, 0, 77))
    answer = upload(server, "masked.png", mask, "/upload/mask", original_ref=json.dumps(reference))
    name, _, kind = uploaded(answer)
    with Image.open(server.settings.input / name) as made:
        assert made.getpixel((3, 3)) == (10, 20, 30, 77)
        assert made.text["prompt"] == '{"kept": 1}'  # pyright: ignore[reportAttributeAccessIssue]
    assert kind == "input"
    for wrong in ("", "3", "{", '{"filename": "../x.png"}', '{"filename": "nowhere.png"}'):
        refused = upload(server, "masked.png", mask, "/upload/mask", original_ref=wrong)
        assert refused.status_code in (400, 404)


def test_other_versions_of_a_picture(server: Running) -> None:
    uploaded(upload(server, "versions.png", png((10, 20, 30, 40))))
    asked: list[tuple[dict[str, str], str, str]] = [
        ({"preview": "webp;90"}, "image/webp", "WEBP"),
        ({"preview": "jpeg"}, "image/jpeg", "JPEG"),
        ({"preview": "webp;90", "channel": "rgb"}, "image/webp", "WEBP"),
        ({"channel": "rgb"}, "image/png", "PNG"),
        ({"channel": "a"}, "image/png", "PNG"),
    ]
    for query, kind, format in asked:
        answer = view(server, filename="versions.png", type="input", **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == kind
        assert Image.open(io.BytesIO(answer.content)).format == format
    alpha = Image.open(io.BytesIO(view(server, filename="versions.png", type="input", channel="a").content))
    assert (alpha.mode, alpha.getpixel((0, 0))) == ("RGBA", (0, 0, 0, 40))  # as editors of masks read it
    rgb = view(server, filename="versions.png", type="input", channel="rgb").content
    assert Image.open(io.BytesIO(rgb)).getpixel((0, 0)) == (10, 20, 30)
    for query in ({"preview": "webp;-1"}, {"preview": "999999x999999"}, {"preview": "exe"}, {"channel": "x"}):
        assert view(server, filename="versions.png", type="input", **query).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        {"filename": "../secret.png"},
        {"filename": "..%2fsecret.png"},
        {"filename": "/etc/passwd"},
        {"filename": "secret.png", "subfolder": ".."},
        {"filename": "secret.png", "subfolder": "loop"},
        {"filename": "secret.png", "type": "elsewhere"},
        {"filename": "pipe.png"},
        {"filename": "folder.png"},
        {"filename": "a\x00b"},
        {"filename": "x" * 5000},
    ],
)
def test_nothing_outside_is_shown(server: Running, query: dict[str, str]) -> None:
    output = server.settings.output
    (output.parent / "secret.png").write_bytes(png())
    (output / "folder.png").mkdir(exist_ok=True)
    if not (output / "loop").is_symlink():
        (output / "loop").symlink_to(output.parent)
        os.mkfifo(output / "pipe.png")
    answer = view(server, **query)
    assert answer.status_code == 404
    assert str(output.parent) not in answer.text


def test_view_without_a_name(server: Running) -> None:
    assert view(server).status_code == 400


def test_an_uploaded_picture_is_used(server: Running) -> None:
    name, subfolder, _ = uploaded(upload(server, "used.png", png((200, 100, 50), (16, 16)), subfolder="used"))
    prompt: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": f"{subfolder}/{name}"}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }

    async def main() -> dict[str, Any]:
        async with Client(server.url, "uploading") as client:
            _, told = await client.run(prompt)
            return next(m["data"]["output"]["images"][0] for m in told if m["type"] == "executed")

    image = asyncio.run(main())
    assert image["type"] == "temp"
    answer = view(server, **image)
    assert Image.open(io.BytesIO(answer.content)).convert("RGB").getpixel((5, 5)) == (200, 100, 50)
