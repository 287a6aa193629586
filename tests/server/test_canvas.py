"""The canvas at `/`: only its own files, each as what it is, and nothing that a page could smuggle in."""

from __future__ import annotations

from pathlib import Path

import pytest

from nodegraph.resources import web_folder
from tests.server.support import Server, serving

HTML = {"Accept": "text/html"}


def made(folder: Path) -> Path:
    """A canvas with a file of each sort, and some that are not for browsers."""
    root = folder / "web"
    for name in ("src/view", "vendor-src", "src/node_modules/x"):
        (root / name).mkdir(parents=True)
    texts = {
        "index.html": "<!doctype html><title>canvas</title>",
        "style.css": "body {}",
        "src/main.js": "export {}",
        "src/view/deep.js": "export const deep = 1",
        "vendor-src/build.js": "secret",
        "src/node_modules/x/index.js": "secret",
        "src/notes.md": "secret",
        ".hidden.js": "secret",
        "src/.hidden.js": "secret",
        "README.md": "secret",
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    (folder / "outside.js").write_text("secret")
    (root / "src/link.js").symlink_to(folder / "outside.js")
    return root


@pytest.fixture
def canvas(tmp_path: Path):
    with serving(tmp_path, canvas=made(tmp_path)) as running:
        yield running


def test_the_page_and_its_modules_are_served_as_what_they_are(canvas: Server):
    page = canvas.get("/", HTML)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.body.startswith(b"<!doctype html>")
    assert canvas.get("/style.css").headers["Content-Type"].startswith("text/css")
    for name in ("main.js", "view/deep.js"):
        assert canvas.get(f"/src/{name}").headers["Content-Type"].startswith("text/javascript")
    assert canvas.get("/api/v1/nodes").json["nodes"]


def test_a_browser_asks_again_and_is_told_that_nothing_changed(canvas: Server):
    first = canvas.get("/src/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = canvas.get("/src/main.js", {"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    policy = "Content-Security-Policy"
    assert again.headers[policy] == first.headers[policy] and "blob:" in first.headers[policy]
    (canvas.settings.canvas / "src/main.js").write_text("export const changed = 1")
    assert canvas.get("/src/main.js", {"If-None-Match": first.headers["ETag"]}).body == b"export const changed = 1"


def test_the_policy_lets_nothing_run_that_stands_in_the_page(canvas: Server):
    policy = canvas.get("/").headers["Content-Security-Policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "path",
    ["/README.md", "/src/notes.md", "/vendor-src/build.js", "/src/node_modules/x/index.js", "/.hidden.js",
     "/src/.hidden.js", "/src/link.js", "/src/../../outside.js", "/src/%2e%2e/%2e%2e/outside.js", "/src/none.js",
     "/src/", "/nothing"],
)  # fmt: skip
def test_nothing_else_is_there(canvas: Server, path: str):
    answer = canvas.get(path)
    assert (answer.status, answer.code) == (404, "not_found")
    assert b"secret" not in answer.body


def test_a_browser_without_the_token_gets_the_login_page(tmp_path: Path):
    with serving(tmp_path, canvas=made(tmp_path), token="a-long-secret-of-the-tests") as server:
        page = server.get("/", HTML)
        assert page.status == 401
        assert b"password" in page.body
        assert server.get("/src/main.js").code == "not_logged_in"


def test_the_shipped_page_is_there_and_needs_no_script_of_its_own(server: Server):
    assert (web_folder() / "index.html").is_file()
    page = server.get("/", HTML).body.decode()
    assert "<script>" not in page
    assert "<style" not in page
