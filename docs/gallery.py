"""Draw the pictures of the README and of docs/gallery.md, and write that page (`make gallery`).

Called again without a change of code or weights it changes no file. A picture that is there stays unless the new one
differs visibly, since the last digits of numbers, and with them the bytes of a picture, depend on the machine. A time
that is there stays as long as the workflow does: `--times` measures all anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import nodegraph
from nodegraph import Session, Settings
from nodegraph.resources import examples

HERE = Path(__file__).resolve().parent
PAGE, PICTURES, TIMES = HERE / "gallery.md", HERE / "gallery", HERE / "gallery" / "times.json"
RUNS = 3
GAP, COLUMNS, WIDEST = 4, 3, 480

_TINY: Mapping[str, object] = {"checkpoint": "tiny", "size": 128, "steps": 20, "cfg": 4.0, "negative": ""}
_HEART = "a large red heart on a white background"
_OUTLINED = "tiny-outlined.safetensors"

#: What examples for models that do not ship are drawn with: the embedded model and its small files. None: with nothing.
INSTEAD: Mapping[str, Mapping[str, object] | None] = {
    "inpaint-model": {**_TINY, "grow": 4, "prompt": "a large green star on a yellow background", "seed": 2},
    "locon": {**_TINY, "locon": _OUTLINED, "locon_strength": 0.5, "lora": _OUTLINED, "prompt": _HEART},
    "lora": {**_TINY, "lora": _OUTLINED, "strength": 1.0, "prompt": _HEART},
    "sdxl-base-refiner": {
        "base": "tiny", "refiner": "tiny", "width": 128, "height": 128, "steps": 20, "handover": 12, "cfg": 4.0,
        "negative": "", "prompt": "a large yellow house at night",
    },
    "textual-inversion": {
        "checkpoint": "tiny", "size": 128, "steps": 20, "cfg": 4.0, "word": "tiny-sun", "weight": 1.0, "flaws": "none",
        "prompt": "in the sea",
    },
    "two-controlnets": {
        **_TINY, "outline_net": "tiny-outline.safetensors", "outline_strength": 1.0,
        "colour_net": "tiny-outline.safetensors", "colour_strength": 0.0,
        "prompt": "a green heart on a pink background",
    },
    "unclip": None,  # no model that reads pictures ships, nor one that enlarges them
    "upscale": None,
}  # fmt: skip

README_PROMPTS = (
    ("a red star at night under the stars", 4),
    ("a blue house on a meadow", 7),
    ("a yellow fish in the sea", 7),
    ("a large green heart on a pink background", 1),
    ("a purple flower in the snow", 5),
    ("an orange moon at sunset", 2),
    ("a large pink smiley on a blue background", 7),
    ("a small red ring on a white background", 2),
)
"""Seeds were chosen among the first eight; models/tiny/README.md says how often a prompt comes out."""


@dataclass(frozen=True, slots=True)
class Time:
    """How long an example took, where, and of which text and parameters that was."""

    seconds: float
    machine: str
    of: str


def params_of(name: str) -> Mapping[str, object] | None:
    """The parameters that an example is drawn with; None if it cannot be drawn."""
    return INSTEAD.get(name, {})


def digest_of(path: Path) -> str:
    """What a time belongs to: the text of an example, and the parameters that it was drawn with."""
    given = json.dumps(params_of(path.stem), sort_keys=True)
    return hashlib.sha256(path.read_bytes() + given.encode()).hexdigest()[:16]


def draw(path: Path, folder: Path) -> tuple[Image.Image, float]:
    """What an example draws in a session of its own with nothing kept from before, and the seconds that it took."""
    settings = Settings(output=folder, models=(folder / "models",), cache_dir=None)
    with Session(settings) as session:
        result = session.run(nodegraph.load(path), params_of(path.stem))
    if result.status != "done":
        raise SystemExit(f"{path.name} failed: {result.problems}")
    files = [file.path for saved in result.saved.values() for file in saved.files if file.filename.endswith(".png")]
    return sheet([Image.open(file).convert("RGB") for file in files]), result.seconds


def sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """All pictures in rows, no wider than a page."""
    width, height = (max(picture.size[axis] for picture in pictures) + GAP for axis in (0, 1))
    columns = min(COLUMNS, len(pictures))
    whole = Image.new("RGB", (columns * width - GAP, -(-len(pictures) // columns) * height - GAP), "white")
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i % columns * width, i // columns * height))
    whole.thumbnail((WIDEST, 4 * WIDEST), Image.Resampling.LANCZOS)
    return whole


def alike(path: Path, picture: Image.Image) -> bool:
    """Whether a file shows the picture already, but for what rounding changes."""
    if not path.is_file():
        return False
    old, new = (_levels(data) for data in (path.read_bytes(), encoded(picture, path.suffix)))
    return old.shape == new.shape and float(np.abs(old - new).mean()) < 1


def _levels(data: bytes) -> NDArray[np.float64]:
    with Image.open(BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"), np.float64)


def encoded(picture: Image.Image, suffix: str) -> bytes:
    """A picture as a file of that kind."""
    buffer = BytesIO()
    picture.save(buffer, suffix[1:], quality=88, method=6)  # which PNG does not mind
    return buffer.getvalue()


def keep(path: Path, picture: Image.Image) -> None:
    """Write a picture, unless the file shows it already."""
    if not alike(path, picture):
        path.parent.mkdir(exist_ok=True)
        replace_file(path, encoded(picture, path.suffix))


def replace_file(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)


def machine() -> str:
    """This machine in a few words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} cores, {name}, PyTorch {torch.__version__.partition('+')[0]}, no GPU used"


