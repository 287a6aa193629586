"""Files: what they are is decided by content, and what cannot be read is a problem, never an exception."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

from nodegraph.workflow.limits import Limits
from nodegraph.workflow.read import load_file
from tests.workflow.support import HEAD, codes, only, peak_bytes

JSON = '{"nodegraph": 1, "nodes": {"a": {"uses": "X"}}}'
PROMPT = '{"3": {"class_type": "X", "inputs": {}}}'


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("w.yaml", HEAD),
        ("w.yml", HEAD),
        ("w.json", JSON),
        ("w.json", "\n\t " + JSON),
        # A suffix may be wrong or missing.
        ("w.yaml", JSON),
        ("w.json", HEAD),
        ("w", HEAD),
        ("w.txt", JSON),
        ("w.json", PROMPT),
        ("w.yaml", PROMPT),
        # YAML in braces, and JSON's braces with a remark after them.
        ("w.yaml", "{nodegraph: 1, nodes: {a: {uses: X}}}"),
        ("w", "{nodegraph: 1, nodes: {a: {uses: X}}}"),
        ("w.yaml", JSON + " # remark"),
    ],
)
def test_content_decides(name: str, content: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    loaded = load_file(path)
    assert codes(loaded) == []
    assert loaded.workflow is not None
    assert [node.uses for node in loaded.workflow.nodes.values()] == ["X"]
    assert loaded.workflow.file == str(path)
    place = next(iter(loaded.workflow.nodes.values())).place
    assert place.file == str(path)


def test_a_missing_file_names_a_similar_one(tmp_path: pathlib.Path) -> None:
    (tmp_path / "hello.yaml").write_text(HEAD)
    problem = only(load_file(tmp_path / "helo.yaml"))
    assert problem.code == "file_not_found"
    assert "hello.yaml" in (problem.hint or "")
    assert only(load_file(tmp_path / "no" / "such" / "folder.yaml")).code == "file_not_found"


def test_a_folder(tmp_path: pathlib.Path) -> None:
    assert only(load_file(tmp_path)).code == "file_unreadable"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_names_that_no_file_has(name: str) -> None:
    assert only(load_file(name)).code == "file_unreadable"


def test_pipes_and_devices_are_not_waited_for(tmp_path: pathlib.Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    assert only(load_file(pipe)).code == "file_unreadable"
    assert only(load_file("/dev/zero")).code == "file_unreadable"


def test_a_file_of_a_hundred_megabytes_is_not_read_whole(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as stream:
        stream.truncate(100_000_000)
    assert peak_bytes(lambda: only(load_file(path))) < 50_000_000
    assert only(load_file(path)).code == "file_too_large"
    path.write_text(HEAD)
    assert only(load_file(path, limits=Limits(bytes=10))).code == "file_too_large"


@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (HEAD.encode("utf-16"), 1, 1),
        (HEAD.encode("utf-16-le"), 1, 1),
        (HEAD.encode("utf-16-be"), 1, 1),
        (b"nodegraph: 1\nname: caf\xe9 x\nnodes: {}\n", 2, 10),
        (b"\xef\xbb\xbfname: \xc3", 1, 7),
        ("name: ⭐".encode() + b"\xff", 1, 8),
        (b"\xed\xa0\x80", 1, 1),
    ],
)
def test_text_that_is_not_utf_8(data: bytes, line: int, column: int, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_bytes(data)
    problem = only(load_file(path))
    assert (problem.code, problem.place.line, problem.place.column) == ("bad_encoding", line, column)
    assert "UTF-8" in (problem.hint or "")
    problem.render()


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\0\0\0\0WAVE"])
def test_other_pictures(start: bytes, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "p.jpg"
    path.write_bytes(start + bytes(100))
    assert only(load_file(path)).code == "not_a_workflow"


def test_nothing_heavy_is_imported_before_a_file_is_read() -> None:
    modules = "nodegraph.workflow, nodegraph.workflow.read, nodegraph.workflow.params, nodegraph.workflow.write"
    code = f"import sys; before = set(sys.modules); import {modules}; print(*sys.modules.keys() - before)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = {name.partition(".")[0] for name in result.stdout.split()}
    assert not imported & {"yaml", "json", "jsonschema", "torch", "numpy", "PIL", "networkx"}
