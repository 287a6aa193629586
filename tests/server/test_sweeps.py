"""Sweeps from a form: one job for all combinations, with a sheet of the pictures."""

from __future__ import annotations

import io
from typing import Any

import PIL.Image
import pytest

from tests.server.support import Server

DRAWN = """\
nodegraph: 1
params: {width: 16, colour: {type: INT}}
nodes:
  image: {uses: EmptyImage, with: {width: $width, height: 16, color: $colour}}
  save: {uses: SaveImage, with: {images: $image, filename_prefix: cell}}
"""
SUMS = """\
nodegraph: 1
params: {n: 1}
nodes:
  sum: {uses: Add, with: {a: $n, b: 40}}
  tell: {uses: Tell, with: {value: $sum}}
"""


def swept(server: Server, workflow: str, over: Any, **more: Any) -> tuple[Any, Any]:
    """The answer, and the job once it has ended."""
    answer = server.post("/api/v1/sweep", {"workflow": workflow, "over": over, **more})
    assert answer.status == 201, answer.body
    return answer.json, server.wait(answer.json["id"])


def test_a_sweep_is_one_job_whose_outputs_have_a_sheet(server: Server):
    answer, job = swept(server, DRAWN, {"colour": [0, 255, 65280], "image.height": "16,24"})
    assert (job["state"], answer["sheets"]) == ("done", ["grid-file"])
    saved = [node for node in job["result"]["outputs"] if node.startswith("save")]
    assert len(saved) == 6
    (sheet,) = job["result"]["outputs"]["grid-file"]["files"]
    with PIL.Image.open(io.BytesIO(server.get(sheet["file"]).body)) as picture:
        assert picture.width > 2 * 16
        assert picture.height > 3 * 24
    assert server.get("/api/v1/jobs?state=queued").json["total"] == 0


def test_values_side_by_side_without_a_sheet(server: Server):
    answer, job = swept(server, DRAWN, {"colour": [0, 255], "width": "8..9"}, zip=True, grid=False)
    assert answer["sheets"] == []
    sizes = {(file["width"], file["height"]) for each in job["result"]["outputs"].values() for file in each["files"]}
    assert sizes == {(8, 16), (9, 16)}


def test_what_shows_no_picture_needs_no_sheet(server: Server):
    answer, job = swept(server, SUMS, {"n": "1..3"}, params={"n": 5})
    assert answer["sheets"] == []
    told = {tuple(output["shown"]["text"]) for output in job["result"]["outputs"].values()}
    assert told == {("it is 41",), ("it is 42",), ("it is 43",)}


@pytest.mark.parametrize(
    ("over", "more", "said"),
    [
        ({"none": [1]}, {}, "none"),
        ({"n": ["x"]}, {}, "x"),
        ({"n": [1, 2], "sum.b": [1, 2, 3]}, {"zip": True}, "3"),
        ({"n": "1..100000000", "sum.b": "1..100000000"}, {}, ""),
        ({"n": []}, {}, "over"),
        ({}, {}, "over"),
        ({"n": [None]}, {}, "over"),
    ],
)
def test_what_makes_no_sense_is_told_and_nothing_is_queued(server: Server, over: Any, more: Any, said: str):
    before = server.get("/api/v1/jobs").json["total"]
    answer = server.post("/api/v1/sweep", {"workflow": SUMS, "over": over, **more})
    assert (answer.status, said in answer.json["error"]["message"]) == (400, True), answer.body
    assert server.get("/api/v1/jobs").json["total"] == before
