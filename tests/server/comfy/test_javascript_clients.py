"""Client libraries for JavaScript, used as they are. `make clients` brings them."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.server.comfy.support import Running, png, txt2img

FOLDER = Path(__file__).parent / "javascript"
INSTALLED = shutil.which("node") is not None and (FOLDER / "node_modules").is_dir()
pytestmark = pytest.mark.skipif(not INSTALLED, reason="run 'make clients' to bring Node's clients")


def opened(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize(("script", "seed"), [("saintno.mjs", 3001), ("stable_canvas.mjs", 3101)])
def test_a_client_draws_uploads_and_stops(server: Running, script: str, seed: int) -> None:
    told: dict[str, Any] = {
        "url": server.url,
        "text": txt2img(seed, steps=6, prefix="javascript"),
        "endless": txt2img(seed + 1, steps=9000),
        "picture": base64.b64encode(png((90, 60, 30), (32, 32))).decode(),
        "image": {
            "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": script[:3]}},
        },
    }
    done = subprocess.run(
        ["node", script], input=json.dumps(told), capture_output=True, text=True, cwd=FOLDER, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    assert (opened(result["drawn"]).format, opened(result["drawn"]).size) == ("PNG", (64, 64))
    assert result["progress"]
    assert {"filename": "javascript.png", "subfolder": "", "type": "input"}.items() <= result["uploaded"].items()
    assert opened(result["used"]).convert("RGB").getpixel((3, 3)) == (90, 60, 30)
    assert result["stopped"] == "stopped"
