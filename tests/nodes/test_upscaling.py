"""UpscaleModelLoader and ImageUpscaleWithModel: files of several layouts, tiles, memory, and what is refused."""

from __future__ import annotations

import itertools
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from nodegraph.cache.pool import LivePool
from nodegraph.context import Cancelled, CancelToken, Context
from nodegraph.sockets import Image
from nodes.diffusion.upscale_networks import network_of
from nodes.diffusion.upscaling import Upscaler, starts, upscale, upscale_tiled
from nodes.upscaling import ImageUpscaleWithModel, UpscaleModelLoader, find_upscale_model, list_upscale_models
from tests.helpers import problem
from tests.nodes.pictures import picture
from tests.nodes.upscale_models import compact, esrgan, nearest

CPU = torch.device("cpu")


@pytest.fixture
def folder(context: Context) -> Path:
    """The folder of upscale models."""
    path = context.roots.models[0] / "upscale_models"
    path.mkdir(parents=True)
    return path


def enlarged(weights: Mapping[str, Tensor], pictures: Tensor) -> Tensor:
    """What a network with these weights makes of [B, C, H, W]."""
    found = network_of(weights)
    assert found is not None
    with torch.no_grad():
        return found[0](pictures)


def esrgans_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names that the program of the ESRGAN paper gave."""
    renames = {
        r"body\.(\d+)\.rdb": r"RRDB_trunk.\1.RDB",
        "conv_body": "trunk_conv",
        "conv_up": "upconv",
        "conv_hr": "HRconv",
    }
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        for old, new in renames.items():
            name = re.sub(f"^{old}", new, name)
        named[name] = tensor
    return named


def first_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of its first version, in which everything is one long sequence."""
    ups = sum(name.startswith("conv_up") for name in weights) // 2
    blocks = len({name.split(".")[1] for name in weights if name.startswith("body.")})
    places = {"conv_first": "model.0", "conv_body": f"model.1.sub.{blocks}"}
    places |= {f"conv_up{i}": f"model.{3 * i}" for i in range(1, ups + 1)}
    places |= {"conv_hr": f"model.{3 * ups + 2}", "conv_last": f"model.{3 * ups + 4}"}
    named: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        place, _, kind = name.rpartition(".")
        inner = re.sub(r"body\.(\d+)\.rdb(\d)\.(conv\d)", r"model.1.sub.\1.RDB\2.\3.0", place)
        named[f"{places.get(place, inner)}.{kind}"] = tensor
    return named


# --- networks


@pytest.mark.parametrize(
    ("weights", "scale"),
    [
        (esrgan(4), 4),
        (esrgan(1), 1),
        (esrgan(8), 8),
        (esrgan(2, unshuffle=2), 2),
        (esrgan(1, unshuffle=4), 1),
        (compact(2), 2),
        (compact(4), 4),
        (compact(3), 3),
    ],
)
def test_what_a_network_does_is_seen_from_its_weights(weights: dict[str, Tensor], scale: int) -> None:
    found = network_of(weights)
    assert found is not None
    assert found[1:] == (scale, 3)
    pictures = torch.rand(2, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    assert enlarged(weights, pictures).shape == (2, 3, 7 * scale, 10 * scale)
    assert enlarged(weights, pictures[..., :1, :1]).shape == (2, 3, scale, scale)


@pytest.mark.parametrize("rename", [esrgans_names, first_names])
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_older_names_of_weights_are_the_same_network(
    rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], scale: int
) -> None:
    weights = esrgan(scale)
    assert not rename(weights).keys() & {"conv_body.weight", "conv_hr.weight"}
    pictures = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(enlarged(rename(weights), pictures), enlarged(weights, pictures))


@pytest.mark.parametrize("prefix", ["params_ema.", "params.", "module."])
def test_what_a_training_script_put_before_names_does_not_count(prefix: str) -> None:
    pictures = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    for weights in (esrgan(2), compact(2)):
        wrapped = {prefix + name: tensor for name, tensor in weights.items()}
        assert torch.equal(enlarged(wrapped, pictures), enlarged(weights, pictures))


def test_averaged_weights_are_taken_where_there_are_both() -> None:
    pictures = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    both = {f"params.{name}": torch.zeros_like(tensor) for name, tensor in compact().items()}
    both |= {f"params_ema.{name}": tensor for name, tensor in compact().items()}
    assert torch.equal(enlarged(both, pictures), enlarged(compact(), pictures))


def test_a_network_that_adds_nothing_repeats_pixels() -> None:
    pictures = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(enlarged(nearest(3), pictures), functional.interpolate(pictures, scale_factor=3))


def test_half_precision_in_a_file_is_computed_with_in_full() -> None:
    found = network_of({name: tensor.half() for name, tensor in esrgan(2).items()})
    assert found is not None
    assert {parameter.dtype for parameter in found[0].parameters()} == {torch.float32}


