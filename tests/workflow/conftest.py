from __future__ import annotations

import pytest
import yaml


@pytest.fixture(params=["libyaml", "pure"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both parsers: libyaml, and PyYAML's own where libyaml is absent."""
    if request.param == "pure":
        monkeypatch.delattr(yaml, "CSafeLoader")
    return str(request.param)
