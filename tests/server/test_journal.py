"""The log over HTTP: what happened to jobs, what nodes log, and nothing that is nobody's business."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodegraph.server.journal import KEPT
from tests.server.support import Server, serving

TOKEN = "a-long-secret-of-the-tests"
PACK = '''
import logging

from nodegraph.node import node
from nodegraph.sockets import Saved


@node(category="test", output_node=True)
def Talk(text: str) -> Saved:
    """Says something in its log."""
    logging.getLogger("talking").warning("the pack warns")
    logging.getLogger("talking").info("the pack chats")
    return Saved(shown={"text": [text]})
'''
TALK = "nodegraph: 1\nnodes:\n  talk: {uses: Talk, with: {text: my secret prompt}}\n"


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes/talk.py").write_text(PACK)
    with serving(tmp_path) as server:
        yield server


def lines(server: Server, after: int = 0) -> list[Any]:
    return server.get(f"/api/v1/logs?after={after}").json["lines"]


def test_jobs_and_what_nodes_warn_of_are_in_the_log_but_no_prompt(talking: Server):
    job = talking.submit(TALK)["id"]
    talking.wait(job)
    found = lines(talking)
    assert [line["seq"] for line in found] == sorted({line["seq"] for line in found})
    messages = [line["message"] for line in found]
    assert f"job {job} began on cpu, try 1" in messages
    assert any(message.startswith(f"job {job} is done") for message in messages)
    assert ("warning", "cpu, talking: the pack warns") in [(line["level"], line["message"]) for line in found]
    assert "secret prompt" not in str(found)
    assert "chats" not in str(found)
    assert lines(talking, after=found[-1]["seq"]) == []
    last = talking.get("/api/v1/logs?limit=1").json
    assert [line["seq"] for line in last["lines"]] == [last["last"]]
    assert talking.get("/api/v1/logs?after=x").code == "bad_request"


def test_the_log_is_bounded_and_never_has_the_token(tmp_path: Path):
    with serving(tmp_path, token=TOKEN) as server:
        log = logging.getLogger("nodegraph.server")
        for number in range(KEPT + 5):
            log.info("line %d with %s\x1b[0m", number, TOKEN)
        found = server.get("/api/v1/logs", {"Authorization": f"Bearer {TOKEN}"})
        assert len(found.json["lines"]) == KEPT
        assert TOKEN.encode() not in found.body
        assert f"line {KEPT + 4} with … [0m" in [line["message"] for line in found.json["lines"]]
        assert server.get("/api/v1/logs").code == "not_logged_in"


def test_logging_is_as_it_was_when_a_server_has_ended(tmp_path: Path):
    logger = logging.getLogger("nodegraph")
    before = logger.level, list(logger.handlers)
    with serving(tmp_path):
        assert (logger.level, logger.handlers) != before
    assert (logger.level, logger.handlers) == before
