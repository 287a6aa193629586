from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.support import Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

PICTURE = """\
nodegraph: 1
params: {number: 7}
nodes:
  stripes: {uses: Stripes, with: {seed: $number}}
  save: {uses: SaveImage, with: {images: $stripes, filename_prefix: stripes}}
"""


def test_a_picture_comes_out_the_same(cli: Cli, file: File, pack: Path):
    (picture,) = cli("run", file("w.yaml", PICTURE), "--nodes", pack, "-q", "--set", "number=3").lines
    verdict = cli("verify", picture, "--nodes", pack)
    assert (verdict.code, verdict.lines) == (0, ["the same: 2 nodes compared"])
    assert [path.name for path in Path("output").iterdir()] == [Path(picture).name]


def test_a_changed_node_is_named_with_the_difference(cli: Cli, file: File, pack: Path):
    source = (pack / "light.py").read_text()
    packs = file("packs/light.py", source.replace("torch.rand(1, 8, 8, 3", "0.5 * torch.rand(1, 8, 8, 3")).parent
    (picture,) = cli("run", file("w.yaml", PICTURE), "--nodes", pack, "-q").lines
    verdict = cli("verify", picture, "--nodes", packs)
    assert verdict.code == 1
    assert "'stripes' (Stripes) is the first node whose output differs: by 0.5" in verdict.out
    assert "another action" in verdict.out
    data = cli("verify", picture, "--nodes", packs, "--json").json
    assert data["same"] is False
    assert 0.4 < data["difference"]["largest"] <= 0.5


def test_what_cannot_be_verified_is_said(cli: Cli, file: File, pack: Path):
    (picture,) = cli("run", file("w.yaml", PICTURE), "--nodes", pack, "-q").lines
    unknown = cli("verify", picture, "--nodes", pack, "--cache-dir", "elsewhere")
    assert unknown.code == 1
    assert "--manifest" in unknown.err
    none = cli("verify", file("x.json", json.dumps({"nodes": {}})))
    assert none.code == 1
    assert "x.json" in none.err
    assert cli("verify", "missing.png").code == 1