# --- tiles


@given(st.integers(1, 300), st.integers(33, 100), st.integers(1, 32))
def test_tiles_cover_everything_and_overlap(length: int, tile: int, overlap: int) -> None:
    places = starts(length, tile, overlap)
    assert places[0] == 0
    assert places[-1] + tile == length or (length <= tile and len(places) == 1)
    assert all(tile - (b - a) >= overlap for a, b in itertools.pairwise(places))


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 2, 3]), st.integers(9, 40))
def test_a_picture_in_tiles_is_the_picture_in_one_piece(height: int, width: int, scale: int, tile: int) -> None:
    """For a network that looks at one pixel at a time: seams are at most rounding."""
    pictures = torch.rand(1, 2, height, width, generator=torch.Generator().manual_seed(0))

    def call(piece: Tensor) -> Tensor:
        return functional.interpolate(piece, scale_factor=scale)

    torch.testing.assert_close(upscale_tiled(pictures, call, scale, tile=tile, overlap=8), call(pictures))


def test_seams_of_a_network_that_looks_around_are_soft() -> None:
    pictures = torch.rand(1, 3, 90, 30, generator=torch.Generator().manual_seed(0))
    whole = enlarged(esrgan(2), pictures)
    tiled = upscale_tiled(pictures, lambda piece: enlarged(esrgan(2), piece), 2, tile=64, overlap=32)
    assert (tiled - whole).abs().max() < 0.02 * whole.std()


def test_tiles_are_halved_as_long_as_memory_is_short() -> None:
    asked: list[int] = []

    def call(piece: Tensor) -> Tensor:
        asked.append(max(piece.shape[-2:]))
        if asked[-1] > 200:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return functional.interpolate(piece, scale_factor=2)

    pictures = torch.rand(1, 3, 600, 40, generator=torch.Generator().manual_seed(0))
    result = upscale(pictures, Upscaler(torch.nn.Identity(), call, 2, 3), CPU)
    torch.testing.assert_close(result, functional.interpolate(pictures, scale_factor=2))
    assert asked[:3] == [512, 256, 128]


def test_memory_that_is_short_for_the_smallest_tile_is_told() -> None:
    def call(piece: Tensor) -> Tensor:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate ...")

    with pytest.raises(RuntimeError, match="can't allocate memory"):
        upscale(torch.zeros(1, 3, 600, 40), Upscaler(torch.nn.Identity(), call, 2, 3), CPU)


def test_other_errors_are_not_taken_for_want_of_memory() -> None:
    calls: list[int] = []

    def call(piece: Tensor) -> Tensor:
        calls.append(1)
        raise RuntimeError("size mismatch")

    with pytest.raises(RuntimeError, match="size mismatch"):
        upscale(torch.zeros(1, 3, 600, 40), Upscaler(torch.nn.Identity(), call, 2, 3), CPU)
    assert len(calls) == 1


# --- nodes


