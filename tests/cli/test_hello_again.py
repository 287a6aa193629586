"""The first example, run for real in programs of their own: what a second run does, loads and imports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.support import command, environment, program

HEAVY = ("torch", "diffusers", "transformers", "numpy", "PIL", "safetensors")

#: Runs the command line, then says which heavy packages it imported.
SPY = f"""
import sys
from nodegraph.cli.main import main
code = main(sys.argv[1:])
print("imported", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which hello was run once, with its cache."""
    folder = tmp_path_factory.mktemp("hello")
    done = program("run", "hello", "-q", cwd=folder, env=at(folder))
    assert done.code == 0, done.err
    return folder


def at(folder: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}


def spied(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The events of a run in a new process, and the heavy packages that it imported."""
    call = [sys.executable, "-c", SPY, "run", "hello", "--json", *arguments]
    done = subprocess.run(
        call, cwd=folder, env=environment({**at(folder), **(env or {})}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.splitlines()[-1].split()[1:]


def of(events: list[dict[str, Any]], kind: str) -> set[str]:
    return {event["node"] for event in events if event["event"] == kind}


def test_run_again_it_does_nothing_and_imports_nothing(home: Path):
    picture = home / "output" / "hello_00001_.png"
    before = picture.read_bytes()
    events, imported = spied(home)
    assert (of(events, "started"), len(of(events, "cached")), imported) == (set(), 7, [])
    picture.unlink()
    events, imported = spied(home)
    assert (of(events, "started"), imported) == (set(), [])
    assert picture.read_bytes() == before
    assert [path.name for path in picture.parent.iterdir()] == [picture.name]


def test_another_prompt_encodes_that_prompt_only(home: Path):
    events, _ = spied(home, "--set", "prompt=a blue ring", "--output-dir", "other")
    assert of(events, "cached") == {"negative", "canvas"}
    assert of(events, "started") == {"model", "positive", "latent", "picture", "save"}


def test_another_file_name_loads_no_model(home: Path, tmp_path: Path):
    from nodegraph.resources import example

    hello = example("hello")
    assert hello is not None
    renamed = tmp_path / "renamed.yaml"
    renamed.write_text(hello.read_text().replace("filename_prefix: hello", "filename_prefix: renamed"))
    call = [sys.executable, "-c", SPY, "run", str(renamed), "--json"]
    done = subprocess.run(call, cwd=home, env=environment(at(home)), capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert of(events, "started") == {"save"}
    assert not {"diffusers", "transformers"} & set(done.stderr.splitlines()[-1].split())


LONG = """\
nodegraph: 1
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  text: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a red star}}
  canvas: {uses: EmptyLatentImage, with: {width: 128, height: 128}}
  latent:
    uses: KSampler
    with: {model: $model.model, positive: $text, negative: $text, latent_image: $canvas, steps: 40, cfg: 4,
           sampler_name: dpmpp_2m_sde, scheduler: karras}
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture, filename_prefix: long}}
"""


def test_an_interrupted_sampler_goes_on_to_the_same_picture(home: Path, tmp_path: Path):
    (tmp_path / "long.yaml").write_text(LONG)
    run = subprocess.Popen(
        command("run", "long.yaml", "--json"), cwd=tmp_path, env=environment(at(home)), stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    for line in run.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["node"] == "latent" and event["value"] >= 10:
            run.send_signal(signal.SIGINT)
            break
    run.communicate()
    assert run.returncode == 130
    second = program("run", "long.yaml", "--json", cwd=tmp_path, env=at(home))
    steps = [event["value"] for event in second.events if event["event"] == "progress" and event["node"] == "latent"]
    assert steps[0] >= 10
    assert steps[-1] == 40
    assert of(second.events, "cached") >= {"text", "canvas"}
    whole = program("run", "long.yaml", "-q", "--output-dir", "whole", "--cache", "off", cwd=tmp_path, env=at(home))
    with Image.open(tmp_path / whole.lines[0]) as expected, Image.open(tmp_path / "output/long_00001_.png") as resumed:
        assert resumed.tobytes() == expected.tobytes()
