"""SaveAnimatedWEBP and SaveAnimatedPNG: the frames, their time, and the workflow inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from PIL import Image as PillowImage

from nodegraph.context import Cancelled, CancelToken, Context, Provenance
from nodegraph.sockets import Image, Saved
from nodegraph.workflow.png import read_text_chunks
from nodes.images import LoadImage, SaveAnimatedPNG, SaveAnimatedWEBP
from tests.helpers import problem
from tests.nodes.pictures import picture, pillow_of

SAVERS: dict[str, Callable[..., Saved]] = {"webp": SaveAnimatedWEBP, "png": SaveAnimatedPNG}
ORIGIN = Provenance("nodegraph: 1\nname: Bär 🐻\n", '{"1": {"class_type": "Ä"}}', MappingProxyType({"torch": "2"}))
# Halfway between levels, since levels are cut off.
FRAMES = Image((picture(12, 16, batch=3) * 255 + 0.5) / 256)


@pytest.mark.parametrize("suffix", SAVERS)
def test_a_batch_is_one_file_with_a_number_and_loads_again(context: Context, suffix: str) -> None:
    saved = [SAVERS[suffix](FRAMES, "walk/cat", fps=4.0, context=context) for _ in range(2)]
    assert [file.filename for one in saved for file in one.files] == [f"cat_{i:05}_.{suffix}" for i in (1, 2)]
    file = saved[0].files[0]
    assert (file.subfolder, file.type, file.width, file.height) == ("walk", "output", 16, 12)
    again = replace(context, roots=replace(context.roots, input=(context.roots.output,)))
    loaded, _ = LoadImage(f"walk/{file.filename}", again)
    assert loaded.shape == FRAMES.shape
    assert torch.equal(loaded, (FRAMES * 255).floor() / 255)


@pytest.mark.parametrize("suffix", SAVERS)
@pytest.mark.parametrize(("fps", "milliseconds"), [(6.0, 166), (1000.0, 1), (0.01, 100_000)])
def test_each_frame_is_shown_for_its_time(context: Context, suffix: str, fps: float, milliseconds: int) -> None:
    path = SAVERS[suffix](FRAMES, "a", fps=fps, context=context).files[0].path
    with PillowImage.open(path) as stored:
        assert getattr(stored, "n_frames", 1) == 3
        for i in range(3):
            stored.seek(i)
            stored.load()
            assert stored.info["duration"] == milliseconds


def test_the_workflow_lies_in_the_animated_png(context: Context) -> None:
    saved = SaveAnimatedPNG(FRAMES, "a", context=replace(context, provenance=ORIGIN))
    texts = read_text_chunks(saved.files[0].path)
    assert texts["nodegraph"] == ORIGIN.workflow
    assert json.loads(texts["prompt"]) == json.loads(ORIGIN.prompt or "")


def test_the_workflow_lies_in_the_exif_data_of_the_webp(context: Context) -> None:
    saved = SaveAnimatedWEBP(FRAMES, "a", context=replace(context, provenance=ORIGIN))
    with PillowImage.open(saved.files[0].path) as stored:
        exif = stored.getexif()
    name, _, prompt = exif[0x0110].partition(":")
    assert name == "prompt"
    assert json.loads(prompt) == json.loads(ORIGIN.prompt or "")
    assert exif[0x010F].encode("latin-1").decode() == f"nodegraph:{ORIGIN.workflow}"
    assert exif[0x010E] == 'nodegraph.run:{"torch": "2"}'


def test_a_webp_may_lose_detail_to_become_smaller(context: Context) -> None:
    def size(**options: Any) -> int:
        return Path(SaveAnimatedWEBP(FRAMES, "a", context=context, **options).files[0].path).stat().st_size

    assert size(lossless=False, quality=10) < size(lossless=False, quality=95) < size(lossless=True)
    assert len({size(method=method) for method in ("fastest", "default", "slowest")}) > 1


def test_an_animated_png_is_a_png_that_others_show_the_first_frame_of(context: Context) -> None:
    saved = SaveAnimatedPNG(FRAMES, "a", compress_level=9, context=context)
    with PillowImage.open(saved.files[0].path) as stored:
        assert stored.format == "PNG"
        first = stored.convert("RGB").tobytes()
    assert first == pillow_of((FRAMES[0] * 255).floor() / 255).tobytes()


@pytest.mark.parametrize("suffix", SAVERS)
@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_frames_can_be_saved(context: Context, suffix: str, channels: int) -> None:
    assert len(SAVERS[suffix](picture(channels=channels), "a", context=context).files) == 1


@pytest.mark.parametrize("suffix", SAVERS)
def test_what_cannot_be_saved_is_told(context: Context, suffix: str) -> None:
    assert problem(lambda: SAVERS[suffix](FRAMES, "../a", context=context)).input == "filename_prefix"
    assert problem(lambda: SAVERS[suffix](picture(channels=2), "a", context=context)).input == "images"
    assert SAVERS[suffix](picture(batch=0), "a", context=context) == Saved(())
    assert not context.roots.output.exists()


def test_a_webp_that_would_be_too_wide_is_told(context: Context) -> None:
    found = problem(lambda: SaveAnimatedWEBP(picture(1, 16384), "a", context=context))
    assert (found.code, found.input) == ("bad_value", "images")
    assert "16,383" in found.message
    assert found.hint and "SaveAnimatedPNG" in found.hint
    assert len(SaveAnimatedPNG(picture(1, 16384), "a", context=context).files) == 1


@pytest.mark.parametrize("suffix", SAVERS)
def test_a_cancelled_run_leaves_no_file(context: Context, suffix: str) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        SAVERS[suffix](FRAMES, "a", context=replace(context, token=token))
    assert not context.roots.output.exists()
