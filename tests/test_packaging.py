"""The wheel works in an empty environment, and make installs only when there is something to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

import nodegraph

ROOT = Path(__file__).parents[1]
DATA_FOLDERS = ("workflows", "web", "models/tiny")
FOR_DEVELOPERS = tuple(ROOT / "web" / name for name in ("test", "vendor-src", "tsconfig.json"))

# Stands for python3: makes a .venv that holds itself, notes calls of pip and pytest, fails where told to.
FAKE_PYTHON = """#!/bin/sh
case "$1 $2" in
  "-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip") echo "$*" >> "$CALLS"; case "$*" in *" ${PIP_FAILS:-at nothing}") exit 1 ;; esac ;;
  "-m pytest") echo "$*" >> "$CALLS" ;;
  "-V ") echo "Python 3.9.2" ;;
  "-c import sys"*) test -z "$TOO_OLD" ;;
  "-c import ensurepip"*) test -z "$NO_VENV" ;;
esac
"""


def clean_environment(**extra: str) -> dict[str, str]:
    """The environment without what a surrounding make, virtual environment or source tree would leak."""
    leaks = {"PYTHON", "PYTHONPATH", "UV", "TORCH_INDEX", "ARGS", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in leaks}
    return {name: value for name, value in kept.items() if not name.startswith("MAKE")} | extra


def call(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """What a command printed; an error with all its output if it fails."""
    done = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env=env or clean_environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the wheel, and the test's dependencies by path."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    call(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=folder,
    )
    (site_packages,) = folder.glob("lib/python*/site-packages")
    # A path in a .pth file is not searched for further .pth files, so the editable install stays invisible.
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site_packages / "dependencies.pth").write_text("\n".join(paths), encoding="utf-8")
    return folder / "bin"


def test_the_wheel_carries_nodes_examples_canvas_and_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
    expected = {
        f"nodegraph/_data/{folder}/{file.relative_to(ROOT / folder).as_posix()}": file.stat().st_size
        for folder in DATA_FOLDERS
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
        if not any(file.is_relative_to(left_out) for left_out in FOR_DEVELOPERS)
    }
    expected |= {
        f"nodegraph/_data/{file.relative_to(ROOT).as_posix()}": file.stat().st_size
        for file in (ROOT / "models").glob("*/tiny[-_]*.safetensors")
    }
    expected |= {
        file.relative_to(ROOT).as_posix(): file.stat().st_size
        for folder in ("nodegraph", "nodes")
        for file in (ROOT / folder).rglob("*.py")
    }
    info = f"nodegraph-{nodegraph.__version__}.dist-info"
    assert expected.items() <= sizes.items()
    assert {
        "nodegraph/_data/workflows/hello.yaml",
        "nodegraph/_data/models/tiny/model_index.json",
    } <= sizes.keys()
    assert {"nodegraph/py.typed", f"{info}/licenses/LICENSE"} <= sizes.keys()
    assert {name.split("/")[0] for name in sizes} == {"nodegraph", "nodes", info}
    # the canvas needs no tools where it is used: neither what its libraries are made with nor its tests go along
    assert [
        name for name in sizes if name.startswith(("nodegraph/_data/web/vendor-src", "nodegraph/_data/web/test"))
    ] == []


def test_the_installed_program_says_its_version(installed: Path, tmp_path: Path) -> None:
    where = "import nodegraph, nodes; print(nodegraph.__file__, nodes.__file__, sep='\\n')"
    files = call(installed / "python", "-c", where, cwd=tmp_path).split()
    assert all(Path(file).is_relative_to(installed.parent) for file in files), files
    assert nodegraph.__version__ in call(installed / "nodegraph", "version", cwd=tmp_path)


def test_the_installed_program_checks_and_runs_its_example(installed: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    # A home of its own, so that no cache or setting of the user stands in for what the wheel lacks.
    env = clean_environment(HOME=str(tmp_path / "home"), XDG_CACHE_HOME=str(tmp_path / "cache"), HF_HUB_OFFLINE="1")
    call(installed / "nodegraph", "check", "hello", cwd=tmp_path, env=env)
    call(installed / "nodegraph", "run", "hello", "--output-dir", pictures, cwd=tmp_path, env=env)
    (picture,) = pictures.rglob("*.png")
    with Image.open(picture) as image:
        image.load()
        assert image.size >= (64, 64)


class Checkout:
    """A folder with this project's Makefile and a stand-in for python3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", "constraints.txt", "hatch_build.py"):
            shutil.copy(ROOT / name, folder)
        self.python = folder / "fake-python3"
        self.python.write_text(FAKE_PYTHON, encoding="utf-8")
        self.python.chmod(0o755)
        self.calls = folder / "calls"

    def make(self, *arguments: str, **env: str) -> tuple[int, str, list[str]]:
        """Call make: its status, its output, and what it asked of pip and pytest."""
        self.calls.write_text("", encoding="utf-8")
        done = subprocess.run(
            ("make", f"PYTHON={self.python}", *arguments),
            check=False,
            cwd=self.folder,
            env=clean_environment(CALLS=str(self.calls), LC_ALL="C", **env),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout, self.calls.read_text(encoding="utf-8").splitlines()

    def change(self, name: str) -> None:
        """Make a file newer than everything that make left behind."""
        newest = max(stamp.stat().st_mtime for stamp in (self.folder / ".venv").glob(".stamp-*"))
        os.utime(self.folder / name, (newest + 1, newest + 1))


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_make_installs_and_the_second_starts_at_once(checkout: Checkout) -> None:
    status, output, calls = checkout.make("test", "ARGS=-k sampler")
    assert status == 0, output
    assert [line for line in calls if "pip" in line and "-c constraints.txt" not in line] == []
    assert calls[0].endswith(" torch")
    assert calls[-2:] == [calls[-2], "-m pytest -n 2 --dist loadfile -k sampler"]
    assert calls[-2].endswith("--editable .[test,templates]")
    assert checkout.make("test")[2] == ["-m pytest -n 2 --dist loadfile"]
    assert checkout.make("-q", ".venv/.stamp-test")[0] == 0


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_requirement_installs_again(checkout: Checkout, name: str) -> None:
    _, _, first = checkout.make("test")
    checkout.change(name)
    assert checkout.make("test")[2] == first


@pytest.mark.parametrize("step", ["torch", "editables", ".", ".[test,templates]"])
def test_a_failed_installation_is_not_remembered(checkout: Checkout, step: str) -> None:
    status, _, calls = checkout.make("test", PIP_FAILS=step)
    assert status != 0
    assert calls[-1].endswith(f" {step}")
    again = checkout.make("test")[2]
    assert calls[-1] in again
    assert again[-1] == "-m pytest -n 2 --dist loadfile"


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"TOO_OLD": "1"}, "nodegraph needs Python 3.11 or newer and {python} is Python 3.9.2"),
        ({"NO_VENV": "1"}, "{python} has no venv module; on Debian and Ubuntu: apt install python3-venv"),
        ({"UV": "1", "PATH": "{path}"}, "UV=1 needs uv on the PATH"),
    ],
)
def test_what_make_cannot_work_with_is_said_in_a_line(
    checkout: Checkout, tmp_path_factory: pytest.TempPathFactory, env: dict[str, str], message: str
) -> None:
    programs = tmp_path_factory.mktemp("bin")
    for name in ("make", "sh"):
        (programs / name).symlink_to(shutil.which(name) or name)
    status, output, calls = checkout.make("test", **{name: value.format(path=programs) for name, value in env.items()})
    lines = output.splitlines()
    assert status != 0
    assert message.format(python=checkout.python) in lines[0]
    assert all(line.startswith("make: ***") for line in lines[1:])
    assert calls == []
    assert not (checkout.folder / ".venv").exists()
