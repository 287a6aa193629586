"""`nodegraph sweep`: the same file for several values, and what became of them on one sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import nodegraph
from nodegraph.graph.over import split_values
from tests.cli.support import SUM, Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

STRIPES = """\
nodegraph: 1
params: {number: 7}
nodes:
  amount: {uses: Number, with: {value: 3}}
  stripes: {uses: Stripes, with: {seed: $number}}
  save: {uses: SaveImage, with: {images: $stripes, filename_prefix: stripes}}
  tell: {uses: Tell, with: {value: $amount}}
"""

TINY = """\
nodegraph: 1
params: {seed: 3, cfg: 4}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a red star}}
  negative: {uses: CLIPTextEncode, with: {clip: $model.clip, text: ""}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  latent:
    uses: KSampler
    with:
      model: $model.model
      positive: $positive
      negative: $negative
      latent_image: $canvas
      seed: $seed
      cfg: $cfg
      steps: 1
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture, filename_prefix: star}}
"""


def executed(outcome: Outcome) -> list[str]:
    return [event["node"] for event in outcome.events if event["event"] == "finished"]


class TestValues:
    def test_every_combination_is_run_and_what_does_not_differ_only_once(self, cli: Cli, file: File, pack: Path):
        done = cli(
            "sweep",
            file("sum.yaml", SUM),
            "--over",
            "start=1,2",
            "--over",
            "sum.b=10..30:10",
            "--nodes",
            pack,
            "--json",
        )
        assert done.code == 0
        assert executed(done)[:2] == ["first[1]", "first[2]"]
        assert sorted(executed(done)[2:]) == sorted(
            f"{kind}[{a},{b}]" for kind in ("sum", "file") for a in (1, 2) for b in (10, 20, 30)
        )

    def test_side_by_side(self, cli: Cli, file: File, pack: Path):
        path = file("sum.yaml", SUM)
        done = cli("sweep", path, "--over", "start=1,2", "--over", "sum.b=10..11", "--zip", "--nodes", pack, "--json")
        assert [name for name in executed(done) if name.startswith("sum")] == ["sum[1+10]", "sum[2+11]"]
        uneven = cli("sweep", path, "--over", "start=1,2", "--over", "sum.b=1", "--zip", "--nodes", pack)
        assert uneven.code == 1
        assert "different lengths: 2 for start, 1 for b" in uneven.err

    def test_an_input_that_only_one_node_has_needs_no_node(self, cli: Cli, file: File, pack: Path):
        done = cli("sweep", file("sum.yaml", SUM), "--over", "mode=plain,twice", "--nodes", pack, "--json")
        assert [name for name in executed(done) if name.startswith("sum")] == ["sum[plain]", "sum[twice]"]

    def test_other_parameters_can_be_set(self, cli: Cli, file: File, pack: Path):
        path = file("sum.yaml", SUM)
        cli("sweep", path, "--over", "file.name=x,y", "--set", "start=40", "--nodes", pack)
        assert [Path("output", f"{name}.txt").read_text() for name in "xy"] == ["43", "43"]

    def test_a_parameter_without_a_default_can_be_swept(self, cli: Cli, file: File, pack: Path):
        text = SUM.replace("{start: 2}", "{start: {type: INT, max: 5}}")
        path = file("sum.yaml", text)
        assert cli("sweep", path, "--over", "start=1,2", "--nodes", pack).code == 0
        assert "at most 5" in cli("sweep", path, "--over", "start=1,9", "--nodes", pack).err

    def test_a_sweep_of_the_file_is_kept_and_comes_first(self, cli: Cli, file: File, pack: Path):
        text = SUM.replace("params:", "matrix: {start: [1, 2]}\nparams:")
        done = cli("sweep", file("sum.yaml", text), "--over", "b=5,6", "--nodes", pack, "--json")
        assert "sum[2,6]" in executed(done)

    @pytest.mark.parametrize(
        ("text", "values"),
        [
            ("3,5,7", ["3", "5", "7"]),
            (" a b , c ", ["a b", "c"]),
            (r"a\, b,c", ["a, b", "c"]),
            ('"a, b" ,c', ["a, b", "c"]),
            (r'"say \"hi\"",\\', ['say "hi"', "\\"]),
            ('" a ",', [" a ", ""]),
            (r"a\b", [r"a\b"]),
            ("", []),
        ],
    )
    def test_values_between_commas(self, text: str, values: list[str]):
        assert split_values(text) == values

    @pytest.mark.parametrize(
        ("over", "words"),
        [
            ("start", "--over takes NAME=VALUES, not 'start'"),
            ("strat=1,2", "did you mean 'start'?"),
            ("sum.bb=1", "Add has no input 'bb'"),
            ("start=1,x", "takes a whole number (INT), not 'x'"),
            ("start=", "no values"),
            ("start=1..4:0", "never lead"),
            ("start=1..100000", "100,000 values"),
            ("start=1..100000,3", "more than 10,000 values"),
            ("sum.b=1,x", "input 'b' wants a whole number, got a text 'x'"),
            ("first.value=1,999", "must be 0 … 100, got 999"),
            ("sum.mode=plain,twize", "did you mean 'twice'?"),
            ("value=1", "write one of first.value, file.value"),
        ],
    )
    def test_mistakes(self, over: str, words: str, cli: Cli, file: File, pack: Path):
        done = cli("sweep", file("sum.yaml", SUM), "--over", over, "--nodes", pack)
        assert done.code == 1
        assert words in done.err
        assert "Traceback" not in done.err
        assert not Path("output").exists()

    def test_the_same_name_twice(self, cli: Cli, file: File, pack: Path):
        done = cli("sweep", file("s.yaml", SUM), "--over", "start=1", "--over", "start=2", "--nodes", pack)
        assert (done.code, "twice" in done.err) == (1, True)

    def test_nothing_to_sweep_over(self, cli: Cli, file: File):
        assert cli("sweep", file("s.yaml", SUM)).code == 2

    def test_a_file_with_mistakes_tells_them(self, cli: Cli, file: File, pack: Path):
        done = cli("sweep", file("s.yaml", SUM.replace("Number", "Nummer")), "--over", "start=1", "--nodes", pack)
        assert (done.code, "did you mean 'Number'?" in done.err) == (1, True)
        assert cli("sweep", "nothing.yaml", "--over", "a=1").code == 1


class TestGrid:
    def test_pictures_come_together_on_a_sheet_with_the_workflow_inside(self, cli: Cli, file: File, pack: Path):
        path = file("stripes.yaml", STRIPES)
        done = cli("sweep", path, "--over", "number=1..3", "--grid", "new/sheet.png", "--nodes", pack)
        assert done.code == 0
        assert done.lines[-1] == "saved new/sheet.png"
        assert not any("temp" in line for line in done.lines)
        with Image.open("new/sheet.png") as sheet:
            assert sheet.width > 300 and sheet.width > sheet.height
        inside = nodegraph.load("new/sheet.png")
        assert inside.sweep is not None and list(inside.sweep.values) == ["number"]
        assert [path.name for path in Path("new").iterdir()] == ["sheet.png"]
        assert len(list(Path("output").glob("stripes_*.png"))) == 3
        assert path.read_text() == STRIPES

    def test_a_second_time_nothing_is_run(self, cli: Cli, file: File, pack: Path):
        options = ("sweep", file("s.yaml", STRIPES), "--over", "number=1..3", "--grid", "a.png", "--nodes", pack)
        cli(*options)
        first = Path("a.png").read_bytes()
        Path("a.png").unlink()
        again = cli(*options, "--json")
        assert executed(again) == []
        assert again.events[-1] == {"event": "grid", "path": "a.png"}
        assert Path("a.png").read_bytes() == first

    def test_only_the_path_when_quiet(self, cli: Cli, file: File, pack: Path):
        done = cli("sweep", file("s.yaml", STRIPES), "--over", "number=1,2", "--grid", "a.png", "-q", "--nodes", pack)
        assert done.lines[-1] == "a.png"
        assert all(Path(line).is_file() for line in done.lines)

    def test_several_pictures_give_several_sheets(self, cli: Cli, file: File, pack: Path):
        text = STRIPES.replace("  tell:", "  more: {uses: Stripes, with: {seed: $number}}\n"
                                          "  show: {uses: PreviewImage, with: {images: $more}}\n  tell:")  # fmt: skip
        done = cli("sweep", file("s.yaml", text), "--over", "number=1,2", "--grid", "a.png", "--nodes", pack)
        assert done.code == 0
        assert Path("a-stripes.png").is_file() and Path("a-more.png").is_file()
        assert not Path("a.png").exists()

    def test_only_some_nodes(self, cli: Cli, file: File, pack: Path):
        done = cli("sweep", file("s.yaml", STRIPES), "--over", "number=1,2", "--grid", "a.png", "--only", "tell",
                   "--nodes", pack)  # fmt: skip
        assert done.code == 0
        assert Path("a.png").is_file()
        assert not list(Path("output").glob("stripes_*"))

    @pytest.mark.parametrize(
        ("over", "grid", "words"),
        [
            ("number=1,2", "a.jpg", "write --grid a.png"),
            ("amount.value=1,2", "a.png", "no picture of this workflow depends on what is swept"),
            ("number=1,2", "folder.png", "this is a folder"),
            ("number=1,2", "s.yaml/a.png", "not a folder"),
        ],
    )
    def test_what_cannot_be_saved_is_told_before_the_work(
        self, over: str, grid: str, words: str, cli: Cli, file: File, pack: Path, tmp_path: Path
    ):
        (tmp_path / "folder.png").mkdir()
        done = cli("sweep", file("s.yaml", STRIPES), "--over", over, "--grid", grid, "--nodes", pack)
        assert done.code == 1
        assert words in done.err
        assert not Path("output").exists()

    def test_a_sheet_is_not_drawn_when_a_cell_failed(self, cli: Cli, file: File, pack: Path):
        text = STRIPES.replace("uses: Stripes, with: {seed: $number}", "uses: Stripes, with: {seed: $bad}").replace(
            "  stripes:", "  bad: {uses: Fail, with: {value: $number}}\n  stripes:"
        )
        done = cli("sweep", file("s.yaml", text), "--over", "number=1,2", "--grid", "a.png", "--nodes", pack)
        assert done.code == 1
        assert not Path("a.png").exists()


def test_a_sweep_of_3_by_4_over_cfg_and_seed_runs_exactly_what_differs(cli: Cli, file: File):
    path = file("tiny.yaml", TINY)
    plain = cli("run", path, "--set", "cfg=5", "--set", "seed=2", "--json")
    shared = ["model", "positive", "negative", "canvas"]
    assert sorted(executed(plain)) == sorted([*shared, "latent", "picture", "save"])
    done = cli("sweep", path, "--over", "cfg=3,5,7", "--over", "seed=1..4", "--grid", "grid.png", "--json")
    assert done.code == 0, done.err
    cells = {f"[{cfg},{seed}]" for cfg in (3, 5, 7) for seed in range(1, 5)} - {"[5,2]"}  # which was there already
    ran = [name for name in executed(done) if not name.startswith(("save", "model"))]  # handles are not kept
    assert sorted(ran) == sorted(
        [f"{kind}{cell}" for kind in ("latent", "picture") for cell in cells] + ["grid", "grid-file"]
    )
    summary = json.loads(next(line for line in done.lines if "run_finished" in line))
    assert summary["failed"] == summary["skipped"] == 0
    again = cli("sweep", path, "--over", "cfg=7,3,5", "--over", "seed=1..4", "--json")
    assert executed(again) == []
