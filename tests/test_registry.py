"""Packs of nodes: whatever one does at import, the others work and it is listed with its reason."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodegraph.registry import ENTRY_POINT_GROUP, Registry, load_registry

GOOD = """
from nodegraph.node import node

@node(category="test")
def {name}(x: int = 1) -> int:
    "A node."
    return x
"""


@pytest.fixture(autouse=True)
def _forget_packs() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("nodegraph_pack_"):
            del sys.modules[name]


def load(*folders: Path, seconds: float = 30) -> Registry:
    return load_registry(folders, entry_points=False, import_seconds=seconds)


def reasons(registry: Registry) -> dict[str, str]:
    return {pack.name: pack.reason for pack in registry.broken}


def test_the_built_in_pack_is_there():
    registry = load_registry()
    assert registry.broken == ()
    spec = registry.get("KSampler")
    assert spec is not None
    assert spec.pack == "builtin"
    assert registry.names() == sorted(registry.names())


def test_a_folder_gives_files_and_packages_with_their_submodules(tmp_path: Path):
    (tmp_path / "single.py").write_text(GOOD.format(name="Single"))
    package = tmp_path / "many"
    (package / "lib").mkdir(parents=True)
    (package / "__init__.py").write_text(GOOD.format(name="Top"))
    (package / "stage.py").write_text("from .helper import factor\n" + GOOD.format(name="Stage"))
    (package / "helper.py").write_text("factor = 2\n")
    (package / "_private.py").write_text("raise SystemExit\n")
    (package / "lib" / "__init__.py").write_text("raise SystemExit\n")
    (tmp_path / "_ignored.py").write_text("raise SystemExit\n")
    (tmp_path / ".hidden.py").write_text("raise SystemExit\n")
    (tmp_path / "notes.txt").write_text("not Python")
    registry = load(tmp_path)
    assert reasons(registry) == {}
    assert registry.names() == ["Single", "Stage", "Top"]
    assert registry.specs["Stage"].pack == "many"
    assert load(tmp_path).names() == registry.names()


def test_a_pack_itself_may_be_named(tmp_path: Path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text(GOOD.format(name="Mine"))
    (tmp_path / "one.py").write_text(GOOD.format(name="One"))
    assert load(package).names() == ["Mine"]
    assert load(tmp_path / "one.py").names() == ["One"]


def test_an_entry_point_gives_a_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "someones_nodes.py").write_text(GOOD.format(name="Someones"))
    info = tmp_path / "someones-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: someones\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{ENTRY_POINT_GROUP}]\nsomeones = someones_nodes\ngone = package_that_is_not_there\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = load_registry()
    assert registry.specs["Someones"].pack == "someones"
    assert "KSampler" in registry.specs
    assert set(reasons(registry)) == {"gone"}
    assert "package_that_is_not_there" in reasons(registry)["gone"]
    sys.modules.pop("someones_nodes")


@pytest.mark.parametrize(
    ("source", "reason", "detail"),
    [
        ("raise ValueError('the moon is full')", "fails at import: ValueError: the moon is full", "ValueError"),
        ("import sys; sys.exit(3)", "exits at import (code 3)", "sys.exit(3)"),
        ("import sys; sys.exit('bye')", "exits at import (code 'bye')", ""),
        ("def f(:\n", "fails at import: SyntaxError", "def f(:"),
        ("import not_installed", "it needs the Python package 'not_installed', which is not installed", ""),
        ("raise KeyboardInterrupt", "fails at import: KeyboardInterrupt", ""),
        ("def f(): f()\nf()", "RecursionError", ""),
        ("raise ValueError('x' * 10_000_000)", "…", ""),
        (
            "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
            "its message cannot be told",
            "",
        ),
        (
            "from nodegraph.node import node\n@node(category='x')\ndef Bad(x: bytes) -> int: ...",
            "input 'x': bytes is not a socket type",
            "",
        ),
        (
            GOOD.format(name="Twice") + GOOD.format(name="Other").replace('"test"', '"test", name="Twice"'),
            "two nodes",
            "",
        ),
    ],
)
def test_a_broken_pack_is_listed_with_its_reason_and_the_others_work(
    tmp_path: Path, source: str, reason: str, detail: str
):
    (tmp_path / "bad.py").write_text(source)
    (tmp_path / "good.py").write_text(GOOD.format(name="Good"))
    registry = load(tmp_path)
    assert registry.names() == ["Good"]
    assert list(reasons(registry)) == ["bad"]
    (broken,) = registry.broken
    assert reason in broken.reason
    assert len(broken.reason) < 600
    assert detail in broken.details
    assert len(broken.details) < 4000
    assert broken.origin == str(tmp_path / "bad.py")
    problem = broken.problem()
    assert (problem.code, problem.severity) == ("broken_pack", "warning")
    assert "'bad'" in problem.message


def test_a_pack_that_prints_very_much_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    source = (
        "import sys\nfor _ in range(200):\n    print('x' * 100_000)\n    sys.stderr.write('y' * 100_000)\n"
        "sys.stdout.buffer.write(b'z')\nassert not sys.stdout.isatty()\n"
    )
    (tmp_path / "loud.py").write_text(source + GOOD.format(name="Loud"))
    registry = load(tmp_path)
    assert reasons(registry) == {}
    assert "Loud" in registry.specs
    assert capfd.readouterr() == ("", "")


def test_no_pack_may_take_a_name_of_another(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "a.py").write_text(GOOD.format(name="Mine"))
    (second / "b.py").write_text(GOOD.format(name="Mine") + GOOD.format(name="Fine"))
    (second / "c.py").write_text(GOOD.format(name="KSampler"))
    registry = load_registry([first, second])
    assert registry.specs["Mine"].pack == "a"
    assert registry.specs["KSampler"].pack == "builtin"
    assert "Fine" not in registry.specs  # a pack is there whole or not at all
    assert reasons(registry) == {
        "b": "its node 'Mine' would replace the one of pack 'a'; a name belongs to one pack",
        "c": "its node 'KSampler' would replace the one of pack 'builtin'; a name belongs to one pack",
    }


def test_a_pack_that_hangs_is_left_behind(tmp_path: Path):
    hang = GOOD.format(name="Early") + "\nimport threading\nthreading.Event().wait()\n"
    (tmp_path / "a_hangs.py").write_text(hang)
    (tmp_path / "good.py").write_text(GOOD.format(name="Good"))
    registry = load(tmp_path, seconds=0.5)
    assert registry.names() == ["Good"]
    assert "took longer than 0.5 s" in reasons(registry)["a_hangs"]
    again = load(tmp_path, seconds=0.5)  # half a pack is not taken for a whole one
    assert again.names() == ["Good"]
    assert "has not come to an end" in reasons(again)["a_hangs"]


def test_a_pack_that_was_mended_can_be_loaded(tmp_path: Path):
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text(GOOD.format(name="First"))
    (package / "second.py").write_text("raise ValueError")
    assert list(reasons(load(tmp_path))) == ["pack"]
    (package / "second.py").write_text(GOOD.format(name="Second") + "# mended\n")
    assert load(tmp_path).names() == ["First", "Second"]


def test_a_folder_that_is_not_there_is_listed(tmp_path: Path):
    registry = load(tmp_path / "nowhere")
    assert reasons(registry) == {"nowhere": "there is no such folder"}


def test_nodes_of_other_modules_are_not_taken_for_the_packs_own(tmp_path: Path):
    (tmp_path / "user.py").write_text("from nodes.latents import EmptyLatentImage\n" + GOOD.format(name="Own"))
    registry = load_registry([tmp_path])
    assert registry.specs["EmptyLatentImage"].pack == "builtin"
    assert registry.specs["Own"].pack == "user"
    assert registry.broken == ()
