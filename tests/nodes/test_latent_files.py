"""SaveLatent and LoadLatent: exact, whole files under fresh names; hostile ones are refused in words."""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import signal
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import nodegraph
from nodegraph.context import Context, Provenance
from nodegraph.execution.session import Session
from nodegraph.execution.settings import Settings
from nodegraph.sockets import Latent
from nodes.latents import LoadLatent, SaveLatent, find_latent, list_latents
from tests.helpers import context_in, digest_of, problem

SMALL = Path(__file__).parent / "data" / "input" / "small.latent"


@pytest.fixture
def folder(context: Context) -> Path:
    """The input folder."""
    context.roots.input[0].mkdir()
    return context.roots.input[0]


def latent(*shape: int, seed: int = 0) -> Latent:
    return {"samples": torch.randn(*(shape or (2, 4, 3, 5)), generator=torch.Generator().manual_seed(seed))}


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- what is written


def test_latents_are_numbered_in_a_subfolder_of_their_own(context: Context) -> None:
    saved = [SaveLatent(latent(), context=context).files[0] for _ in range(2)]
    assert files(context.roots.output) == ["latents/nodegraph_00001_.latent", "latents/nodegraph_00002_.latent"]
    assert [(file.filename, file.subfolder, file.type) for file in saved] == [
        ("nodegraph_00001_.latent", "latents", "output"),
        ("nodegraph_00002_.latent", "latents", "output"),
    ]
    assert (saved[0].width, saved[0].height) == (40, 24)


def test_the_format_is_the_one_that_others_read(context: Context) -> None:
    origin = Provenance("nodegraph: 1\nname: Bär \ud800\n", '{"1": {}}', MappingProxyType({"torch": "2"}))
    given_ = latent()
    path = SaveLatent(given_, "a", replace(context, provenance=origin)).files[0].path
    tensors = load_file(path)
    assert sorted(tensors) == ["latent_format_version_0", "latent_tensor"]
    assert torch.equal(tensors["latent_tensor"], given_["samples"])
    assert tensors["latent_format_version_0"].numel() == 0
    with safe_open(path, framework="pt") as opened:
        texts = opened.metadata()
    assert json.loads(texts["prompt"]) == {"1": {}}
    assert texts["nodegraph"] == "nodegraph: 1\nname: Bär ?\n"
    assert json.loads(texts["nodegraph.run"]) == {"torch": "2"}


def test_half_precision_is_written_as_float32(context: Context) -> None:
    path = SaveLatent({"samples": torch.ones(1, 4, 2, 2, dtype=torch.float16)}, "a", context).files[0].path
    assert load_file(path)["latent_tensor"].dtype == torch.float32


def test_existing_files_are_never_replaced(context: Context) -> None:
    context.roots.output.mkdir()
    for name in ("cat_00007_.latent", "cat_00099_.png", "cat_00099.latent"):
        (context.roots.output / name).write_text("mine")
    assert SaveLatent(latent(), "cat", context).files[0].filename == "cat_00008_.latent"
    assert (context.roots.output / "cat_00007_.latent").read_text() == "mine"


def test_eight_threads_never_get_the_same_name(context: Context) -> None:
    with ThreadPoolExecutor(8) as pool:
        saved = list(pool.map(lambda i: SaveLatent(latent(seed=i), "cat", context).files[0], range(24)))
    assert files(context.roots.output) == sorted(file.filename for file in saved)
    for i, file in enumerate(saved):
        assert torch.equal(load_file(file.path)["latent_tensor"], latent(seed=i)["samples"])


@pytest.mark.parametrize(
    "prefix", ["../x", "a/../../b", "/etc/x", "C:\\x", "CON", "", "a/", "n" * 300, "nul\0", "a\nb"]
)
def test_prefixes_that_are_refused(context: Context, tmp_path: Path, prefix: str) -> None:
    found = problem(lambda: SaveLatent(latent(), prefix, context))
    assert (found.code, found.input) == ("bad_value", "filename_prefix")
    assert files(tmp_path) == []


