"""What the README and docs/ say is run, so that it stays true."""

from __future__ import annotations

import importlib
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import nodegraph
from nodegraph.cli.main import main
from nodegraph.context import MODEL_FOLDERS, Context, Roots
from nodegraph.errors import ProblemError
from nodegraph.execution.model_paths import read_model_paths
from nodegraph.graph.build import check
from nodegraph.registry import load_registry
from nodegraph.workflow.read import load_text
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.diffusion import embeddings, folders, headers, sidecars
from nodes.diffusion import pictures as pictures_of
from nodes.diffusion.animations import WEBP_SIDE
from nodes.diffusion.families import UNET_PREFIX
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.schedules import SCHEDULES
from nodes.single_files import NOUNS
from nodes.texts import SECONDS
from tests.nodes.checkpoint_files import save
from tests.nodes.diffusion.samplers.test_convergence import ORDERS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


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


def test_graphs_of_the_handbook_are_built_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    building, expanding = blocks("docs/python.md", "python")
    names: dict[str, Any] = {}
    exec(compile(building, "docs/python.md", "exec"), names)
    assert len(names["result"].outputs) == 2
    (tmp_path / "mine.py").write_text(expanding, encoding="utf-8")
    spec = load_registry([tmp_path / "mine.py"]).specs["BlurMore"]
    expansion = spec.function(torch.ones(1, 2, 2, 3), 2)
    assert [call.type for call in expansion.calls.values()] == ["ImageBlur", "ImageBlur"]


def test_the_node_of_the_handbook_works_and_is_short(tmp_path: Path):
    code = blocks("docs/nodes.md", "python")[0]
    assert len(code.splitlines()) < 30
    (tmp_path / "tint.py").write_text(code, encoding="utf-8")
    registry = load_registry([tmp_path])
    assert registry.broken == ()
    spec = registry.specs["Tint"]
    tinted = spec.function(torch.ones(1, 2, 2, 3), "blue", 0.5)
    assert tinted[0, 0, 0].tolist() == [0.5, 0.5, 1.0]
    assert spec.summary == "Mix one colour into pictures."


def anchors(page: Path) -> set[str]:
    """What links may name of a page: its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path):
    links = re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text(encoding="utf-8"))
    missing = [
        f"{target}#{anchor}"
        for target, anchor in links
        if "://" not in target
        and not (
            (place := page.parent / target if target else page).exists() and (not anchor or anchor in anchors(place))
        )
    ]
    assert missing == []


def test_the_reference_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]):
    assert main(["nodes", "--markdown"]) == 0
    written = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == written, "run: nodegraph nodes --markdown > docs/reference.md"


def table(page: str, first: str) -> list[list[str]]:
    """The rows of the table of a page whose first column is called `first`, without its head."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def test_the_table_of_samplers_is_true():
    rows = [row for row in table("docs/stages.md", "name") if len(row) == 6]
    told = {row[0].strip("`"): (row[4], int(row[5])) for row in rows}
    assert told == {name: (spec.noise_kind, spec.evaluations) for name, spec in SAMPLERS.items()}
    orders = {row[0].strip("`"): float(row[3]) for row in rows if row[3]}
    assert orders.keys() == ORDERS.keys()
    # The tests of the samplers leave a margin of about 0.1 below what is measured, dpm_fast's is larger.
    assert all(ORDERS[name] <= order + 0.1 < ORDERS[name] + 1 for name, order in orders.items())


def test_every_schedule_is_described():
    text = (ROOT / "docs/stages.md").read_text(encoding="utf-8")
    begin = text.index("### Schedules")
    rows = re.findall(r"^\| `(\w+)` \|", text[begin : text.index("\n###", begin + 1)], re.MULTILINE)
    assert sorted(rows) == sorted(SCHEDULES)


@pytest.mark.parametrize("number", range(len(blocks("docs/stages.md", "yaml"))))
def test_workflows_of_the_stages_are_right(number: int):
    assert nodegraph.check(nodegraph.loads(blocks("docs/stages.md", "yaml")[number])) == ()


