"""What the README and docs/ say is run, so that it stays true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nodegraph
from nodegraph.registry import load_registry
from nodegraph.workflow.read import load_text

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("number", range(len(blocks("README.md", "python"))))
def test_python_examples_of_the_readme_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    code = blocks("README.md", "python")[number].replace('"workflows/', f'"{ROOT.as_posix()}/workflows/')
    names: dict[str, object] = {}
    exec(compile(code, f"README.md, Python example {number + 1}", "exec"), names)
    if "picture" in names:
        assert tuple(names["picture"].shape) == (1, 128, 128, 3)  # type: ignore[attr-defined]
    else:
        assert len(list(tmp_path.rglob("*.png"))) == 2
        assert names["result"].executed == ("latent", "picture", "save")  # type: ignore[attr-defined]


def test_the_workflow_of_the_readme_is_right():
    (text,) = blocks("README.md", "yaml")
    assert nodegraph.check(nodegraph.loads(text)) == ()


@pytest.mark.parametrize("number", range(len(blocks("docs/workflows.md", "yaml"))))
def test_workflows_in_the_handbook_are_well_formed(number: int):
    loaded = load_text(blocks("docs/workflows.md", "yaml")[number])
    assert loaded.problems == ()
    if number == 0:
        assert loaded.workflow is not None
        assert nodegraph.check(loaded.workflow) == ()


def test_the_node_of_the_handbook_works_and_is_short(tmp_path: Path):
    (code,) = blocks("docs/nodes.md", "python")
    assert len(code.splitlines()) < 30
    (tmp_path / "tint.py").write_text(code, encoding="utf-8")
    registry = load_registry([tmp_path])
    assert registry.broken == ()
    import torch

    spec = registry.specs["Tint"]
    tinted = spec.function(torch.ones(1, 2, 2, 3), "blue", 0.5)
    assert tinted[0, 0, 0].tolist() == [0.5, 0.5, 1.0]
    assert spec.summary == "Mix one colour into pictures."


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []
