"""Packs for ComfyUI as they are found and imported: whatever one does, the others work and it is told why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegraph.registry import Registry, load_registry
from tests.packs.support import GOOD, load, pack


@pytest.fixture(autouse=True)
def _forget_packs() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("nodegraph_pack_"):
            del sys.modules[name]


def told(registry: Registry) -> dict[str, str]:
    return {broken.name: broken.problem().describe() for broken in registry.broken}


BAD = {
    "raises": ("raise ValueError('no')", "it fails at import: ValueError: no"),
    "exits": ("import sys\nsys.exit(3)", "it exits at import (code 3)"),
    "module": (
        "from comfy.samplers import KSampler",
        "it wants comfy.samplers.KSampler, which nodegraph does not have",
    ),
    "name": ("from comfy.utils import state_dict", "it wants comfy.utils.state_dict, which nodegraph does not have"),
    "attribute": ("import comfy.utils\ncomfy.utils.x()", "it wants comfy.utils.x, which nodegraph does not have"),
    "server": ("from server import PromptServer", "it wants server.PromptServer, which nodegraph does not have"),
    "nodes": ("import nodes\nnodes.LoadImage", "it wants nodes.LoadImage, which nodegraph does not have"),
    "second": (
        "from comfy_api.latest import io\nio.DynamicCombo",
        "it wants comfy_api.latest.io.DynamicCombo, which nodegraph does not have",
    ),
    "package": (
        "import cv2_of_nobody",
        "it needs the Python package 'cv2_of_nobody', which is not installed; pip install",
    ),
    "syntax": ("def x(:", "it fails at import: SyntaxError"),
    "nothing": ("x = 1", "it has no nodes"),
    "odd_mapping": ("NODE_CLASS_MAPPINGS = 5", "it has no nodes"),
    "late": ("async def comfy_entrypoint():\n    raise KeyError('x')", "it fails at import: KeyError: 'x'"),
    "no_extension": ("def comfy_entrypoint():\n    return 5", "gives has no on_load"),
}


def test_a_bad_pack_is_left_out_with_its_reason_and_the_others_work(tmp_path: Path):
    for name, (source, _) in BAD.items():
        pack(tmp_path, source, name)
    pack(tmp_path, GOOD.format(name="Good"), "good")
    registry = load(tmp_path)
    assert registry.names() == ["Good"]
    found = told(registry)
    assert found.keys() == BAD.keys()
    for name, (_, reason) in BAD.items():
        assert f"node pack '{name}' is left out: " in found[name] and reason in found[name], found[name]
        assert "Traceback" not in found[name]


def test_known_packages_are_told_by_the_name_that_installs_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    (broken,) = load(pack(tmp_path, "import cv2")).broken
    assert broken.problem().hint == "pip install opencv-python-headless"


def test_a_circular_import_is_told(tmp_path: Path):
    pack(tmp_path, "from .a import A\nNODE_CLASS_MAPPINGS = {}")
    (tmp_path / "pack/a.py").write_text("from .b import B\nA = 1")
    (tmp_path / "pack/b.py").write_text("from .a import A\nB = 1")
    (broken,) = load(tmp_path).broken
    assert "circular import" in broken.reason and "cannot import name 'A'" in broken.reason


def test_a_pack_that_hangs_is_left_behind(tmp_path: Path):
    pack(tmp_path, "import threading\nthreading.Event().wait()", "hangs")
    pack(tmp_path, GOOD.format(name="Good"), "works")
    registry = load(tmp_path, seconds=0.5)
    assert registry.names() == ["Good"]
    assert "its import took longer than 0.5 s" in told(registry)["hangs"]


def test_what_packs_print_at_import_is_swallowed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = "import sys\nprint('### Loading \\x1b[31m')\nprint('x' * 99999, file=sys.stderr)\n"
    registry = load(pack(tmp_path, source + GOOD.format(name="Good")))
    assert registry.names() == ["Good"]
    assert capsys.readouterr() == ("", "")


CLASSES = """
class Base:
    RETURN_TYPES = ("INT",)
    FUNCTION = "go"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    def go(self):
        return (1,)


class NoFunction(Base):
    FUNCTION = None


class NoMethod(Base):
    FUNCTION = "come"


class Raises(Base):
    @classmethod
    def INPUT_TYPES(cls):
        raise RuntimeError("no inputs today")


class Wants(Base):
    @classmethod
    def INPUT_TYPES(cls):
        import comfy.samplers

        return {"required": {"sampler": (comfy.samplers.KSampler.SAMPLERS,)}}


class Exits(Base):
    @classmethod
    def INPUT_TYPES(cls):
        raise SystemExit(1)


class NoInputs:
    pass


NODE_CLASS_MAPPINGS = {cls.__name__: cls for cls in (Base, NoFunction, NoMethod, Raises, Wants, Exits, NoInputs)}
NODE_CLASS_MAPPINGS["NoClass"] = 5
NODE_CLASS_MAPPINGS[7] = Base
"""


def test_a_bad_class_is_left_out_alone(tmp_path: Path):
    registry = load(pack(tmp_path, CLASSES))
    assert registry.names() == ["Base"]
    found = {broken.node: broken.problem().describe() for broken in registry.broken}
    for node, reason in {
        "NoFunction": "no FUNCTION that names a method",
        "NoMethod": "no FUNCTION that names a method",
        "Raises": "RuntimeError: no inputs today",
        "Wants": "it wants comfy.samplers, which nodegraph does not have",
        "Exits": "SystemExit",
        "NoInputs": "no INPUT_TYPES",
        "NoClass": "is not a class",
    }.items():
        text = found.pop(node)
        assert f"node '{node}' of the pack 'pack' is left out: " in text and reason in text
    assert not found


def test_names_that_are_taken_stay_with_those_who_have_them(tmp_path: Path):
    pack(tmp_path, GOOD.format(name="KSampler") + "NODE_CLASS_MAPPINGS['Mine'] = Good\n", "a")
    pack(tmp_path, GOOD.format(name="Mine"), "b")
    registry = load(tmp_path, builtin=True)
    assert registry.specs["KSampler"].pack == "builtin"
    assert registry.specs["Mine"].pack == "a"
    assert [(broken.name, broken.node) for broken in registry.broken] == [("a", "KSampler"), ("b", "Mine")]
    assert "the pack 'builtin' has a node of this name" in registry.broken[0].problem().describe()


@pytest.mark.parametrize(
    "name", ["with space", "dash-ed", "3d", "dots.and.more", "Ünïcode ✨", "class", "nodes", "comfy"]
)
def test_folders_may_be_called_anything(tmp_path: Path, name: str):
    source = "from .part import Good\nfrom . import part\nNODE_CLASS_MAPPINGS = {'Good': Good}\n"
    pack(tmp_path, source, name)
    (tmp_path / name / "part.py").write_text(GOOD.format(name="Good"), encoding="utf-8")
    registry = load(tmp_path)
    assert registry.broken == ()
    assert registry.specs["Good"].pack == name
    one = load(tmp_path / name)  # the folder of one pack will do too
    assert one.specs["Good"].pack == name


def test_files_are_packs_and_hidden_ones_are_none(tmp_path: Path):
    (tmp_path / "single.py").write_text(GOOD.format(name="Single"))
    (tmp_path / "example.py.example").write_text("raise SystemExit")
    (tmp_path / "notes.md").write_text("raise SystemExit")
    (tmp_path / "no_pack").mkdir()
    for name in (".git", "__pycache__", "old.disabled"):
        pack(tmp_path, "raise SystemExit", name)
    registry = load(tmp_path)
    assert registry.names() == ["Single"] and registry.broken == ()
    assert registry.specs["Single"].pack == "single"


def test_the_folder_of_comfyui_itself_will_do(tmp_path: Path):
    (tmp_path / "main.py").write_text("raise SystemExit")
    pack(tmp_path / "custom_nodes", GOOD.format(name="Good"))
    registry = load(tmp_path)
    assert registry.names() == ["Good"] and registry.broken == ()


def test_only_allowed_packs_are_imported(tmp_path: Path):
    pack(tmp_path, GOOD.format(name="A"), "pack a")
    pack(tmp_path, "raise SystemExit", "pack-b")
    registry = load(tmp_path, allow_packs=["pack a", "pack c"])
    assert registry.names() == ["A"]
    assert told(registry).keys() == {"pack c"}
    assert "no pack of this name was found" in told(registry)["pack c"]
    assert load(tmp_path, allow_packs=()).names() == []


def test_both_kinds_of_nodes_may_be_in_a_folder(tmp_path: Path):
    native = "from nodegraph.node import node\n@node(category='x')\ndef {}() -> int:\n    return 1\n"
    (tmp_path / "native.py").write_text(native.format("Native"))
    pack(tmp_path, native.format("Both") + GOOD.format(name="Good"))
    assert load(tmp_path).names() == ["Both", "Good", "Native"]
    pack(tmp_path, "import comfy.utils\n" + GOOD.format(name="Other"), "imports")
    registry = load_registry([tmp_path], entry_points=False)
    assert registry.names() == ["Both", "Native"]
    assert "it is a pack for ComfyUI" in told(registry)["imports"]
    assert f"load it with --custom-nodes {tmp_path}" in told(registry)["imports"]


def test_web_folders_are_kept_if_they_lie_inside(tmp_path: Path):
    for name, written in (("a", "./web"), ("b", "../a/web"), ("c", "missing"), ("d", "5")):
        value = "5" if written == "5" else repr(written)
        pack(tmp_path, GOOD.format(name=name) + f"WEB_DIRECTORY = {value}\n", name)
    (tmp_path / "a/web").mkdir()
    assert load(tmp_path).web == {"a": tmp_path / "a/web"}


def test_a_pack_may_look_up_other_nodes_when_it_is_loaded(tmp_path: Path):
    pack(tmp_path, GOOD.format(name="First"), "a")
    source = "import nodes\nassert nodes.MAX_RESOLUTION == 16384\nassert 'VAEDecode' in nodes.NODE_CLASS_MAPPINGS\n"
    source += "TYPES = nodes.NODE_CLASS_MAPPINGS['First'].RETURN_TYPES\nassert TYPES == ('INT',)\n"
    source += "INPUTS = nodes.NODE_CLASS_MAPPINGS['EmptyLatentImage'].INPUT_TYPES()\n"
    source += "assert INPUTS['required']['width'][0] == 'INT'\n"
    pack(tmp_path, source + GOOD.format(name="Second"), "b")
    registry = load(tmp_path, builtin=True)
    assert registry.broken == () and "Second" in registry.specs


def test_nothing_is_found_where_nothing_is(tmp_path: Path):
    assert "there is no such folder" in told(load(tmp_path / "nowhere"))["nowhere"]


def test_a_real_module_is_never_hidden(tmp_path: Path):
    """Asked in a program of its own, for modules stay once they are imported."""
    import subprocess

    (tmp_path / "lib/comfy").mkdir(parents=True)
    (tmp_path / "lib/comfy/__init__.py").write_text("REAL = True\n")
    pack(tmp_path / "packs", "import comfy\nassert comfy.REAL\n" + GOOD.format(name="Good"))
    code = (
        "import sys\nfrom pathlib import Path\nfrom nodegraph.registry import load_registry\n"
        f"sys.path.append({str(tmp_path / 'lib')!r})\n"
        f"registry = load_registry(entry_points=False, custom_nodes=[Path({str(tmp_path / 'packs')!r})])\n"
        "print(registry.names(), registry.broken)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['Good'] ()", done.stderr