@pytest.mark.parametrize("page", ["docs/models.md", "docs/stages.md", "docs/comfyui-differences.md", "README.md"])
def test_pages_name_nodes_that_there_are(page: str):
    named = re.findall(r"`([A-Z][a-z]*[A-Z]\w+)`", (ROOT / page).read_text(encoding="utf-8"))
    known = load_registry().specs.keys() | {"BREAK"}
    assert [name for name in named if name not in known] == []


def test_further_folders_of_models_are_read_as_the_handbook_says(tmp_path: Path):
    file = tmp_path / "extra_model_paths.yaml"
    file.write_text(blocks("docs/models.md", "yaml")[0], encoding="utf-8")
    base = Path("~/stable-diffusion-webui").expanduser()
    assert read_model_paths(file) == (
        ("checkpoints", base / "models/Stable-diffusion"),
        ("vae", base / "models/VAE"),
        ("loras", base / "models/Lora"),
        ("loras", base / "models/LyCORIS"),
        ("embeddings", base / "embeddings"),
    )


def test_folders_of_models_are_those_that_nodes_look_into():
    told = {name for row in table("docs/models.md", "folder") for name in re.findall(r"`(\w+)`", row[0])}
    wanted = {"vae_approx", "embeddings", "controlnet", "t2i_adapter", "diffusers", "configs"}
    assert told == wanted | {
        name for kind in (*NOUNS, "checkpoints", "vae") for name in MODEL_FOLDERS.get(kind, (kind,))
    }


