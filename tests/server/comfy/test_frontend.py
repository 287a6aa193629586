"""ComfyUI's web app, served as it is where somebody has installed it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import requests

from nodegraph.server.comfy.frontend import find_app
from tests.server.comfy.support import serving

pytestmark = pytest.mark.skipif(find_app() is None, reason="comfyui-frontend-package is not installed")


def test_the_web_app_is_served_beside_the_routes(tmp_path: Path) -> None:
    with serving(tmp_path, frontend="comfyui") as server:
        page = requests.get(server.url + "/", timeout=60)
        assert page.status_code == 200
        assert page.headers["Content-Type"].startswith("text/html")
        scripts = re.findall(r'src="\.?/?(assets/[^"]+\.js)"', page.text)
        assert scripts
        for script in scripts:
            answer = requests.get(f"{server.url}/{script}", timeout=60)
            assert answer.status_code == 200
            assert answer.headers["Content-Type"].startswith("text/javascript")
        for address in requests.get(server.url + "/api/extensions", timeout=60).json():
            assert requests.get(server.url + address, timeout=60).status_code == 200
        assert requests.get(server.url + "/assets/../../x", timeout=60).status_code == 404
        assert requests.get(server.url + "/api/object_info/KSampler", timeout=60).status_code == 200
