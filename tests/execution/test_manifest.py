"""What is recorded of a run, and what verification finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nodegraph.errors import ProblemError
from nodegraph.execution.manifest import Manifest, keep_manifest, read_manifest, write_manifest
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.execution.verify import verify
from nodegraph.node import node
from nodegraph.version import VERSION
from nodegraph.workflow.read import load_text
from tests.toys import registry

TEXT = """\
nodegraph: 1
params: {start: 2}
nodes:
  n: {uses: Number, with: {value: $start}}  # begins
  m: {uses: Add, with: {left: $n}}
  s: {uses: Show, with: {value: $m}}
"""


def run(
    folder: Path, text: str = TEXT, params: dict[str, object] | None = None, *more: Callable[..., object]
) -> Manifest:
    workflow = load_text(text, file="w.yaml").workflow
    assert workflow is not None
    with Session(Settings(cache_dir=folder / "cache"), registry(*more)) as session:
        manifest = session.run(workflow, params).manifest
    assert manifest is not None
    return manifest


def test_every_run_leaves_a_manifest(tmp_path: Path):
    first, second = run(tmp_path), run(tmp_path, params={"start": 3})
    kept = sorted((tmp_path / "cache").rglob("runs/*.json"))
    assert {read_manifest(path).run for path in kept} == {first.run, second.run}
    assert read_manifest(next(path for path in kept if path.stem == first.run)) == read_back(first)
    assert first.workflow == TEXT
    assert first.params == {"start": 2}
    assert first.versions["nodegraph"] == VERSION
    assert "torch" in first.versions
    assert [node["action"] for node in first.nodes.values()] == ["run"] * 3
    assert first.nodes["n"]["reason"] == "never_run"
    changed = second.nodes["n"]
    assert (changed["reason"], changed["field"], changed["old"], changed["new"]) == ("input_changed", "value", 2, 3)
    assert second.nodes["s"]["root"]["node"] == "n"
    for each in second.nodes.values():
        assert len(bytes.fromhex(each["key"])) == 32
        assert each["seconds"] >= 0
        assert each["bytes"] >= 0
    assert second.workflow == TEXT  # the parameters stand beside it
    again = run(tmp_path)
    assert [node["action"] for node in again.nodes.values()] == ["hit"] * 3
    assert [node["outputs"] for node in again.nodes.values()] == [node["outputs"] for node in first.nodes.values()]


def read_back(manifest: Manifest) -> Manifest:
    data: dict[str, Any] = json.loads(json.dumps(manifest.to_json()))
    return Manifest(**data)


def test_a_failed_run_is_recorded_too(tmp_path: Path):
    @node(category="toys")
    def Fail(value: int) -> int:
        raise ValueError("no luck")

    text = TEXT.replace("uses: Add, with: {left: $n}", "uses: Fail, with: {value: $n}")
    manifest = run(tmp_path, text, None, Fail)
    assert manifest.status == "failed"
    assert manifest.problems[0]["code"] == "node_failed"
    assert manifest.nodes["s"]["action"] == "not run"


def test_only_the_newest_manifests_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nodegraph.execution.manifest.MAX_KEPT", 3)
    manifest = run(tmp_path)
    for i in range(9):
        keep_manifest(replace(manifest, run=f"20300101T00000{i}-00000008"), tmp_path / "runs")
    assert sorted(path.name[14:15] for path in (tmp_path / "runs").iterdir()) == ["6", "7", "8"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1}', '{"format": 1, "x": 2}', "\x00"])
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "m.json"
    path.write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011 (JSON's own errors are among them)
        read_manifest(path)


class TestVerify:
    def check(self, manifest: Manifest, folder: Path, *more: Callable[..., object]) -> Any:
        with Session(Settings(cache_dir=folder / "cache"), registry(*more)) as session:
            return verify(manifest, session.settings, session.registry, recorded=session.store.values)

    def test_a_run_that_comes_out_the_same(self, tmp_path: Path):
        verdict = self.check(run(tmp_path, params={"start": 5}), tmp_path)
        assert verdict.same
        assert verdict.compared == 3

    def test_the_first_node_that_differs_is_named_with_the_largest_difference(self, tmp_path: Path):
        drift = [0.0]

        @node(category="toys", numeric=False)
        def Drift(value: int) -> float:
            return value + drift[0]

        text = TEXT.replace("uses: Add, with: {left: $n}", "uses: Drift, with: {value: $n}")
        manifest = run(tmp_path, text, None, Drift)
        drift[0] = 0.25
        verdict = self.check(manifest, tmp_path, Drift)
        found = verdict.difference
        assert (found.node, found.type, found.output, found.largest) == ("m", "Drift", 0, 0.25)
        assert not found.action_differs
        assert not verdict.same
        (tmp_path / "cache").rename(tmp_path / "elsewhere")  # what it was cannot be known then
        assert self.check(manifest, tmp_path, Drift).difference.largest is None

    def test_changed_code_is_told_from_chance(self, tmp_path: Path):
        def step(plus: int) -> Callable[..., object]:
            @node(category="toys", version=plus, numeric=False)
            def Step(value: int) -> int:
                return value + plus

            return Step

        text = TEXT.replace("uses: Add, with: {left: $n}", "uses: Step, with: {value: $n}")
        found = self.check(run(tmp_path, text, None, step(1)), tmp_path, step(2)).difference
        assert (found.node, found.action_differs, found.largest) == ("m", True, 1.0)

    def test_a_workflow_that_cannot_run_any_more(self, tmp_path: Path):
        @node(category="toys", numeric=False)
        def Step(value: int) -> int:
            return value

        manifest = run(
            tmp_path, TEXT.replace("uses: Add, with: {left: $n}", "uses: Step, with: {value: $n}"), None, Step
        )
        with pytest.raises(ProblemError, match="Step"):
            self.check(manifest, tmp_path)

    def test_nothing_is_written_beside(self, tmp_path: Path):
        manifest = run(tmp_path)
        before = sorted((tmp_path / "cache").rglob("*.json"))
        self.check(manifest, tmp_path)
        assert sorted((tmp_path / "cache").rglob("*.json")) == before


def test_a_manifest_is_written_whole_or_not_at_all(tmp_path: Path):
    manifest = run(tmp_path)
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError):  # noqa: PT011 (which one, the system decides)
        write_manifest(manifest, target)
    assert list(target.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".taken")] == []
