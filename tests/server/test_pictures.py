"""Pictures over HTTP: what is served, how, and what is not; and what may be uploaded."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import PIL.Image
import pytest

from tests.server.support import SUM, Answer, Server, form, picture

OUTPUTS = "/api/v1/outputs"


def id_of(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def put(server: Server, name: str, data: bytes) -> str:
    """Put a file among the outputs; the address of its facts."""
    path = server.folder / "output" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return f"{OUTPUTS}/{id_of(name)}"


def upload(server: Server, data: bytes, name: str = "a.png", kind: str = "image/png") -> Answer:
    body, headers = form(("picture", name, data, kind))
    return server.ask("POST", "/api/v1/uploads", body, headers)


def opened(answer: Answer) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(answer.body))


def test_the_gallery_has_the_newest_first_with_what_they_were_made_with(server: Server):
    put(server, "old.png", picture())
    os.utime(server.folder / "output/old.png", (1, 1))
    put(
        server, "sub/new.png", picture((30, 20), nodegraph=SUM, prompt='{"1": {}}', note="<img src=x onerror=alert(1)>")
    )
    put(server, "temp/passing.png", picture())
    files = server.get(OUTPUTS).json["files"]
    names = [file["name"] for file in files]
    assert names[0] == "sub/new.png"
    assert names[-1] == "old.png"
    assert "temp/passing.png" not in names
    facts = server.get(f"{OUTPUTS}/{files[0]['id']}").json
    assert (facts["width"], facts["height"], facts["format"]) == (30, 20, "PNG")
    assert facts["metadata"] == {"nodegraph": SUM, "prompt": {"1": {}}, "note": "<img src=x onerror=alert(1)>"}
    assert opened(server.get(files[0]["file"])).size == (30, 20)


def test_files_are_sent_whole_in_ranges_or_not_again(server: Server):
    data = picture((200, 200))
    address = put(server, "ranges.png", data) + "/file"
    whole = server.get(address)
    assert (whole.body, whole.headers["Content-Type"]) == (data, "image/png")
    assert whole.headers["Content-Disposition"].startswith("inline")
    assert "sandbox" in whole.headers["Content-Security-Policy"]
    tag = whole.headers["ETag"]
    assert server.get(address, {"If-None-Match": tag}).status == 304
    assert server.get(address, {"If-None-Match": '"other"'}).status == 200
    for asked, part in (("0-9", data[:10]), ("10-", data[10:]), ("-5", data[-5:]), ("5-99999999", data[5:])):
        found = server.get(address, {"Range": f"bytes={asked}"})
        assert (found.status, found.body) == (206, part)
        assert found.headers["Content-Range"].endswith(f"/{len(data)}")
    beyond = server.get(address, {"Range": f"bytes={len(data)}-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(data)}")
    for odd in ("bytes=x", "bytes=-", "lines=1-2", "bytes=1-2,5-6", "bytes=" + "9" * 500 + "-"):
        assert server.get(address, {"Range": odd}).body == data
    assert server.get(address, {"Range": "bytes=0-4", "If-Range": '"other"'}).body == data
    head = server.ask("HEAD", address)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(data)))


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "a/../../secret.png", "..", "", "/etc/passwd", "//etc/passwd", "....//secret.png", "a\0b.png",
     "..\\secret.png", "C:\\x.png", "\\\\host\\x", "~/x.png", "x" * 5_000, "file:///etc/passwd", ".", ".hidden.png"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_not_there(server: Server, name: str):
    (server.folder / "secret.png").write_bytes(picture())
    put(server, ".hidden.png", picture())
    for last in ("", "/file", "/thumbnail"):
        for id in (id_of(name), quote(name, safe="")):
            if id not in ("", ".", ".."):
                answer = server.get(f"{OUTPUTS}/{id}{last}")
                assert answer.status == 404 or (answer.status, len(name)) == (400, 5_000)
                assert str(server.folder) not in answer.body.decode()
    assert server.get(f"{OUTPUTS}/%2e%2e%2f%2e%2e%2fetc%2fpasswd/file").code == "not_found"
    assert server.get(f"{OUTPUTS}/..%5c..%5cetc/file").code == "not_found"


def test_links_out_pipes_devices_and_folders_are_not_there(server: Server, tmp_path: Path):
    output = server.folder / "output"
    (server.folder / "output-secret").mkdir()
    (server.folder / "output-secret/x.png").write_bytes(picture())
    (tmp_path / "out.png").write_bytes(picture())
    (output / "link.png").symlink_to(tmp_path / "out.png")
    (output / "linked").symlink_to(tmp_path)
    (output / "sibling").symlink_to(server.folder / "output-secret")
    (output / "null.png").symlink_to("/dev/zero")
    (output / "loop.png").symlink_to("loop.png")
    (output / "folder.png").mkdir()
    os.mkfifo(output / "pipe.png")
    for name in ("link.png", "linked/out.png", "sibling/x.png", "null.png", "loop.png", "folder.png", "pipe.png"):
        for last in ("", "/file", "/thumbnail"):
            assert server.get(f"{OUTPUTS}/{id_of(name)}{last}").code == "not_found"
        assert name not in [file["name"] for file in server.get(OUTPUTS).json["files"]]


@pytest.mark.parametrize(
    ("name", "data", "kind", "inline"),
    [
        ("page.html", b"<script>alert(1)</script>", "application/octet-stream", False),
        ("page.png", b"<html><script>alert(1)</script>", "application/octet-stream", False),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream", False),
        ("page.xhtml", b"<?xml version='1.0'?><html/>", "application/octet-stream", False),
        ("code.js", b"alert(1)", "application/octet-stream", False),
        ("facts.json", b'{"a": "<script>"}', "text/plain; charset=utf-8", True),
        ("both.html", picture() + b"<script>alert(1)</script>", "image/png", True),
        ("photo.bin", picture(kind="JPEG"), "image/jpeg", True),
        ('a";\u2028 b.txt', b"x", "application/octet-stream", False),
    ],
)
def test_what_a_file_is_sent_as_depends_on_its_content(server: Server, name: str, data: bytes, kind: str, inline: bool):
    answer = server.get(put(server, name, data) + "/file")
    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert answer.headers["Content-Disposition"].split(";")[0] == ("inline" if inline else "attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_versions_of_a_picture(server: Server):
    address = put(server, "large.png", picture((900, 300), mode="RGBA"))
    small = server.get(address + "/thumbnail?size=100")
    assert (opened(small).size, small.headers["Content-Type"]) == ((100, 33), "image/webp")
    assert server.get(address + "/thumbnail?size=100", {"If-None-Match": small.headers["ETag"]}).status == 304
    for asked, kind in (("webp", "WEBP"), ("webp;90", "WEBP"), ("jpeg;75", "JPEG"), ("png", "PNG")):
        found = opened(server.get(f"{address}/file?preview={quote(asked)}"))
        assert (found.format, found.size) == (kind, (900, 300))


@pytest.mark.parametrize(
    "preview",
    ["999999x999999", "webp;-1", "webp;0", "webp;101", "webp;9999999", "bmp", "svg;90", "", "webp;", "webp;9;9"],
)
def test_versions_that_there_are_not(server: Server, preview: str):
    address = put(server, "some.png", picture())
    assert server.get(f"{address}/file?preview={quote(preview)}").code == "bad_request"


@pytest.mark.parametrize("size", ["0", "15", "1025", "-5", "1e2", "999999999999", "x"])
def test_sizes_that_there_are_not(server: Server, size: str):
    assert server.get(put(server, "some.png", picture()) + f"/thumbnail?size={size}").code == "bad_request"


def header_of(width: int, height: int) -> bytes:
    """The beginning of a PNG of a size, and nothing of its pixels."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


