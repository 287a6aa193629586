"""The libraries in web/vendor are what the manifest says, and what the pinned packages make."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.web.support import ROOT, TOOLS, WEB, find_node, node

FOLDERS = (WEB / "vendor", ROOT / "tests" / "web" / "vendor")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_every_module_is_listed_with_its_digest_and_licence(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert {entry["file"] for entry in manifest} == {file.name for file in folder.glob("*.js")}
    for entry in manifest:
        content = (folder / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], entry["file"]
        assert entry["packages"]
        assert {each["licence"] for each in entry["packages"]} <= {"MIT", "ISC", "MPL-2.0"}


def test_a_module_names_its_packages_and_their_licences_at_its_head() -> None:
    for entry in json.loads((WEB / "vendor" / "manifest.json").read_text(encoding="utf-8")):
        head = (WEB / "vendor" / entry["file"]).read_text(encoding="utf-8").partition("*/")[0]
        for each in entry["packages"]:
            assert f"{each['name']} {each['version']} ({each['licence']})" in head
        assert "Copyright" in head
        assert "WITHOUT WARRANTY" in head or "DISCLAIMS ALL WARRANTIES" in head


def test_modules_are_the_same_wherever_they_are_made() -> None:
    for module in (WEB / "vendor").glob("*.js"):
        files = re.findall(r"^// (\S+/\S+\.[jt]s)$", module.read_text(encoding="utf-8"), re.MULTILINE)
        assert files
        assert {file.partition("/")[0].rpartition(":")[2] for file in files} <= {"node_modules", "entries"}


def test_packages_are_pinned_and_come_from_the_public_registry() -> None:
    lock = json.loads((TOOLS / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: each for name, each in lock["packages"].items() if name}
    assert all(each["resolved"].startswith("https://registry.npmjs.org/") for each in packages.values())
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    wanted = lock["packages"][""]
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_the_pinned_packages_make_the_same_files() -> None:
    if find_node() is None or not (TOOLS / "node_modules" / "esbuild").is_dir():
        pytest.skip("run 'make web-tools' to bring the packages")
    done = node("build.mjs", "--check", cwd=TOOLS)
    assert done.returncode == 0, done.stdout
