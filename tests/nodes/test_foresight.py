"""What `check` says of models before anything loads: wrong families, widths, channels, kinds of files, with places."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nodegraph.context import Roots
from nodegraph.errors import Problem
from nodegraph.graph.build import check
from nodegraph.registry import load_registry
from nodegraph.resources import models_folder
from nodegraph.workflow.read import load_text
from tests.nodes.checkpoint_files import make_checkpoint, make_vae, save

REGISTRY = load_registry()

MODELS = """nodegraph: 1
nodes:
  one: {uses: CheckpointLoaderSimple, with: {ckpt_name: sd1.safetensors}}
  xl: {uses: CheckpointLoaderSimple, with: {ckpt_name: sdxl.safetensors}}
  paint: {uses: CheckpointLoaderSimple, with: {ckpt_name: paint.safetensors}}
  small: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  prompt: {uses: CLIPTextEncode, with: {clip: $one.clip, text: a}}
  wide: {uses: CLIPTextEncode, with: {clip: $xl.clip, text: a}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  picture: {uses: EmptyImage, with: {width: 64, height: 64}}
  mask: {uses: SolidMask, with: {width: 64, height: 64}}
"""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    folder = tmp_path_factory.mktemp("foresight") / "models"
    for name, family in (("sd1", "sd1"), ("sdxl", "sdxl"), ("paint", "sd1 inpainting")):
        make_checkpoint(folder / f"checkpoints/{name}.safetensors", family)
    lora = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    save(folder / "loras/one.safetensors", {lora: torch.zeros(4, 768)})
    save(folder / "loras/xl.safetensors", {lora: torch.zeros(4, 2048)})
    save(folder / "loras/vae.safetensors", make_vae().state_dict())
    (folder / "loras/torn.safetensors").write_bytes((folder / "loras/xl.safetensors").read_bytes()[:-5])
    control = {"controlnet_cond_embedding.conv_in.weight": torch.zeros(1)}
    cross = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    save(folder / "controlnet/one.safetensors", control | {cross: torch.zeros(4, 768)})
    save(folder / "controlnet/xl.safetensors", control | {cross: torch.zeros(4, 2048)})
    save(folder / "vae/sixteen.safetensors", {"decoder.conv_in.weight": torch.zeros(4, 16, 3, 3)})
    return Roots(models=(folder, models_folder()))


def told(roots: Roots, *lines: str) -> list[Problem]:
    """The errors of a workflow that ends in these lines."""
    text = MODELS + "".join(f"  {line}\n" for line in lines)
    workflow = load_text(text, file="w.yaml").workflow
    assert workflow is not None
    return list(check(workflow, REGISTRY, roots=roots).errors)


def sampled(model: str = "one", prompt: str = "$prompt", latent: str = "$canvas") -> str:
    return (
        f"latent: {{uses: KSampler, with: {{model: ${model}.model, positive: {prompt}, negative: {prompt}, "
        f"latent_image: {latent}}}}}"
    )


def test_what_fits_is_not_complained_of(roots: Roots):
    assert told(roots, sampled(), "p: {uses: VAEDecode, with: {samples: $latent, vae: $one.vae}}") == []
    assert told(roots, sampled("xl", "$wide")) == []


def test_a_prompt_of_another_family(roots: Roots):
    found = told(roots, sampled("xl"))
    assert [problem.input for problem in found] == ["positive", "negative"]
    assert "width 2048" in found[0].message and "768" in found[0].message
    assert (found[0].place.line, found[0].place.column) == (12, 63)


@pytest.mark.parametrize(
    ("lora", "model", "words"),
    [("xl", "one", "Stable Diffusion XL, and the model is Stable Diffusion 1.x"), ("one", "xl", "1.x, and the model")],
)
def test_a_lora_of_another_family(roots: Roots, lora: str, model: str, words: str):
    with_lora = (
        f"l: {{uses: LoraLoader, with: {{model: ${model}.model, clip: ${model}.clip, lora_name: {lora}.safetensors}}}}"
    )
    (found,) = told(roots, with_lora)
    assert words in found.message and found.input == "lora_name" and found.place.line == 12
    again = f"m: {{uses: LoraLoaderModelOnly, with: {{model: $l.model, lora_name: {lora}.safetensors}}}}"
    assert len(told(roots, with_lora, again)) == 2  # the family goes through the first one


def test_a_lora_of_the_same_family_and_one_that_cannot_be_told(roots: Roots):
    for model, lora in (("one", "one"), ("xl", "xl"), ("small", "xl")):
        line = f"l: {{uses: LoraLoaderModelOnly, with: {{model: ${model}.model, lora_name: {lora}.safetensors}}}}"
        assert told(roots, line) == []


def test_files_of_another_kind_or_damaged(roots: Roots):
    line = "l: {uses: LoraLoaderModelOnly, with: {model: $one.model, lora_name: %s.safetensors}}"
    (found,) = told(roots, line % "vae")
    assert "is a VAE, where a LoRA was expected" in found.message and "VAELoader" in (found.hint or "")
    (found,) = told(roots, line % "torn")
    assert "cut short" in found.message


def test_a_missing_file_is_told_with_a_like_one_and_where_was_looked(roots: Roots):
    (found,) = told(roots, "l: {uses: LoraLoaderModelOnly, with: {model: $one.model, lora_name: ones.safetensors}}")
    assert str(roots.models[0] / "loras") in found.message
    assert "'one.safetensors'" in (found.hint or "")


CONTROLLED = (
    "net: {uses: ControlNetLoader, with: {control_net_name: %s.safetensors}}",
    (
        "both: {uses: ControlNetApplyAdvanced, with: "
        "{positive: $prompt, negative: $prompt, control_net: $net, image: $picture}}"
    ),
    (
        "latent: {uses: KSampler, with: "
        "{model: $one.model, positive: $both.positive, negative: $both.negative, latent_image: $canvas}}"
    ),
)


def test_a_controlnet_of_another_family(roots: Roots):
    assert told(roots, CONTROLLED[0] % "one", *CONTROLLED[1:]) == []
    found = told(roots, CONTROLLED[0] % "xl", *CONTROLLED[1:])
    assert [problem.input for problem in found] == ["positive", "negative"]
    assert "Stable Diffusion XL" in found[0].message and found[0].node == "latent"


def test_a_model_for_inpainting_wants_to_know_where(roots: Roots):
    found = told(roots, sampled("paint"))
    assert len(found) == 2 and "9 channels" in found[0].message and "InpaintModel" in (found[0].hint or "")
    told_where = "marked: {uses: SetLatentNoiseMask, with: {samples: $canvas, mask: $mask}}"
    assert told(roots, told_where, sampled("paint", latent="$marked")) == []
    given = (
        "in: {uses: InpaintModelConditioning, with: {positive: $prompt, negative: $prompt, vae: $paint.vae, "
        "pixels: $picture, mask: $mask}}"
    )
    assert told(roots, given, sampled("paint", "$in.positive", "$in.latent")) == []


def test_a_vae_of_other_latents(roots: Roots):
    vae = "vae: {uses: VAELoader, with: {vae_name: sixteen.safetensors}}"
    found = told(roots, vae, sampled(), "p: {uses: VAEDecode, with: {samples: $latent, vae: $vae}}")
    assert [(problem.input, problem.place.line) for problem in found] == [("samples", 14)]
    assert "16 channels, and these have 4" in found[0].message


def test_a_checkpoint_that_is_none(roots: Roots, tmp_path: Path):
    save(tmp_path / "models/checkpoints/lora.safetensors", {"lora_unet_x.lora_down.weight": torch.zeros(1, 1)})
    text = "nodegraph: 1\nnodes:\n  m: {uses: CheckpointLoaderSimple, with: {ckpt_name: lora.safetensors}}\n"
    workflow = load_text(text, file="w.yaml").workflow
    assert workflow is not None
    (found,) = check(workflow, REGISTRY, roots=Roots(models=(tmp_path / "models",))).errors
    assert "is a LoRA, where a checkpoint was expected" in found.message
    assert (found.place.line, found.hint) == (3, "load it with LoraLoader")


def test_a_pickle_is_told_unless_it_is_allowed(tmp_path: Path):
    path = tmp_path / "models/checkpoints/old.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": {}}, path)
    workflow = load_text(
        "nodegraph: 1\nnodes:\n  m: {uses: CheckpointLoaderSimple, with: {ckpt_name: old.ckpt}}\n"
    ).workflow
    assert workflow is not None
    (found,) = check(workflow, REGISTRY, roots=Roots(models=(tmp_path / "models",))).errors
    assert "pickle" in found.message and "--allow-pickle" in (found.hint or "")
    allowing = Roots(models=(tmp_path / "models",), allow_pickle=True)
    assert check(workflow, REGISTRY, roots=allowing).errors == ()


@pytest.mark.parametrize(
    ("name", "hint"), [("sketchy", "did you mean 'sketch'?"), ("nothing", "put its file there, or take the word out")]
)
def test_a_textual_inversion_that_is_not_there_is_a_warning(tmp_path: Path, name: str, hint: str):
    save(tmp_path / "models/embeddings/sketch.safetensors", {"emb_params": torch.zeros(1, 128)})
    prompt = f"a house, (embedding:{name}:1.2), embedding:sketch, at night"
    text = (
        "nodegraph: 1\nnodes:\n  m: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}\n"
        f'  p: {{uses: CLIPTextEncode, with: {{clip: $m.clip, text: "{prompt}"}}}}\n'
    )
    workflow = load_text(text, file="w.yaml").workflow
    assert workflow is not None
    roots = Roots(models=(tmp_path / "models", models_folder()))
    (found,) = [each for each in check(workflow, REGISTRY, roots=roots).problems if each.code == "not_a_choice"]
    assert (found.severity, found.node, found.input, found.place.line) == ("warning", "p", "text", 4)
    assert f"'{name}'" in found.message and str(tmp_path / "models" / "embeddings") in found.message
    assert found.hint == hint


@pytest.mark.parametrize("allowed", [False, True])
def test_what_reads_no_pickles_does_not_offer_to(tmp_path: Path, allowed: bool):
    path = tmp_path / "models/controlnet/net.safetensors"
    path.parent.mkdir(parents=True)
    torch.save({"a": torch.zeros(1)}, path)
    text = "nodegraph: 1\nnodes:\n  m: {uses: ControlNetLoader, with: {control_net_name: net.safetensors}}\n"
    workflow = load_text(text).workflow
    assert workflow is not None
    (found,) = check(workflow, REGISTRY, roots=Roots(models=(tmp_path / "models",), allow_pickle=allowed)).errors
    assert "pickle" in found.message and "--allow-pickle" not in (found.hint or "")


def test_looking_ahead_imports_nothing_heavy(roots: Roots):
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nodegraph.context import Roots\n"
        "from nodegraph.graph.build import check\n"
        "from nodegraph.registry import load_registry\n"
        "from nodegraph.workflow.read import load_text\n"
        f"text = {MODELS + '  ' + sampled('xl') + chr(10)!r}\n"
        f"roots = Roots(models=tuple(map(Path, {[str(each) for each in roots.models]!r})))\n"
        "found = check(load_text(text, file='w.yaml').workflow, load_registry(), roots=roots)\n"
        "assert len(found.errors) == 2\n"
        "assert not {'torch', 'diffusers', 'transformers', 'safetensors'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