BOMB = zlib.compress(b"\0" * 50_000_000)


def with_bomb() -> bytes:
    """A picture with a text that is small until it is unpacked."""
    body = b"zTXt" + b"prompt\0\0" + BOMB
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = picture()
    return data[:33] + chunk + data[33:]


def test_damaged_and_huge_pictures_cost_an_error(server: Server):
    for data in (
        header_of(60_000, 60_000),
        header_of(2**31 - 1, 2**31 - 1),
        picture()[:-30],
        b"\x89PNG\r\n\x1a\n",
        b"",
    ):
        address = put(server, "bad.png", data)
        assert server.get(address + "/thumbnail").code in ("file_unreadable", "too_large")
        assert upload(server, data).code in ("file_unreadable", "too_large")
    facts = server.get(put(server, "bomb.png", with_bomb()))
    assert facts.status in (200, 400)
    assert len(facts.body) < 10_000


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "I;16"), ("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "1"), ("WEBP", "RGBA"), ("PNG", "LA")]
)
def test_legal_but_rare_pictures_are_shown(server: Server, kind: str, mode: str):
    address = put(server, f"rare-{mode.replace(';', '')}.png", picture(kind=kind, mode=mode))
    assert opened(server.get(address + "/thumbnail")).size == (64, 48)
    assert opened(server.get(address + "/file?preview=jpeg")).size == (64, 48)


