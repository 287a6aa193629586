"""The class of environments that give the same numbers, found without importing torch."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from nodegraph.cache.environment import automatic_device, automatic_dtype, environment_class
from nodes.diffusion.devices import DTYPES, dtype_name, pick_device, pick_dtype
from tests.cli.support import environment


def test_the_environment_is_versions_device_kind_and_dtype():
    assert environment_class("cuda:0", "fp16") == environment_class("cuda:1", "fp16")
    assert environment_class("cuda:0", "fp16") != environment_class("cpu", "fp16")
    assert environment_class("cpu", "fp16") != environment_class("cpu", "fp32")
    versions = [f"{name} {'.'.join(version(name).split('.')[:2])}" for name in ("torch", "diffusers", "transformers")]
    assert environment_class("cpu", "fp32").decode() == "; ".join([*versions, "cpu", "fp32"])


def test_auto_is_what_torch_makes_of_it():
    device = pick_device("auto")
    assert environment_class("auto", "auto") == environment_class(device.type, "auto")
    made = {dtype_name(pick_dtype("auto", device, stored)) for stored in ("F32", "F16", "BF16")}
    told = environment_class("auto", "auto").decode().rpartition("; ")[2]
    assert made <= set(told.split(" or "))
    for dtype in DTYPES:  # a format that was asked for by name is never taken for one that was chosen by the model's
        assert (environment_class(device.type, dtype) == environment_class(device.type, "auto")) == (told == dtype)


@pytest.mark.parametrize(
    ("platform", "cpuinfo", "told"),
    [
        ("linux", "processor\t: 0\nflags\t\t: fpu sse2 avx2\nflags: fpu avx512_bf16\n", "fp32"),
        ("linux", "processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", "fp32 or bf16"),
        ("linux", "processor\t: 0\nflags\t\t: fpu amx_tile\n", "fp32 or bf16"),
        ("linux", "processor : 0\nFeatures : fp asimd bf16\n", "fp32"),
        ("linux", None, "fp32 or bf16"),
        ("win32", None, "fp32 or bf16"),
        ("darwin", None, "fp32"),
    ],
)
def test_what_auto_may_be_on_a_cpu_goes_by_its_instructions(
    tmp_path: Path, platform: str, cpuinfo: str | None, told: str
):
    if cpuinfo is not None:
        machine(tmp_path, "proc/cpuinfo")
        (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    assert automatic_dtype(platform, tmp_path) == told


def test_torch_is_not_imported_to_find_out():
    code = "import sys; from nodegraph.cache.keys import environment_class as e; e('auto', 'auto')"
    code += "; print('torch' in sys.modules)"
    assert subprocess.run(
        [sys.executable, "-c", code], env=environment(), check=True, capture_output=True
    ).stdout.split() == [b"False"]


def machine(root: Path, *files: str) -> Path:
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def torch_built_for(folder: Path, cuda: str = "None", hip: str = "None") -> Path:
    folder.mkdir()
    (folder / "version.py").write_text(
        f"__version__ = '2.9'\ncuda: Optional[str] = {cuda}\nhip: Optional[str] = {hip}\n"
    )
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="where drivers are found differs between systems")
@pytest.mark.parametrize(("cuda", "hip", "files", "variables", "device"), [
    ("'12.8'", "None", ["dev/nvidiactl", "dev/nvidia0"], {}, "cuda"),
    ("'12.8'", "None", ["dev/nvidiactl", "dev/nvidia3"], {"CUDA_VISIBLE_DEVICES": "3"}, "cuda"),
    ("'12.8'", "None", ["dev/nvidiactl", "dev/nvidia0"], {"CUDA_VISIBLE_DEVICES": ""}, "cpu"),
    ("'12.8'", "None", ["dev/nvidiactl", "dev/nvidia0"], {"CUDA_VISIBLE_DEVICES": "-1"}, "cpu"),
    ("'12.8'", "None", ["dev/nvidiactl"], {}, "cpu"),
    ("'12.8'", "None", [], {}, "cpu"),
    ("'12.8'", "None", ["usr/lib/wsl/lib/libcuda.so.1"], {}, "cuda"),
    ("None", "None", ["dev/nvidiactl", "dev/nvidia0"], {}, "cpu"),
    ("None", "'6.4'", ["dev/nvidiactl", "dev/nvidia0"], {}, "cpu"),
    ("None", "'6.4'", ["dev/kfd"], {}, "cuda"),
    ("None", "'6.4'", ["dev/kfd"], {"HIP_VISIBLE_DEVICES": "-1"}, "cpu"),
])  # fmt: skip
def test_a_card_counts_with_its_driver_and_a_torch_built_for_it(
    tmp_path: Path, cuda: str, hip: str, files: list[str], variables: dict[str, str], device: str
):
    installed = torch_built_for(tmp_path / "torch", cuda, hip)
    assert automatic_device(installed, variables, machine(tmp_path / "root", *files)) == device


def test_without_torch_there_is_only_the_cpu(tmp_path: Path):
    root = machine(tmp_path, "dev/nvidiactl", "dev/nvidia0")
    assert automatic_device(None, {}, root) == automatic_device(tmp_path / "nowhere", {}, root) == "cpu"
