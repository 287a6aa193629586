"""The extras of `tiny`: what their trainers learn in a few steps, and that our own nodes load what they write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nodegraph.cache.pool import LivePool
from nodegraph.context import Context
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.control import ControlNetLoader, control_module
from nodes.loras import LoraLoaderModelOnly
from nodes.models import module_of
from nodes.previews import previewer
from nodes.prompt import CLIPTextEncode
from tests.helpers import context_in
from training import inversion, outlines, preview, style_loras
from training.extras import Base, Run, add_noise, load_base, train, write
from training.plots import plot, read_log
from training.scenes import Scene


@pytest.fixture(scope="module")
def pool() -> Iterator[LivePool]:
    pool = LivePool()
    yield pool
    pool.clear()


@pytest.fixture
def context(tmp_path: Path, pool: LivePool) -> Context:
    return context_in(tmp_path, pool)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Base:
    """The shipped model, with every work file of a training below a folder of its own."""
    for module in ("extras", "outlines", "inversion", "style_loras"):
        monkeypatch.setattr(f"training.{module}.WORK", tmp_path / "work")
    monkeypatch.setattr(preview, "TARGETS", tmp_path / "work" / "targets.npy")
    monkeypatch.setattr(preview, "LATENTS", tmp_path / "work" / "latents.npy")
    return load_base()


def line(seed: int = 0) -> Run:
    """A training that fits a number to another with a little noise."""
    number = nn.Parameter(torch.full((1,), 1.5))

    def loss_at(step: int) -> torch.Tensor:
        noise = np.random.default_rng([seed, step]).normal() * 0.1
        return (number - 1 + noise).square().sum()

    return Run("line", {"number": number}, loss_at, 0.05, 60)


def test_a_training_goes_on_where_it_was_stopped(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(line())["number"]
    (tmp_path / "work" / "line-state.pt").unlink()
    monkeypatch.setattr("training.extras.SAVE_EVERY", -1.0)
    stopped = line()
    with pytest.raises(KeyboardInterrupt):
        train(replace(stopped, loss_at=_until(stopped, 25)))
    again = train(line())["number"]
    assert torch.equal(whole, again) and abs(float(whole) - 1) < 0.3
    with Image.open(tmp_path / "work" / "line-loss.png") as drawn:
        assert drawn.size == (640, 320)


def _until(run: Run, last: int) -> Any:
    def loss_at(step: int) -> torch.Tensor:
        if step == last:
            raise KeyboardInterrupt
        return run.loss_at(step)

    return loss_at


def test_noise_is_told_apart_by_its_timestep(base: Base) -> None:
    given = add_noise(base, np.zeros((64, 4, 16, 16), np.float16), torch.Generator().manual_seed(1))
    assert float(given.error(given.noise)) == 0
    spread = given.noisy.std((1, 2, 3))
    assert spread[given.t > 900].min() > 0.9 > spread[given.t < 200].max()
    assert given.weight.argmax() == given.t.argmax()
    assert (given.t >= 500).sum() > 40  # the noisier half more often


def test_files_that_would_be_too_large_or_broken_are_not_written(tmp_path: Path) -> None:
    for tensor in (torch.zeros(2_000_000), torch.tensor([float("inf")])):
        with pytest.raises(SystemExit, match=r"x\.safetensors"):
            write(tmp_path / "x.safetensors", {"a": tensor}, {})
    assert not list(tmp_path.iterdir())
    plot(tmp_path / "empty.png", [])


@pytest.mark.parametrize("convolutions", [False, True])
def test_loras_change_the_model_as_they_did_in_training(base: Base, context: Context, convolutions: bool) -> None:
    tensors = style_loras.teach(base, "outlined", convolutions=convolutions, steps=2, minutes=9, count=16)
    for key in tensors:  # two steps change nothing that could be told from rounding
        if key.endswith("lora_up.weight"):
            tensors[key] = tensors[key].sign() * 0.02
    write(context.roots.models[0] / "loras" / "style.safetensors", tensors, {})
    plain = CheckpointLoaderSimple("tiny", context).MODEL
    model: Any = module_of(LoraLoaderModelOnly(plain, "style.safetensors", 1.0, context), context)
    _install(base.unet, tensors)
    given = (torch.ones(1, 4, 16, 16), torch.tensor([300]), torch.ones(1, 77, 128))
    with torch.no_grad():
        torch.testing.assert_close(model(*given).sample, base.unet(*given).sample, atol=2e-2, rtol=2e-2)
        assert not torch.allclose(model(*given).sample, module_of(plain, context)(*given).sample, atol=2e-2)
    has_convolutions = any("resnets" in key for key in tensors)
    assert has_convolutions is convolutions


def _install(unet: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Put the changed tensors into the hooks that the training has left in the UNet."""
    for name, layer in unet.named_modules():
        for hook in layer._forward_hooks.values():
            change = hook.__defaults__[0]
            key = f"lora_unet_{name.replace('.', '_')}"
            change.up.weight.data = tensors[f"{key}.lora_up.weight"]
            change.down.weight.data = tensors[f"{key}.lora_down.weight"]


