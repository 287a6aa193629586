"""The workflows that ComfyUI ships as templates: those of nodes that are known here are fine, the others open."""

from __future__ import annotations

import importlib.util
import json
from functools import cache
from pathlib import Path

import pytest

from nodegraph.graph.build import check
from nodegraph.graph.converting import NOWHERE, WRITERS
from nodegraph.graph.missing import missing_of
from nodegraph.registry import Registry, load_registry
from nodegraph.workflow.document import Workflow
from nodegraph.workflow.read import load_file, load_text
from tests.workflow.same import same_graph
from tests.workflow.stand_ins import roots_in, stand_in

PACKAGE = "comfyui_workflow_templates"
KNOWN = [
    "2_pass_pose_worship", "area_composition", "area_composition_square_area_for_subject", "controlnet_example",
    "default", "depth_controlnet", "depth_t2i_adapter", "embedding_example", "esrgan_example",
    "gligen_textbox_example", "hiresfix_esrgan_workflow", "hiresfix_latent_workflow", "image2image",
    "inpaint_example", "inpaint_model_outpainting", "latent_upscale_different_prompt_model", "lora",
    "lora_multiple", "mixing_controlnets", "sdxl_refiner_prompt_example", "sdxl_revision_text_prompts",
    "sdxl_revision_zero_positive", "sdxl_simple_example", "sdxlturbo_example",
]  # fmt: skip

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec(PACKAGE) is None,
    reason=f"ComfyUI's templates are not installed (pip install --no-deps {PACKAGE}==0.1.95)",
)


def folder() -> Path:
    """Where the templates lie. The package itself is not imported; only its files are read."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "templates"


@cache
def registry() -> Registry:
    return load_registry()


def opened(path: Path) -> Workflow:
    loaded = load_file(path, specs=lambda: registry().specs)
    assert [problem.describe() for problem in loaded.problems] == []
    assert loaded.workflow is not None
    return loaded.workflow


@pytest.mark.parametrize("name", KNOWN)
def test_a_template_of_known_nodes_converts_and_is_fine(name: str, tmp_path: Path) -> None:
    workflow = opened(folder() / f"{name}.json")
    roots = roots_in(tmp_path)
    for _ in range(2):  # where a file is named that is there, another may be missing
        missing = missing_of(workflow, check(workflow, registry(), roots=roots).problems, registry(), roots)
        for file in (*missing.models, *missing.inputs):
            stand_in(tmp_path, file.folder, file.name)
    assert not missing_of(workflow, check(workflow, registry(), roots=roots).problems, registry(), roots)
    checked = check(workflow, registry(), roots=roots)
    assert [problem.describe() for problem in checked.problems] == []
    for format_ in ("yaml", "api", "ui", "nodegraph"):
        converted = WRITERS[format_](workflow, registry(), NOWHERE)
        assert [problem.describe() for problem in converted.problems] == []
        again = load_text(converted.text, specs=lambda: registry().specs)
        assert [problem.describe() for problem in again.problems] == []
        assert again.workflow is not None
        rechecked = check(again.workflow, registry(), roots=roots)
        assert [problem.describe() for problem in rechecked.problems] == []
        assert checked.graph is not None
        assert rechecked.graph is not None
        assert same_graph(checked.graph, rechecked.graph)


def test_every_other_template_opens_with_placeholders(tmp_path: Path) -> None:
    roots = roots_in(tmp_path)
    opened_files = 0
    for path in sorted(folder().glob("*.json")):
        if path.name.startswith("index."):
            continue
        opened_files += 1
        workflow = opened(path)
        problems = check(workflow, registry(), roots=roots).problems
        missing = missing_of(workflow, problems, registry(), roots)
        unknown = {problem.node for problem in problems if problem.code == "unknown_node"}
        assert {node for each in missing.types for node in each.nodes} == unknown
        assert path.stem not in KNOWN or not unknown
        text = json.loads(path.read_text(encoding="utf-8"))
        assert workflow.nodes or not text["nodes"]
        written = WRITERS["yaml"](workflow, registry(), NOWHERE)
        again = load_text(written.text)
        assert [problem.describe() for problem in again.problems] == []
        assert again.workflow is not None
        assert len(again.workflow.nodes) == len(workflow.nodes)
        for format_ in ("api", "ui"):
            assert [problem.describe() for problem in WRITERS[format_](workflow, registry(), NOWHERE).problems] == []
    assert opened_files > 150