def test_pictures_become_larger(folder: Path, context: Context) -> None:
    save_file(nearest(2), folder / "double.safetensors")
    assert list_upscale_models(context.roots) == ["double.safetensors"]
    image = picture(5, 8)
    result = ImageUpscaleWithModel(UpscaleModelLoader("double.safetensors", context), image, context)
    assert torch.equal(result, image.repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert torch.equal(
        ImageUpscaleWithModel(UpscaleModelLoader("double.safetensors", context), picture(5, 8, 4), context),
        picture(5, 8, 4)[..., :3].repeat_interleave(2, 1).repeat_interleave(2, 2),
    )


def test_a_network_for_grey_pictures_enlarges_each_colour(folder: Path, context: Context) -> None:
    save_file(nearest(2, channels=1), folder / "grey.safetensors")
    image = picture(5, 8)
    result = ImageUpscaleWithModel(UpscaleModelLoader("grey.safetensors", context), image, context)
    assert torch.equal(result, image.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_values_stay_between_0_and_1(folder: Path, context: Context) -> None:
    save_file({name: tensor * 20 for name, tensor in compact(2).items()}, folder / "loud.safetensors")
    result = ImageUpscaleWithModel(UpscaleModelLoader("loud.safetensors", context), picture(), context)
    assert result.min() == 0 and result.max() == 1
    assert result.dtype == torch.float32


def test_the_network_is_read_once(folder: Path, context: Context) -> None:
    save_file(compact(2), folder / "a.safetensors")
    pool = LivePool()
    context = replace(context, pool=pool)
    model = UpscaleModelLoader("a.safetensors", context)
    first = ImageUpscaleWithModel(model, picture(), context)
    (folder / "a.safetensors").unlink()
    assert torch.equal(ImageUpscaleWithModel(model, picture(), context), first)


def test_each_tile_is_a_step_of_the_progress_and_a_place_to_stop(folder: Path, context: Context) -> None:
    save_file(nearest(1), folder / "same.safetensors")
    model = UpscaleModelLoader("same.safetensors", context)
    reports: list[tuple[float, float]] = []
    token = CancelToken()

    def progress(value: float, total: float) -> None:
        reports.append((value, total))
        if value == 3:
            token.cancel()

    context = replace(context, token=token, on_progress=progress)
    with pytest.raises(Cancelled):
        ImageUpscaleWithModel(model, Image(torch.zeros(2, 8, 1000, 3)), context)
    assert reports == [(0, 6), (1, 6), (2, 6), (3, 6)]


# --- refused


def test_a_name_without_a_file_is_told(context: Context) -> None:
    found = problem(lambda: UpscaleModelLoader("missing.safetensors", context))
    assert found.code == "model_unreadable"
    for name in ("../secret.safetensors", "/etc/passwd", ""):
        assert find_upscale_model(name, context.roots) is None


class Harm:
    """Does something when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (Path.touch, (Path("harm-done"),))  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_pickle_is_refused_whatever_its_name(
    folder: Path, context: Context, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / name).write_bytes(pickle.dumps(Harm()))
    found = problem(lambda: UpscaleModelLoader(name, context))
    assert found.code == "model_unreadable"
    assert "pickle" in found.message
    assert not (tmp_path / "harm-done").exists()


@pytest.mark.parametrize("wrapper", [None, "params_ema", "params"])
def test_a_pickle_of_weights_works_if_it_is_allowed(folder: Path, context: Context, wrapper: str | None) -> None:
    weights = nearest(2)
    torch.save(weights if wrapper is None else {wrapper: weights}, folder / "double.pth")
    context = replace(context, roots=replace(context.roots, allow_pickle=True))
    assert list_upscale_models(context.roots) == ["double.pth"]
    image = picture(5, 8)
    result = ImageUpscaleWithModel(UpscaleModelLoader("double.pth", context), image, context)
    assert torch.equal(result, image.repeat_interleave(2, 1).repeat_interleave(2, 2))


@pytest.mark.parametrize("content", [b"", b"\xff" * 8 + b"{}", b"just some words"])
def test_a_file_that_is_no_safetensors_is_told(folder: Path, context: Context, content: bytes) -> None:
    (folder / "a.safetensors").write_bytes(content)
    found = problem(lambda: UpscaleModelLoader("a.safetensors", context))
    assert found.code == "model_unreadable"
    assert "a.safetensors" in found.message


def damaged(change: Callable[[dict[str, Tensor]], object], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    change(weights)
    return weights


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (damaged(lambda w: w.pop("body.1.rdb2.conv3.bias"), esrgan()), "weights are missing"),
        (damaged(lambda w: w.pop("conv_last.weight"), esrgan()), "last convolution is missing"),
        (damaged(lambda w: w.update({"conv_body.bias": torch.zeros(3)}), esrgan()), "another shape"),
        (damaged(lambda w: w.pop("body.2.bias"), compact()), "weights are missing"),
        (damaged(lambda w: w.update({"body.400001.weight": torch.zeros(3)}), compact()), "not known"),
    ],
)
def test_weights_that_cannot_be_a_network_are_told(
    folder: Path, context: Context, weights: dict[str, Tensor], words: str
) -> None:
    save_file(weights, folder / "a.safetensors")
    found = problem(lambda: ImageUpscaleWithModel(UpscaleModelLoader("a.safetensors", context), picture(), context))
    assert found.code == "model_unreadable"
    assert words in found.message


def test_networks_of_other_kinds_ask_for_the_library_that_knows_them(
    folder: Path, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spandrel", None)  # as where it is not installed
    save_file({"something.else": torch.zeros(3)}, folder / "a.safetensors")
    found = problem(lambda: ImageUpscaleWithModel(UpscaleModelLoader("a.safetensors", context), picture(), context))
    assert found.code == "missing_package"
    assert "spandrel" in found.message
    assert found.hint and "nodegraph[upscale]" in found.hint


def test_a_file_that_changed_since_it_was_named_is_told(folder: Path, context: Context) -> None:
    save_file(compact(2), folder / "a.safetensors")
    model = UpscaleModelLoader("a.safetensors", context)
    save_file(compact(4), folder / "a.safetensors")
    found = problem(lambda: ImageUpscaleWithModel(model, picture(), context))
    assert found.code == "model_unreadable"
    assert "changed while it was in use" in found.message


def test_weights_that_are_not_numbers_are_told(folder: Path, context: Context) -> None:
    save_file(damaged(lambda w: w["body.0.bias"].fill_(torch.nan), compact()), folder / "a.safetensors")
    found = problem(lambda: ImageUpscaleWithModel(UpscaleModelLoader("a.safetensors", context), picture(), context))
    assert found.code == "not_finite"
