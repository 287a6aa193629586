"""In which number format a model computes: as it is stored where the device computes in that, unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0
from safetensors.torch import load_file, save_file

from nodegraph.cache.pool import LivePool
from nodegraph.sockets import Conditioning, Image
from nodes.checkpoints import CheckpointLoaderSimple
from nodes.control import ControlNetApply, ControlNetLoader
from nodes.diffusion import devices
from nodes.diffusion.devices import computes_bf16, dtype_name, pick_dtype
from nodes.diffusion.headers import Header, TensorInfo, stored_format
from nodes.gligen import GLIGENLoader
from nodes.models import module_of, place_of
from nodes.prompt import CLIPTextEncode
from nodes.sampling import KSampler
from nodes.single_files import UNETLoader
from tests.helpers import context_in, copy_of_tiny, digest_of
from tests.nodes.checkpoint_files import make_unet, save, unet_weights
from tests.nodes.steering_models import controlnet, gligen_file, pictures, randn, unet

CPU = torch.device("cpu")
STORED = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}


@pytest.fixture(params=[True, False], ids=["native", "emulated"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A CPU with or without instructions for bfloat16."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: request.param, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    return request.param


def write_unet(folder: Path, dtype: torch.dtype) -> None:
    weights = {name: tensor.to(dtype) for name, tensor in unet_weights(make_unet("sd1")).items()}
    save(folder / "models/unet/u.safetensors", weights)


@pytest.mark.parametrize("stored", STORED)
def test_a_stored_format_is_kept_where_the_device_computes_in_it(tmp_path: Path, stored: str, native: bool):
    write_unet(tmp_path, STORED[stored])
    context = context_in(tmp_path)
    unet: Any = module_of(UNETLoader("u.safetensors", context=context), context)
    kept = stored == "BF16" and native
    assert {parameter.dtype for parameter in unet.parameters()} == {torch.bfloat16 if kept else torch.float32}


@pytest.mark.parametrize("asked", devices.DTYPES)
@pytest.mark.parametrize("stored", ["F32", "BF16"])
def test_a_format_that_is_asked_for_is_what_is_computed_in(tmp_path: Path, stored: str, asked: str, native: bool):
    write_unet(tmp_path, STORED[stored])
    context = context_in(tmp_path, dtype=asked)
    model = UNETLoader("u.safetensors", context=context)
    assert place_of(model, context) == (CPU, devices.DTYPES[asked])


@pytest.mark.parametrize(
    ("stored", "card", "expected"),
    [("BF16", True, "bf16"), ("BF16", False, "fp16"), ("F16", True, "fp16"), ("F32", True, "fp16"), ("", True, "fp16")],
)
def test_on_a_graphics_card_it_is_half_precision(
    monkeypatch: pytest.MonkeyPatch, stored: str, card: bool, expected: str
):
    monkeypatch.setattr(devices, "computes_bf16", lambda device: card)
    assert dtype_name(pick_dtype("auto", torch.device("cuda"), stored)) == expected


def test_a_torch_without_the_probes_computes_no_bf16(monkeypatch: pytest.MonkeyPatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not computes_bf16(CPU)
    assert not computes_bf16(torch.device("mps"))


def test_most_of_a_parts_numbers_tell_its_format():
    def header(**tensors: tuple[str, int]) -> Header:
        return Header({name: TensorInfo(dtype, (size,)) for name, (dtype, size) in tensors.items()}, {})

    mixed = header(unet_a=("BF16", 9), unet_b=("F32", 8), unet_ids=("I64", 99), vae=("F32", 99))
    assert stored_format([mixed], ("unet_",)) == "BF16"
    assert stored_format([mixed]) == "F32"
    assert stored_format([mixed, header(unet_c=("F32", 2))], ("unet_",)) == "F32"
    assert stored_format([header(ids=("I64", 3))]) == ""


def picture(context: Any, *, conditioning: Any) -> torch.Tensor:
    latent = KSampler(
        UNETLoader("u.safetensors", context=context), 1, 2, 2.0, positive=conditioning, negative=conditioning,
        latent_image={"samples": torch.zeros(1, 4, 8, 8)}, context=context,
    )  # fmt: skip
    return latent["samples"]


@pytest.mark.parametrize("kind", ["controlnet", "gligen"])
def test_networks_that_steer_run_in_the_format_of_the_model(tmp_path: Path, kind: str, native: bool):
    context, models = context_in(tmp_path), tmp_path / "models"
    save(models / "unet/u.safetensors", {name: tensor.bfloat16() for name, tensor in unet().state_dict().items()})
    prompt = Conditioning([(randn(1, 7, 768), {})])
    if kind == "controlnet":
        save(models / "controlnet/n.safetensors", controlnet().state_dict())
        net = ControlNetLoader("n.safetensors", context)
        steered = ControlNetApply(prompt, net, Image(pictures()), 1.0)
    else:
        save(models / "gligen/n.safetensors", gligen_file(unet(attention_type="gated")))
        gligen = GLIGENLoader("n.safetensors", context)
        steered = Conditioning([(prompt[0][0], {"gligen": ("position", gligen, [(randn(768), 4, 8, 1, 2)])})])
    plain, changed = (picture(context, conditioning=each) for each in (prompt, steered))
    assert torch.isfinite(changed).all()
    assert not torch.equal(plain, changed)
    full = picture(replace(context, dtype="fp32"), conditioning=steered)
    assert torch.equal(changed, full) != native
    torch.testing.assert_close(changed, full, rtol=0.2, atol=float(full.std()) / 4)


def test_attention_is_the_fused_one_of_torch(tmp_path: Path):
    write_unet(tmp_path, torch.float32)
    context = context_in(tmp_path)
    unet: Any = module_of(UNETLoader("u.safetensors", context=context), context)
    assert {type(processor) for processor in unet.attn_processors.values()} == {AttnProcessor2_0}


def test_a_folder_stored_in_bf16_is_drawn_with_and_the_same_way_every_time(tmp_path: Path, native: bool):
    folder = copy_of_tiny(tmp_path / "models/checkpoints/half")
    (file,) = (folder / "unet").glob("*.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file)
    drawn: list[str] = []
    for _ in range(2):
        context = context_in(tmp_path, LivePool())
        model, clip, _ = CheckpointLoaderSimple("half", context)
        prompt = CLIPTextEncode("a star", clip, context)
        canvas: Any = {"samples": torch.zeros(1, 4, 8, 8)}
        latent = KSampler(model, 1, 2, 3.0, positive=prompt, negative=prompt, latent_image=canvas, context=context)
        assert latent["samples"].dtype == torch.float32
        drawn.append(digest_of(latent))
        assert dtype_name(place_of(model, context)[1]) == ("bf16" if native else "fp32")
    assert len(set(drawn)) == 1