def known_times() -> dict[str, Time]:
    """The times that were measured before."""
    if not TIMES.is_file():
        return {}
    return {name: Time(**each) for name, each in json.loads(TIMES.read_text(encoding="utf-8")).items()}


def page(times: Mapping[str, Time]) -> str:
    """The text of docs/gallery.md."""
    paths = examples()
    machines = sorted({times[path.stem].machine for path in paths if path.stem in times})
    head = f"""# Gallery

Every workflow in [workflows/](../workflows): what it draws, how long that takes, and its text.
`make gallery` draws the pictures and writes this page.

Times are the best of {RUNS} runs with nothing kept from before; loading the model is in them, the start of the program
is not. Measured on: {"; ".join(machines)}.

Examples for models that do not ship are drawn with the embedded model and its [small files](../models/README.md), by
the parameters shown; with your own models leave them out.

{" · ".join(f"[{path.stem}](#{path.stem})" for path in paths)}
"""
    return "\n".join([head, *(section(path, times.get(path.stem)) for path in paths)])


def section(path: Path, time: Time | None) -> str:
    """One example on the page."""
    text, name = path.read_text(encoding="utf-8"), path.stem
    params = params_of(name)
    shown = [f"![What {name} draws](gallery/{name}.webp)", ""] if params is not None else []
    given = "".join(f" --set {key}={_quoted(value)}" for key, value in (params or {}).items())
    took = f"{time.seconds:.1f} s: " if time else ""
    how = f"{took}`nodegraph run {name}{given}`" if params is not None else "Not drawn: no model for it ships."
    lines = [
        f"## {name}", "", nodegraph.load(path).description or "", "", *shown, how, "",
        f"<details><summary>{path.name}</summary>", "", "```yaml", text.rstrip("\n"), "```", "", "</details>", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _quoted(value: object) -> str:
    text = f"{value}"
    return text if text and " " not in text else f"'{text}'"


def readme_picture() -> Image.Image:
    """The picture on top of the README: eight prompts through workflows/hello.yaml."""
    side, gap, columns = 192, 8, 4
    workflow = nodegraph.load(HERE.parent / "workflows" / "hello.yaml")
    rows = -(-len(README_PROMPTS) // columns)
    whole = Image.new("RGB", (columns * (side + gap) - gap, rows * (side + gap) - gap), "white")
    with Session() as session:
        for i, (prompt, seed) in enumerate(README_PROMPTS):
            result = session.run(workflow, {"prompt": prompt, "seed": seed}, only=["picture"])
            pixels = (cast(torch.Tensor, result["picture"])[0] * 255).to(torch.uint8).numpy()
            picture = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)
            whole.paste(picture, (i % columns * (side + gap), i // columns * (side + gap)))
    return whole


def main() -> None:
    """Draw, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", action="store_true", help="measure all times anew")
    again = parser.parse_args().times
    keep(HERE / "images" / "gallery.png", readme_picture())  # so that what is imported and read once is there
    before, times = known_times(), dict[str, Time]()
    with tempfile.TemporaryDirectory() as folder:
        for path in examples():
            name, of = path.stem, digest_of(path)
            if params_of(name) is None:
                continue
            known = before.get(name)
            fresh = again or known is None or known.of != of
            runs = [draw(path, Path(folder) / f"{name}-{i}") for i in range(RUNS if fresh else 1)]
            keep(PICTURES / f"{name}.webp", runs[0][0])
            times[name] = known if known and not fresh else Time(round(min(s for _, s in runs), 1), machine(), of)
            sys.stderr.write(f"{name}: {times[name].seconds} s\n")
    for stale in {*PICTURES.glob("*.webp")} - {PICTURES / f"{name}.webp" for name in times}:
        stale.unlink()
    text = json.dumps({name: asdict(time) for name, time in times.items()}, indent=1, ensure_ascii=False)
    replace_file(TIMES, f"{text}\n".encode())
    replace_file(PAGE, page(times).encode())


if __name__ == "__main__":
    main()
