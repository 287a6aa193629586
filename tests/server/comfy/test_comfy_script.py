"""comfy-script, used as it is, where it is installed: `pip install 'comfy-script[runtime]==0.6.1'`."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests
from PIL import Image

from tests.server.comfy.support import Running, png

pytestmark = pytest.mark.skipif(find_spec("comfy_script") is None, reason="comfy-script is not installed")


def test_it_draws_uses_a_picture_and_stops(server: Running, tmp_path: Path) -> None:
    files = {"image": ("script.png", png((20, 40, 60), (16, 16)))}
    assert requests.post(server.url + "/upload/image", files=files, timeout=60).status_code == 200
    told = {"url": server.url, "seed": 4001, "folder": str(tmp_path), "uploaded": "script.png"}
    script = Path(__file__).with_name("comfy_script_client.py")
    done = subprocess.run(
        [sys.executable, str(script)], input=json.dumps(told), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout.splitlines()[-1])
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.size == (64, 64)
    with Image.open(tmp_path / "used.png") as used:
        assert used.convert("RGB").getpixel((3, 3)) == (20, 40, 60)
    assert result["progress"]
    status = list(requests.get(server.url + "/history", params={"max_items": 1}, timeout=60).json().values())[-1]
    assert status["status"]["messages"][-1][0] == "execution_interrupted"
