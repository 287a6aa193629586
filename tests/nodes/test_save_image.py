"""SaveImage and PreviewImage: whole files under fresh names, inside the output folder, with the workflow inside."""

from __future__ import annotations

import datetime
import errno
import json
import os
import re
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from PIL import Image as PillowImage

from nodegraph.context import Cancelled, CancelToken, Context, Provenance, Roots
from nodegraph.sockets import Image, Saved
from nodegraph.workflow.png import read_text_chunks
from nodes.images import LoadImage, PreviewImage, SaveImage
from tests.helpers import context_in, digest_of, problem


def picture(batch: int = 1, height: int = 6, width: int = 9, channels: int = 3) -> Image:
    generator = torch.Generator().manual_seed(1)
    return Image(torch.rand(batch, height, width, channels, generator=generator))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# --- what is written


def test_a_batch_is_numbered_and_numbers_go_on(context: Context) -> None:
    first = SaveImage(picture(2), "cat", context)
    second = SaveImage(picture(), "cat", context)
    assert files(context.roots.output) == ["cat_00001_.png", "cat_00002_.png", "cat_00003_.png"]
    assert [file.filename for file in (*first.files, *second.files)] == files(context.roots.output)
    saved = first.files[0]
    assert (saved.subfolder, saved.type, saved.width, saved.height) == ("", "output", 9, 6)
    assert Path(saved.path).is_file()


def test_the_default_prefix_is_the_programs_name(context: Context) -> None:
    SaveImage(picture(), context=context)
    assert files(context.roots.output) == ["nodegraph_00001_.png"]


def test_previews_go_to_the_temporary_folder(context: Context) -> None:
    saved = PreviewImage(picture(), context)
    assert saved.files[0].type == "temp"
    assert files(context.roots.temp) == [saved.files[0].filename]
    assert not context.roots.output.exists()


def test_a_gap_is_not_filled_and_similar_names_do_not_count(context: Context) -> None:
    context.roots.output.mkdir()
    for name in ("cat_00007_.png", "cat_00099.png", "cat_big_00050_.png", "bigcat_00060_.png", "cat_00020_.jpg"):
        (context.roots.output / name).write_text("mine")
    assert SaveImage(picture(), "cat", context).files[0].filename == "cat_00008_.png"


def test_characters_with_a_meaning_in_patterns_are_plain(context: Context) -> None:
    for _ in range(2):
        SaveImage(picture(), "a+(b)[c].*", context)
    assert files(context.roots.output) == ["a+(b)[c].*_00001_.png", "a+(b)[c].*_00002_.png"]


def test_numbers_go_on_after_99999(context: Context) -> None:
    context.roots.output.mkdir()
    (context.roots.output / "cat_99999_.png").write_text("mine")
    assert SaveImage(picture(), "cat", context).files[0].filename == "cat_100000_.png"
    assert SaveImage(picture(), "cat", context).files[0].filename == "cat_100001_.png"


def test_levels_are_cut_off_and_not_rounded(context: Context) -> None:
    values = torch.tensor([[[[0.0, 0.999, 1.0], [-0.5, 1.5, 127.9 / 255]]]])
    saved = SaveImage(Image(values), "a", context)
    with PillowImage.open(saved.files[0].path) as stored:
        assert [stored.getpixel((x, 0)) for x in (0, 1)] == [(0, 254, 255), (0, 255, 127)]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_grey_and_transparent_pictures_are_saved_as_such(context: Context, channels: int, mode: str) -> None:
    with PillowImage.open(SaveImage(picture(channels=channels), "a", context).files[0].path) as stored:
        assert (stored.mode, stored.size, stored.format) == (mode, (9, 6), "PNG")


def test_pictures_of_two_channels_are_told(context: Context) -> None:
    assert problem(lambda: SaveImage(picture(channels=2), "a", context)).code == "bad_value"


