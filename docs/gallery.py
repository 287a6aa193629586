"""Draw the picture on top of the README (`python docs/gallery.py`): eight prompts through workflows/hello.yaml.

The seeds were chosen among the first eight; models/tiny/README.md says how often a prompt comes out.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from PIL import Image

import nodegraph

PROMPTS = (
    ("a red star at night under the stars", 4),
    ("a blue house on a meadow", 7),
    ("a yellow fish in the sea", 7),
    ("a large green heart on a pink background", 1),
    ("a purple flower in the snow", 5),
    ("an orange moon at sunset", 2),
    ("a large pink smiley on a blue background", 7),
    ("a small red ring on a white background", 2),
)
COLUMNS, SIDE, GAP = 4, 192, 8
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Draw and tile the pictures."""
    workflow = nodegraph.load(HERE.parent / "workflows" / "hello.yaml")
    rows = -(-len(PROMPTS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
    with nodegraph.Session() as session:
        for i, (prompt, seed) in enumerate(PROMPTS):
            result = session.run(workflow, {"prompt": prompt, "seed": seed}, only=["picture"])
            pixels = (cast(torch.Tensor, result["picture"])[0] * 255).to(torch.uint8).numpy()
            picture = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            sheet.paste(picture, ((i % COLUMNS) * (SIDE + GAP), (i // COLUMNS) * (SIDE + GAP)))
    (HERE / "images").mkdir(exist_ok=True)
    sheet.save(HERE / "images" / "gallery.png")


if __name__ == "__main__":
    main()
