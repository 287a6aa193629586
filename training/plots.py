"""Draw how trainings went from their logs: `python -m training.plots` writes NAME-loss.png beside each NAME.log.

A log has lines such as `unet: 3200 samples 30 s done 0.005 loss 0.0284`; the autoencoder's tell decibels, where more is
better. What is said of other things is passed over.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from training.common import WORK, replace_file

_LINE = re.compile(r"^\w+: (?:step )?(?P<at>\d+)(?P<unit> samples)? .*?(?:loss (?P<loss>[\d.]+)|(?P<db>[\d.]+) dB)")


def plot(path: Path, values: Sequence[float], told: str = "", size: tuple[int, int] = (640, 320)) -> None:
    """Draw values as a line over a logarithmic scale; `told` says how far it goes."""
    image = Image.new("RGB", size, "white")
    pen, margin = ImageDraw.Draw(image), 40
    heights = np.log10(np.clip(values, 1e-6, None)) if values else np.zeros(1)
    low, high = float(heights.min()), float(heights.max())
    across = (size[0] - 2 * margin) / max(1, len(heights) - 1)
    down = (size[1] - 2 * margin) / max(1e-6, high - low)
    points = [(margin + i * across, margin + (high - float(v)) * down) for i, v in enumerate(heights)]
    pen.rectangle((margin, margin, size[0] - margin, size[1] - margin), outline=(200, 200, 200))
    pen.line([*points, points[-1]], fill=(45, 100, 230), width=2)
    pen.text((margin, margin - 14), f"{10**high:.4g}", fill="black")
    pen.text((margin, size[1] - margin + 2), f"{10**low:.4g}, {told}", fill="black")
    replace_file(path, lambda p: image.save(p, "PNG"))


def read_log(lines: Iterable[str]) -> tuple[list[float], str]:
    """The losses (or decibels) that a log tells, in its order, and where the last one was."""
    values: list[float] = []
    told = ""
    for line in lines:
        found = _LINE.match(line)
        if found is not None:
            values.append(float(found["loss"] or found["db"]))
            told = f"{found['at']} {'samples' if found['unit'] else 'steps'}"
    return values, told


def main() -> None:
    """Draw one for each log that tells of losses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", nargs="*", type=Path, help="logs (those in the work folder)")
    for log in parser.parse_args().logs or sorted(WORK.glob("*.log")):
        values, told = read_log(log.read_text(encoding="utf-8").splitlines())
        if values:
            plot(log.with_name(f"{log.stem}-loss.png"), values, told)
            print(f"plots: {log.stem}-loss.png, {told}")


if __name__ == "__main__":
    main()