def test_what_is_saved_loads_again_as_it_was(tmp_path: Path) -> None:
    context = context_in(tmp_path)
    levels = Image((picture() * 255).floor() / 255 + 1e-4)
    Path(SaveImage(levels, "a", context).files[0].path).rename(tmp_path / "a.png")
    context.roots.input[0].mkdir()
    (tmp_path / "a.png").rename(context.roots.input[0] / "a.png")
    torch.testing.assert_close(LoadImage("a.png", context).IMAGE, levels, atol=2e-4, rtol=0)


def test_the_workflow_the_prompt_and_the_facts_lie_in_the_picture(context: Context) -> None:
    origin = Provenance("nodegraph: 1\nname: Bär 🐻\n", '{"1": {"class_type": "A"}}', MappingProxyType({"torch": "2"}))
    saved = SaveImage(picture(), "a", replace(context, provenance=origin))
    texts = read_text_chunks(saved.files[0].path)
    assert texts["nodegraph"] == origin.workflow
    assert json.loads(texts["prompt"]) == {"1": {"class_type": "A"}}
    assert json.loads(texts["nodegraph.run"]) == {"torch": "2"}
    with PillowImage.open(saved.files[0].path) as stored:
        assert stored.info["prompt"] == origin.prompt


def test_half_a_surrogate_in_a_workflow_does_not_lose_the_picture(context: Context) -> None:
    saved = SaveImage(picture(), "a", replace(context, provenance=Provenance("text: \ud800", None)))
    assert read_text_chunks(saved.files[0].path)["nodegraph"] == "text: ?"


def test_pictures_have_the_permissions_of_other_new_files(context: Context, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    saved = SaveImage(picture(), "a", context)
    assert Path(saved.files[0].path).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_picture_is_only_read(context: Context) -> None:
    image = picture(2)
    before = digest_of(image)
    SaveImage(image, "a", context)
    PreviewImage(image, context)
    assert digest_of(image) == before


# --- prefixes


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a/b/c", "a/b/c_00001_.png"),
        ("%width%x%height%", "9x6_00001_.png"),
        ("🐻 bär", "🐻 bär_00001_.png"),
        ("👩‍🎨", "👩‍🎨_00001_.png"),
        ("hires.fix", "hires.fix_00001_.png"),
        ("x..y", "x..y_00001_.png"),
        ("console", "console_00001_.png"),
        ("100%", "100%_00001_.png"),
        ("n" * 200, "n" * 200 + "_00001_.png"),
    ],
)
def test_prefixes_that_are_allowed(context: Context, prefix: str, expected: str) -> None:
    saved = SaveImage(picture(), prefix, context)
    assert files(context.roots.output) == [expected]
    assert saved.files[0].subfolder == expected.rpartition("/")[0]


def test_a_date_is_filled_in(context: Context) -> None:
    before = datetime.datetime.now().astimezone().date()
    name = SaveImage(picture(), "%date:yyyy-MM-dd%/%date:yy.M%-%date%", context).files[0]
    after = datetime.datetime.now().astimezone().date()
    assert name.subfolder in (before.isoformat(), after.isoformat())
    assert re.fullmatch(r"\d\d\.M-\d{14}_00001_\.png", name.filename)


@pytest.mark.parametrize(
    "prefix",
    [
        "../x", "a/../../b", "a/..", "..", ".", "", "/", "a/", "/etc/x", "~/x", "C:\\x", "C:x", "\\\\host\\share\\x",
        "..\\x", "file:///x", "CON", "con", "a/NUL/b", "COM1.txt", "lpt9", "n" * 300, "🐻" * 60, "a/" * 400 + "b",
        "line\nbreak", "nul\0", "tab\t", "\x7f", "rtl\u202egnp.exe", "\ud800", "para\u2029", "a//b", "a/ /b", "...",
        "%date:../../x%", "%date:/etc/x%", "con ", "a/./b",
    ],
)  # fmt: skip
def test_prefixes_that_are_refused(context: Context, tmp_path: Path, prefix: str) -> None:
    found = problem(lambda: SaveImage(picture(), prefix, context))
    assert (found.code, found.input) == ("bad_value", "filename_prefix")
    assert "file name prefix" in found.message
    assert len(found.message) < 250
    assert found.describe().encode("utf-8", "backslashreplace")
    assert files(tmp_path) == []


