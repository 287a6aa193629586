"""Who gets in: host names, other sites, tokens, methods, and what the answers and the logs say."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from nodegraph.errors import ProblemError
from nodegraph.jobs.service import LocalJobService
from nodegraph.jobs.settings import JobSettings
from nodegraph.server.app import make_app
from nodegraph.server.login import login_path
from nodegraph.server.settings import ServerLimits, ServerSettings
from tests.server.support import JSON, SUM, YAML, Server, serving

TOKEN = "a-long-secret-of-the-tests"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.mark.parametrize(
    "host",
    ["evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "2130706433", "[::1%25eth0]", "[fe80::1%eth0]", "0.0.0.0",
     "localhost.", "localhost:99999999", "", "127.0.0.1@evil.com", "evil.com:8188", None],
)  # fmt: skip
@pytest.mark.parametrize("more", [{}, UPGRADE])
def test_other_host_names_are_refused_on_every_request(server: Server, host: str | None, more: dict[str, str]):
    for path in ("/api/v1/events", "/healthz", "/nothing"):
        answer = server.get(path, {**more, "Host": host})
        if answer.status != 400:  # a request without any Host is no HTTP/1.1
            assert answer.status == 421
            assert answer.code == "wrong_host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8188", "127.0.0.1", "[::1]:8188"])
def test_the_names_of_this_machine_are_taken(server: Server, host: str):
    assert server.get("/healthz", {"Host": host}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.com"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "file://"},
        {"Origin": "http://evil.com", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_changes_nothing_and_opens_no_websocket(server: Server, headers: dict[str, str]):
    before = server.get("/api/v1/jobs").json["total"]
    for kind in (YAML, JSON):
        answer = server.ask("POST", "/api/v1/jobs", SUM, {**kind, **headers})
        assert (answer.status, answer.code) == (403, "wrong_origin")
    assert server.ask("DELETE", "/api/v1/jobs?state=queued", headers=headers).status == 403
    for path in ("/prompt", "/queue", "/interrupt", "/history", "/free", "/settings", "/upload/image", "/userdata/x"):
        for prefix in ("", "/api"):
            answer = server.ask("POST", prefix + path, "{", {**JSON, **headers})
            assert (answer.status, answer.code) == (403, "wrong_origin")  # the body, which is no JSON, was not read
    for path in ("/api/v1/events", "/ws", "/api/ws?clientId=a"):
        assert server.get(path, {**UPGRADE, **headers}).status == 403
    assert server.get("/api/v1/jobs").json["total"] == before


def test_the_own_page_may_do_everything(server: Server):
    own = {"Origin": f"http://127.0.0.1:{server.port}", "Sec-Fetch-Site": "same-origin"}
    assert server.ask("POST", "/api/v1/queue/resume", headers=own).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain;charset=application/json", "application/x-www-form-urlencoded", None]
)
def test_a_body_that_any_page_could_send_is_not_read(server: Server, kind: str | None):
    before = server.get("/api/v1/jobs").json["total"]
    for path in ("/api/v1/jobs", "/api/v1/batches", "/api/v1/queue/cancel"):
        answer = server.ask("POST", path, json.dumps({"workflow": SUM}), {"Content-Type": kind})
        assert (answer.status, answer.code) == (403, "wrong_origin")
    assert server.get("/api/v1/jobs").json["total"] == before


def test_methods_that_an_address_does_not_have(server: Server):
    wrong = server.ask("PUT", "/api/v1/queue")
    assert (wrong.status, wrong.code, wrong.headers["Allow"]) == (405, "wrong_method", "GET,HEAD")
    for method in ("TRACE", "CONNECT", "PROPFIND"):
        assert server.ask(method, "/api/v1/queue").status in (400, 405)
    assert server.ask("TRACE", "/api/v1/queue").headers["Allow"] == "GET, HEAD, OPTIONS"
    options = server.ask("OPTIONS", "/api/v1/queue")
    assert (options.status, options.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert "Access-Control-Allow-Origin" not in options.headers
    head = server.ask("HEAD", "/api/v1/queue")
    assert (head.status, head.body) == (200, b"")


def test_every_address_says_which_methods_it_has(server: Server):
    addresses = {resource.canonical: {route.method for route in resource} for resource in server.app.router.resources()}
    for address, methods in addresses.items():
        path = re.sub(r"\{[^}]*\}", "x", address)
        if "*" in methods or path.endswith("/move/x"):  # what can also be read as the name of a file
            continue
        for method in {"PUT", "POST", "PATCH", "DELETE"} - methods:
            answer = server.ask(method, path, "{}", JSON)
            assert (answer.status, answer.code) == (405, "wrong_method"), (method, path)
            assert methods <= set(answer.headers["Allow"].split(","))


def test_every_answer_has_the_headers_that_protect(server: Server):
    for path in ("/healthz", "/api/v1/queue", "/nothing", "/api/v1/docs", "/metrics"):
        headers = server.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert headers["Referrer-Policy"] == "same-origin"
        assert "aiohttp" not in headers["Server"]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.com\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_malformed_requests_get_an_answer_without_a_traceback(server: Server, data: bytes):
    answer = server.raw(data)
    assert answer.split(b" ")[1][:1] == b"4"
    assert b"Traceback" not in answer
    assert b".py" not in answer


def test_a_body_over_the_limit_is_refused(tmp_path: Path):
    with serving(tmp_path, limits=ServerLimits(body=10_000)) as server:
        assert server.ask("POST", "/api/v1/jobs", "a" * 10_001, YAML).code == "body_too_large"
        chunked = b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        chunked += b"Content-Type: application/yaml\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert b" 413 " in server.raw(chunked + b"4000\r\n" + b"a" * 0x4000 + b"\r\n0\r\n\r\n").split(b"\r\n")[0]


def test_a_server_that_others_can_reach_does_not_start_without_a_token(tmp_path: Path):
    service = LocalJobService(JobSettings(tmp_path))
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org", ""):
        with pytest.raises(ProblemError, match="open to everyone"):
            make_app(service, ServerSettings(host=host))
    with pytest.raises(ProblemError, match="fewer than 8"):
        make_app(service, ServerSettings(host="0.0.0.0", token="short"))
    make_app(service, ServerSettings(host="0.0.0.0", token=TOKEN))


def test_a_token_lets_in_and_nothing_else_does(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    with serving(tmp_path, token=TOKEN) as server:
        assert server.get("/healthz").status == 200
        for headers in (
            {},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": TOKEN},
            {"Cookie": f"nodegraph_{server.port}={TOKEN}"},
        ):
            answer = server.get("/api/v1/queue", headers)
            assert (answer.status, answer.code) == (401, "not_logged_in")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert server.get(f"/api/v1/queue?token={TOKEN}").status == 401
        assert server.get("/api/v1/events", UPGRADE).status == 401
        page = server.get("/", {"Accept": "text/html"})
        assert (page.status, page.headers["Content-Type"]) == (401, "text/html; charset=utf-8")
        assert server.get("/api/v1/queue", {"Authorization": f"Bearer {TOKEN}"}).status == 200
    assert TOKEN not in caplog.text


def test_a_login_link_works_once_and_gives_a_cookie_that_scripts_cannot_read(tmp_path: Path):
    with serving(tmp_path, token=TOKEN) as server:
        path = login_path(server.app)
        entered = server.get(path)
        assert (entered.status, entered.headers["Location"]) == (303, "/")
        cookie = entered.headers["Set-Cookie"]
        assert cookie.startswith(f"nodegraph_{server.port}=")  # servers on other ports do not get in its way
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        assert server.get("/api/v1/queue", {"Cookie": cookie.split(";")[0]}).status == 200
        assert server.get(path).status == 401
        by_form = server.ask("POST", "/login", f"token={TOKEN}", {"Content-Type": "application/x-www-form-urlencoded"})
        assert (by_form.status, by_form.headers["Set-Cookie"].split(";")[0]) == (303, cookie.split(";")[0])


def test_guessing_is_slowed_down(tmp_path: Path):
    with serving(tmp_path, token=TOKEN, limits=ServerLimits(failures=3)) as server:
        for _ in range(3):
            assert server.get("/api/v1/queue", {"Authorization": "Bearer wrong"}).status == 401
        blocked = server.get("/api/v1/queue", {"Authorization": f"Bearer {TOKEN}"})
        assert (blocked.status, blocked.code, blocked.headers["Retry-After"]) == (429, "too_many_attempts", "60")


def test_the_access_log_has_no_queries_and_no_bodies(server: Server, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    server.get("/api/v1/queue?secret=hidden-thing")
    server.ask("POST", "/api/v1/jobs", "nodegraph: 1\ndescription: hidden-thing", YAML)
    assert "GET /api/v1/queue 200" in caplog.text
    assert "hidden-thing" not in caplog.text


def test_settings_may_name_further_hosts(tmp_path: Path):
    with serving(tmp_path, allowed_hosts=("pictures.example",)) as server:
        assert server.get("/healthz", {"Host": "pictures.example"}).status == 200
        own = {**YAML, "Host": "pictures.example", "Origin": "https://pictures.example"}
        assert server.ask("POST", "/api/v1/jobs", SUM, own).status == 201
        assert server.get("/healthz", {"Host": "other.example"}).status == 421