def test_a_picture_is_uploaded_under_a_name_that_is_free(server: Server):
    first, second = upload(server, picture(), "cat.png"), upload(server, picture(), "cat.png")
    assert (first.status, first.json["name"], second.json["name"]) == (201, "cat.png", "cat (1).png")
    assert server.get(first.headers["Location"]).json["width"] == 64
    assert server.get(first.json["file"]).body == picture()
    assert {"cat.png", "cat (1).png"} <= {file["name"] for file in server.get("/api/v1/uploads").json["files"]}


@pytest.mark.parametrize(
    "name",
    ["../../x.png", "..\\x.png", "C:\\x.png", "/etc/x.png", ".png", "", "x" * 300, "😀" * 100, "a\tb", "x.html", "CON"],
)
def test_an_uploaded_name_stays_in_the_folder_and_tells_what_it_is(server: Server, name: str):
    answer = upload(server, picture(kind="JPEG"), name)
    assert answer.status == 201
    stored = answer.json["name"]
    assert stored.endswith(".jpg")
    assert (server.folder / "input" / stored).parent == server.folder / "input"
    assert (server.folder / "input" / stored).is_file()


@pytest.mark.parametrize(
    "data", [b"<html><script>alert(1)</script>", b"<svg onload='x'/>", b"GIF89a", b"MZ", b"", b"%PDF-1.4"]
)
def test_what_is_no_picture_is_not_taken_whatever_it_says_it_is(server: Server, data: bytes):
    before = sorted(path.name for path in (server.folder / "input").iterdir())
    assert upload(server, data).code == "file_unreadable"
    assert sorted(path.name for path in (server.folder / "input").iterdir()) == before


def test_forms_that_are_none(server: Server):
    for body, headers in (
        (b"x", {"Content-Type": "multipart/form-data"}),
        (b"x", {"Content-Type": "multipart/form-data; boundary=edge"}),
        form(("other", None, b"x", "text/plain")),
        form(),
        (picture(), {"Content-Type": "image/png"}),
        (json.dumps({}), {"Content-Type": "application/json"}),
    ):
        assert server.ask("POST", "/api/v1/uploads", body, headers).status in (400, 403, 415)


DRAWN = """\
nodegraph: 1
nodes:
  image: {uses: EmptyImage, with: {width: 40, height: 24}}
  save: {uses: SaveImage, with: {images: $image, filename_prefix: sub/drawn}}
  show: {uses: PreviewImage, with: {images: $image}}
"""


def events_of(server: Server, job: str, kinds: tuple[str, ...]) -> Iterator[Any]:
    """The events of these kinds of a job that has ended."""
    for event in server.events(f"after=0&job={job}"):
        if event["kind"] in kinds:
            yield event
        if event["kind"] == "job_finished":
            break


def test_pictures_of_a_job_come_with_their_addresses(server: Server):
    job = server.wait(server.submit(DRAWN)["id"])
    told = [job["result"]["outputs"][node]["files"] for node in ("save", "show")]
    found = {event["data"]["node"]: event["data"] for event in events_of(server, job["id"], ("finished", "cached"))}
    assert [found[node]["files"] for node in ("save", "show")] == told
    assert found["image"].keys() >= {"node", "type", "seconds"}
    for (file,), kind in zip(told, ("output", "temp"), strict=True):
        assert (file["type"], file["width"], file["height"]) == (kind, 40, 24)
        assert "path" not in file
        assert server.get(file["file"]).headers["Content-Type"] == "image/png"
        assert server.get(file["thumbnail"]).headers["Content-Type"] == "image/webp"
        assert server.get(file["file"].removesuffix("/file")).json["width"] == 40
    again = server.wait(server.submit(DRAWN)["id"])["result"]
    assert again["nodes"]["save"]["state"] == "cached"
    assert again["outputs"]["save"]["files"][0]["file"] == told[0][0]["file"]


def test_a_preview_is_found_below_its_folder_only(server: Server):
    (server.folder / "output/temp").mkdir(parents=True, exist_ok=True)
    (server.folder / "output/outside.png").write_bytes(picture())
    for name in ("../outside.png", "none.png", "/etc/passwd"):
        assert server.get(f"/api/v1/previews/{id_of(name)}/file").status == 404