@pytest.fixture(scope="module")
def odd_models(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    """Models that are refused, by the names that the handbook gives them."""
    folder = tmp_path_factory.mktemp("models")
    unet = {"input_blocks.0.0.weight": torch.zeros(4, 4, 3, 3), "x.attn2.to_k.weight": torch.zeros(4, 768)}
    unet = {UNET_PREFIX + name: tensor for name, tensor in unet.items()}
    text = {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": torch.zeros(2, 768)}
    for name, tensors in {
        "flux": {UNET_PREFIX + "double_blocks.0.x": torch.zeros(1)},
        "lora": {"lora_unet_x.lora_down.weight": torch.zeros(4, 768)},
        "unet": unet,
        "odd": {"something": torch.zeros(1)},
        "cut": {"something": torch.zeros(4, 7)},
        "one": {**unet, **text},
    }.items():
        save(folder / f"checkpoints/{name}.safetensors", tensors)
    cut = folder / "checkpoints/cut.safetensors"
    cut.write_bytes(cut.read_bytes()[:-5])
    torch.save({}, folder / "checkpoints/old.ckpt")
    key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    save(folder / "loras/xl.safetensors", {key: torch.zeros(4, 2048)})
    return Roots(models=(folder,))


@pytest.mark.parametrize("sentence", [row[1].strip("`") for row in table("docs/models.md", "the file")])
def test_what_is_refused_is_refused_in_these_words(sentence: str, odd_models: Roots):
    name = sentence.split()[0]
    checkpoint = "one.safetensors" if name == "xl.safetensors" else name
    text = f"nodegraph: 1\nnodes:\n  m: {{uses: CheckpointLoaderSimple, with: {{ckpt_name: {checkpoint}}}}}\n"
    lora = "{model: $m.model, clip: $m.clip, lora_name: xl.safetensors}"
    text += f"  l: {{uses: LoraLoader, with: {lora}}}\n" if checkpoint != name else ""
    workflow = load_text(text).workflow
    assert workflow is not None
    told = [problem.message for problem in check(workflow, load_registry(), roots=odd_models).errors]
    # Whether a pickle may be read shows when it is loaded, and which families may be is told in full only then.
    if not told or name == "flux.safetensors":
        with pytest.raises(ProblemError) as caught:
            CheckpointLoaderSimple(name, Context(roots=odd_models))
        told = [problem.message for problem in caught.value.problems]
    (folder,) = odd_models.models
    assert [message.replace(f"{folder}/checkpoints/", "") for message in told] == [sentence]


def test_limits_are_those_of_the_code():
    stages, security = ((ROOT / page).read_text(encoding="utf-8") for page in ("docs/stages.md", "SECURITY.md"))
    pictures = f"{pictures_of.MAX_PIXELS // 10**6} million pixels and {pictures_of.MAX_FRAMES:,} frames"
    assert pictures in stages and pictures in security
    assert f"{WEBP_SIDE:,} pixels a side" in stages
    for limit, words in (
        (headers.MAX_HEADER_BYTES, "MB of a safetensors header"),
        (sidecars.MAX_BYTES, "MB of a configuration"),
        (folders.MAX_JSON_BYTES, "MB of JSON in a model folder"),
        (embeddings.MAX_BYTES, "MB, since most of them"),
    ):
        assert f"{limit >> 20} {words}" in security.replace("\n  ", " ")
    assert f"for {SECONDS:g} seconds at most" in security


def test_the_nodes_of_the_handbook_that_tell_before_a_run(tmp_path: Path):
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/early.py").write_text(blocks("docs/nodes.md", "python")[1], encoding="utf-8")
    registry = load_registry([tmp_path / "pack"])
    assert registry.broken == ()
    save(tmp_path / "models/vae/wide.safetensors", {"decoder.conv_in.weight": torch.zeros(4, 16, 3, 3)})
    (tmp_path / "input").mkdir()
    (tmp_path / "input/animal.txt").write_text("a fox", encoding="utf-8")
    text = (
        "nodegraph: 1\nnodes:\n  vae: {uses: VAELoader, with: {vae_name: wide.safetensors}}\n"
        "  picture: {uses: EmptyImage}\n  latent: {uses: VAEEncode, with: {pixels: $picture, vae: $vae}}\n"
        "  soft: {uses: Soften, with: {samples: $latent}}\n"
    )
    workflow = load_text(text).workflow
    assert workflow is not None
    roots = Roots(models=(tmp_path / "models",), input=(tmp_path / "input",))
    (problem,) = check(workflow, registry, roots=roots).errors
    assert problem.message == "latents of 16 channels cannot be softened"
    assert (problem.place.line, problem.input) == (6, "samples")
    mentions = registry.specs["Fill"].mentioning["text"]
    assert [path.name for path in mentions.find("{animal} and {nothing}", roots)] == ["animal.txt"]
    assert [path.name for path in mentions.all(roots)] == ["animal.txt"]
    assert registry.specs["Fill"].function("{animal} runs", Context(roots=roots)) == "a fox runs"


def test_the_pack_of_the_handbook_works(tmp_path: Path):
    (tmp_path / "darken").mkdir()
    (tmp_path / "darken/__init__.py").write_text(blocks("docs/node-packs.md", "python")[0], encoding="utf-8")
    registry = load_registry(custom_nodes=[tmp_path])
    assert registry.broken == ()
    spec = registry.specs["Darken"]
    assert (spec.summary, spec.pack) == ("Make pictures darker.", "darken")
    outcome = spec.function(image=torch.ones(1, 2, 2, 3), amount=0.25)
    assert outcome.values[0].eq(0.75).all()


def test_the_names_that_packs_may_import_are_there():
    load_registry(custom_nodes=[ROOT / "tests/packs/custom_nodes"])
    for row in table("docs/node-packs.md", "module"):
        for module in re.findall(r"`([\w.]+)`", row[0]):
            names = re.findall(r"`(\w+)`", row[1])
            assert [name for name in names if not hasattr(importlib.import_module(module), name)] == [], module


def test_the_chinese_readme_shows_the_same_commands_and_programs() -> None:
    """What is not prose is the same in both: every command, and every example but for its comments."""
    english, chinese = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    commands = [line for line in chinese.splitlines() if line.startswith(("    make", "    nodegraph", "    . "))]
    assert len(commands) > 5
    assert [line for line in commands if line not in english.splitlines()] == []
    for language in ("yaml", "python"):
        written = [uncommented(block) for block in blocks("README.zh-CN.md", language)]
        assert written
        assert written == [uncommented(block) for block in blocks("README.md", language)][: len(written)]
    assert chinese.count("](docs/images/") == english.count("](docs/images/")


def uncommented(code: str) -> list[str]:
    """Lines without what follows two spaces and a hash."""
    return [line.partition("  #")[0].rstrip() for line in code.splitlines()]