def test_a_link_that_leads_out_of_the_output_folder_is_not_followed(context: Context, tmp_path: Path) -> None:
    (tmp_path / "output-secret").mkdir()
    context.roots.output.mkdir()
    (context.roots.output / "out").symlink_to(tmp_path / "output-secret")
    for prefix in ("out/x", "out/new/folder/x"):
        found = problem(lambda prefix=prefix: SaveImage(picture(), prefix, context))
        assert "leads out of the output folder through a link" in found.message
    assert list((tmp_path / "output-secret").iterdir()) == []


def test_an_output_folder_that_is_a_link_itself_is_fine(context: Context, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    context.roots.output.symlink_to(tmp_path / "disk")
    SaveImage(picture(), "a/b", context)
    assert files(tmp_path / "disk") == ["a/b_00001_.png"]


# --- others writing at the same time, and things going wrong


def test_eight_threads_never_get_the_same_name(context: Context) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: SaveImage(picture(), "cat", context), range(40)))
    names = [saved.files[0].filename for saved in results]
    assert sorted(names) == [f"cat_{i:05}_.png" for i in range(1, 41)]
    assert files(context.roots.output) == sorted(names)
    for name in names:
        with PillowImage.open(context.roots.output / name) as stored:
            stored.load()


@pytest.mark.parametrize("reason", ["EPERM", "EOPNOTSUPP"])
def test_a_file_system_without_hard_links_works_too(
    context: Context, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(getattr(errno, reason), "no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: SaveImage(picture(), "cat", context).files[0].filename, range(16)))
    assert sorted(names) == files(context.roots.output) == [f"cat_{i:05}_.png" for i in range(1, 17)]


def test_a_folder_that_cannot_be_written_is_told(context: Context, tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file where the folder should be")
    found = problem(lambda: SaveImage(picture(), "a", context))
    assert found.code == "cannot_write"
    assert str(tmp_path / "output") in found.message
    assert found.hint and "--output-dir" in found.hint


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the child runs this one call and ends
def test_a_read_only_folder_is_told_and_stays_empty(context: Context, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output").chmod(0o555)
    pid = os.fork()
    if pid == 0:  # a process of its own, without the rights of a superuser, for whom nothing is read-only
        code = 1
        try:
            os.chdir(tmp_path)
            if os.geteuid() == 0:
                os.setuid(65534)
            found = problem(lambda: SaveImage(picture(), "a", replace(context, roots=Roots(output=Path("output")))))
            code = 0 if found.code == "cannot_write" and "Permission denied" in found.message else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert files(tmp_path) == []


def test_a_full_disk_is_told_and_leaves_nothing_behind(context: Context) -> None:
    SaveImage(picture(), "before", context)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))  # the way a disk fills up in the middle of a file
        found = problem(lambda: SaveImage(picture(1, 64, 64), "a", context))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)
    assert found.code == "disk_full"
    assert str(context.roots.output) in found.message
    assert re.search(r"1[0-9],[0-9]{3} bytes needed", found.message)
    assert files(context.roots.output) == ["before_00001_.png"]


def test_a_cancelled_run_leaves_no_half_written_picture(context: Context) -> None:
    token = CancelToken()
    reports: list[float] = []

    def progress(value: float, total: float) -> None:
        reports.append(value)
        if value == 1:
            token.cancel()

    with pytest.raises(Cancelled):
        SaveImage(picture(3), "a", replace(context, token=token, on_progress=progress))
    assert reports == [0, 1]
    assert files(context.roots.output) == ["a_00001_.png", "a_00002_.png"]


def test_an_empty_batch_saves_nothing(context: Context) -> None:
    assert SaveImage(picture(0), "a", context) == Saved(())