def test_a_link_that_leads_out_of_the_output_folder_is_not_followed(context: Context, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    context.roots.output.mkdir()
    (context.roots.output / "out").symlink_to(tmp_path / "elsewhere")
    for prefix in ("out/x", "out/new/x"):
        assert "through a link" in problem(lambda prefix=prefix: SaveLatent(latent(), prefix, context)).message
    assert files(tmp_path / "elsewhere") == []


def test_sizes_can_be_part_of_the_name(context: Context) -> None:
    assert SaveLatent(latent(), "%width%x%height%", context).files[0].filename == "40x24_00001_.latent"


def test_a_folder_that_cannot_be_written_is_told(context: Context, tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where the folder should be")
    found = problem(lambda: SaveLatent(latent(), "a", context))
    assert found.code == "cannot_write"
    assert found.hint and "--output-dir" in found.hint


@pytest.mark.parametrize("reason", ["EPERM", "EOPNOTSUPP"])
def test_a_file_system_without_hard_links_works_too(
    context: Context, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(getattr(errno, reason), "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda i: SaveLatent(latent(seed=i), "cat", context).files[0].filename, range(16)))
    assert sorted(names) == files(context.roots.output) == [f"cat_{i:05}_.latent" for i in range(1, 17)]


def test_a_full_disk_is_told_and_leaves_nothing_behind(context: Context) -> None:
    SaveLatent(latent(), "before", context)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))  # the way a disk fills up in the middle of a file
        found = problem(lambda: SaveLatent(latent(1, 4, 64, 64), "a", context))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert found.code == "disk_full"
    assert "bytes needed" in found.message
    assert files(context.roots.output) == ["before_00001_.latent"]


# --- there and back


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.integers(1, 3), st.sampled_from([4, 16]), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_what_is_saved_loads_bit_by_bit(
    tmp_path: Path, batch: int, channels: int, height: int, width: int, seed: int
) -> None:
    context = context_in(tmp_path)
    given_ = latent(batch, channels, height, width, seed=seed)
    path = Path(SaveLatent(given_, "a", context).files[0].path)
    found = LoadLatent(path.name, replace(context, roots=replace(context.roots, input=(path.parent,))))
    assert digest_of(found) == digest_of({"samples": given_["samples"]})


def test_a_latent_is_found_in_the_input_folders(folder: Path, context: Context) -> None:
    for name in ("b.latent", "sub/a.LATENT", "c.png", ".hidden.latent"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(SMALL.read_bytes())
    assert list_latents(context.roots) == ["b.latent", "sub/a.LATENT"]
    assert find_latent("sub/a.LATENT", context.roots) == folder / "sub" / "a.LATENT"
    for name in ("c.png", "../input/b.latent", "/etc/passwd", "b.latent\0", "sub"):
        assert find_latent(name, context.roots) is None
    expected = torch.arange(24.0).view(1, 4, 2, 3) / 8 - 1
    assert torch.equal(LoadLatent("b.latent", context)["samples"], expected)


def test_latents_from_before_the_format_had_versions_were_scaled(folder: Path, context: Context) -> None:
    samples = latent()["samples"]
    save_file({"latent_tensor": samples * 0.18215}, folder / "old.latent")
    torch.testing.assert_close(LoadLatent("old.latent", context)["samples"], samples)


def test_other_number_formats_are_read_as_float32(folder: Path, context: Context) -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        tensors = {"latent_tensor": torch.ones(1, 4, 2, 2, dtype=dtype), "latent_format_version_0": torch.empty(0)}
        save_file(tensors, folder / "a.latent")
        found = LoadLatent("a.latent", context)["samples"]
        assert found.dtype == torch.float32 and (found == 1).all()


# --- what is refused


class CreatesAFile:
    """Unpickling this writes a file: the proof that somebody did."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "pwned"))


def file_of(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[int], begin: int, end: int, kind: str = "F32") -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": b"1234567",
    "text": b"hello, this is no latent at all",
    "cut short": SMALL.read_bytes()[:-1],
    "bytes too many": SMALL.read_bytes() + b"x",
    "header beyond the file": file_of({}, length=1000),
    "header of 2^63": file_of({}, length=2**63),
    "header of 2^64 - 1": file_of({}, length=2**64 - 1),
    "no JSON": file_of(b"{{{{"),
    "not UTF-8": file_of(b'{"\xff\xfe": 1}'),
    "a list": file_of([]),
    "deep": file_of(b"[" * 100_000),
    "a number": file_of(b"7"),
    "no tensors": file_of({}),
    "another tensor": file_of({"weight": tensor([1, 4, 1, 1], 0, 16)}, bytes(16)),
    "overlapping": file_of({"latent_tensor": tensor([1, 4, 1, 1], 0, 16), "x": tensor([4], 0, 16)}, bytes(16)),
    "a hole": file_of({"latent_tensor": tensor([1, 4, 1, 1], 8, 24)}, bytes(24)),
    "backwards": file_of({"latent_tensor": tensor([1, 4, 1, 1], 16, 0)}, bytes(16)),
    "larger than its data": file_of({"latent_tensor": tensor([1, 4, 1000, 1000], 0, 16)}, bytes(16)),
    "product over 2^64": file_of({"latent_tensor": tensor([2**32, 2**32, 2**32, 4], 0, 16)}, bytes(16)),
    "negative side": file_of({"latent_tensor": tensor([-1, 4, -1, 1], 0, 16)}, bytes(16)),
    "unknown dtype": file_of({"latent_tensor": tensor([1, 4, 1, 1], 0, 16, "F33")}, bytes(16)),
    "whole numbers": file_of({"latent_tensor": tensor([1, 4, 1, 1], 0, 16, "I32")}, bytes(16)),
    "three axes": file_of({"latent_tensor": tensor([4, 1, 1], 0, 16)}, bytes(16)),
    "no axes": file_of({"latent_tensor": tensor([], 0, 4)}, bytes(4)),
    "nothing in it": file_of({"latent_tensor": tensor([0, 4, 1, 1], 0, 0)}),
    "metadata of numbers": file_of({"__metadata__": {"a": 1}, "latent_tensor": tensor([1, 4, 1, 1], 0, 16)}, bytes(16)),
    "no numbers": file_of({"latent_tensor": tensor([1, 4, 1, 1], 0, 16)}, struct.pack("<4f", 0, 1, float("nan"), 2)),
    "infinite": file_of({"latent_tensor": tensor([1, 4, 1, 1], 0, 16)}, struct.pack("<4f", 0, 1, float("inf"), 2)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_latent_is_one_problem(folder: Path, context: Context, name: str) -> None:
    (folder / "bad.latent").write_bytes(HOSTILE[name])
    found = problem(lambda: LoadLatent("bad.latent", context))
    assert (found.code, found.input, found.got) == ("bad_value", "latent", "bad.latent")
    assert "bad.latent" in found.message
    assert "\n" not in found.message and len(found.message) < 600 and found.hint


def test_a_pickle_is_not_run(folder: Path, context: Context, tmp_path: Path) -> None:
    (folder / "bad.latent").write_bytes(pickle.dumps(CreatesAFile(tmp_path / "pwned")))
    assert "pickle" in problem(lambda: LoadLatent("bad.latent", context)).message
    assert not (tmp_path / "pwned").exists()


def test_a_file_without_measure_is_not_read(folder: Path, context: Context) -> None:
    with (folder / "bad.latent").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    assert "more than" in problem(lambda: LoadLatent("bad.latent", context)).message


@pytest.mark.parametrize(
    "name", ["none.latent", "../x.latent", "/etc/passwd", "", "a\0.latent", "folder.latent", "pipe.latent"]
)
def test_what_is_no_file_in_the_input_folder_is_told(folder: Path, context: Context, name: str) -> None:
    (folder / "folder.latent").mkdir()
    os.mkfifo(folder / "pipe.latent")
    assert problem(lambda: LoadLatent(name, context)).code == "bad_value"


# --- in a run

WORKFLOW = """
nodegraph: 1
nodes:
  load: {uses: LoadLatent, with: {latent: mine.latent}}
  turned: {uses: LatentRotate, with: {samples: $load, rotation: 90 degrees}}
  save: {uses: SaveLatent, with: {samples: $turned, filename_prefix: turned}}
"""


def in_session(tmp_path: Path, check: Callable[[Callable[[], Any], Path], None]) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "mine.latent").write_bytes(SMALL.read_bytes())
    settings = Settings(tmp_path / "output", (tmp_path / "input",), cache_dir=tmp_path / "cache")
    with Session(settings) as session:
        check(lambda: session.run(nodegraph.loads(WORKFLOW)), tmp_path / "output" / "turned_00001_.latent")


def test_a_saved_latent_that_was_deleted_comes_back_without_running_anything(tmp_path: Path) -> None:
    def check(run: Callable[[], Any], path: Path) -> None:
        assert set(run().executed) == {"load", "turned", "save"}
        before = path.read_bytes()
        assert torch.equal(load_file(path)["latent_tensor"][0, 0], torch.tensor([[3.0, 0], [4, 1], [5, 2]]) / 8 - 1)
        assert run().executed == ()
        path.unlink()
        assert run().executed == ()
        assert path.read_bytes() == before
        assert files(path.parent) == [path.name]

    in_session(tmp_path, check)


def test_another_latent_under_the_same_name_is_loaded_anew(tmp_path: Path) -> None:
    def check(run: Callable[[], Any], path: Path) -> None:
        run()
        save_file({"latent_tensor": torch.zeros(1, 4, 1, 1)}, tmp_path / "input" / "mine.latent")
        assert set(run().executed) == {"load", "turned", "save"}
        assert files(path.parent) == ["turned_00001_.latent", "turned_00002_.latent"]

    in_session(tmp_path, check)