def test_a_controlnet_for_outlines_steers_as_it_did_in_training(base: Base, context: Context) -> None:
    net = outlines.teach(base, steps=2, minutes=9, count=16)
    write(context.roots.models[0] / outlines.FILE, net.state_dict(), {})
    loaded: Any = control_module(ControlNetLoader(Path(outlines.FILE).name, context), context)
    given = (torch.ones(1, 4, 16, 16), torch.tensor([300]), torch.ones(1, 77, 128), torch.ones(1, 3, 128, 128))
    with torch.no_grad():
        ours, theirs = net(*given, return_dict=False), loaded(*given, return_dict=False)
    torch.testing.assert_close([*ours[0], ours[1]], [*theirs[0], theirs[1]], atol=2e-3, rtol=1e-2)
    assert any(bool(each.abs().max() > 1e-4) for each in ours[0])


def test_outlines_are_lines_around_what_is_covered() -> None:
    drawn = outlines.draw_outlined(np.random.default_rng(3))
    lines = outlines.edges(drawn.cover)[..., 0] > 0
    middle = (drawn.cover > 0.99) | (drawn.cover < 0.01)
    assert 100 < lines.sum() < 900 and (lines & middle).sum() < 0.5 * lines.sum()
    assert outlines.words(Scene("star", "red", "snow"), shape=False) == "a red shape in the snow"


def test_an_inversion_means_in_a_prompt_what_it_meant_in_training(base: Base, context: Context) -> None:
    vectors = inversion.teach(base, steps=2, minutes=9, count=16)
    write(context.roots.models[0] / inversion.FILE, {"emb_params": vectors}, {})
    called = f"embedding:{Path(inversion.FILE).stem}"
    scene = Scene("circle", "yellow", "white")
    clip = CheckpointLoaderSimple("tiny", context).CLIP
    told = CLIPTextEncode(inversion.words(scene, called), clip, context)[0][0]
    base.text.get_input_embeddings().vectors.data = vectors
    with torch.no_grad():
        ours = base.text(base.ids([inversion.words(scene, " ".join("z" * inversion.VECTORS))]))[0]
    torch.testing.assert_close(told.float(), ours, atol=2e-2, rtol=2e-2)


def test_previews_are_drawn_by_the_decoder_that_was_trained(base: Base, context: Context, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    np.save(tmp_path / "work" / "latents.npy", np.random.default_rng(1).normal(size=(24, 4, 16, 16)).astype(np.float16))
    decoder = preview.teach(base, steps=2, minutes=9, count=16)
    write(context.roots.models[0] / preview.FILE, preview.named_as_taesd(decoder.state_dict()), {})
    latent = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(2))
    shown = np.asarray(previewer(CheckpointLoaderSimple("tiny", context).MODEL, context)(latent)).astype(float)
    with torch.no_grad():
        ours = ((decoder(latent)[0].movedim(0, -1) + 1) * 127.5).clamp(0, 255).numpy()
    assert shown.shape == (128, 128, 3) and np.abs(shown - ours).max() < 2


def test_losses_are_read_from_logs() -> None:
    lines = [
        "unet: 3200 samples 30 s done 0.005 loss 0.0284",
        "Loading weights: 100%",
        "unet: 6400 samples 57 s done 0.011 loss 0.0269",
        "export: 11917270 bytes of weights in tiny/",
    ]
    assert read_log(lines) == ([0.0284, 0.0269], "6400 samples")
    assert read_log(["vae: step 500 300 s 24.31 dB kl 3.1"]) == ([24.31], "500 steps")
    assert read_log(["nothing of it"]) == ([], "")
