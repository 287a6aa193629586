from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from nodegraph.execution.session import Session
from tests.cli.support import HALF, SUM, Outcome, program

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

PICTURE = """\
nodegraph: 1
params: {number: 7}
nodes:
  stripes: {uses: Stripes, with: {seed: $number}}
  save: {uses: SaveImage, with: {images: $stripes, filename_prefix: stripes}}
"""

# The embedded model, in as few steps as make a picture.
TINY = """\
nodegraph: 1
params: {prompt: a red star, seed: 3}
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $model.clip, text: $prompt}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  latent:
    uses: KSampler
    with:
      model: $model.model
      positive: $positive
      negative: $positive
      latent_image: $canvas
      seed: $seed
      steps: 2
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture, filename_prefix: star}}
"""


def written(name: str = "sum", folder: str = "output") -> str:
    return Path(folder, f"{name}.txt").read_text(encoding="utf-8")


def pixels(path: Path | str) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


class TestProgress:
    def test_a_line_for_each_node_then_what_was_saved_and_a_summary(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("sum.yaml", SUM), "--nodes", pack)
        assert (done.code, done.err) == (0, "")
        shown = [re.sub(r"\d+\.\d s", "T s", line) for line in done.lines]
        assert shown == [
            "[1/3] first (Number) T s",
            "[2/3] sum (Add) T s",
            "[3/3] file (Write) T s",
            f"saved {Path('output', 'sum.txt')}",
            "3 nodes: 3 run, T s",
        ]
        assert written() == "5"

    def test_nodes_that_repeat_an_action_are_cached_unless_reuse_is_switched_off(
        self, cli: Cli, file: File, pack: Path
    ):
        twice = SUM + "  again: {uses: Add, with: {a: $first, b: 3}}\n  tell: {uses: Tell, with: {value: $again}}\n"
        cached = cli("run", file("twice.yaml", twice), "--nodes", pack)
        assert [line for line in cached.lines if line.endswith(" cached")] == ["[3/5] again (Add) cached"]
        assert re.search(r"^5 nodes: 4 run, 1 cached, ", cached.lines[-1])
        fresh = cli("run", "twice.yaml", "--nodes", pack, "--cache", "off")
        assert fresh.lines[-1].startswith("5 nodes: 5 run, ")

    def test_what_an_output_node_shows_is_printed(self, cli: Cli, file: File, pack: Path):
        path = file("tell.yaml", "nodegraph: 1\nnodes:\n  tell: {uses: Tell, with: {value: 4}}\n")
        assert "tell: it is 4" in cli("run", path, "--nodes", pack).lines

    def test_quiet_prints_only_the_paths_of_saved_files(self, cli: Cli, file: File, pack: Path):
        path = file("unused.yaml", SUM.replace("{start: 2}", "{start: 2, spare: 1}"))
        done = cli("run", path, "--nodes", pack, "-q")
        assert (done.code, done.out, done.err) == (0, f"{Path('output', 'sum.txt')}\n", "")

    def test_warnings_of_the_check_and_of_nodes_go_to_stderr(self, cli: Cli, file: File, pack: Path):
        text = SUM.replace("{start: 2}", "{start: 2, spare: 1}").replace(
            "  sum: {uses: Add, with: {a: $first",
            "  loud: {uses: Chatty, with: {value: $first}}\n  sum: {uses: Add, with: {a: $loud",
        )
        done = cli("run", file("warn.yaml", text), "--nodes", pack)
        assert done.code == 0
        assert "warn.yaml:2:20: warning: parameter 'spare' is not used" in done.err
        assert "warning: 'loud': this is a big number" in done.err
        assert "warning" not in done.out

    def test_json_gives_one_event_a_line_and_nothing_else(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("half.yaml", HALF), "--nodes", pack, "--json")
        events = done.events
        assert [event["event"] for event in events[:2]] == ["planned", "started"]
        assert events[-1]["event"] == "run_finished"
        assert events[-1]["status"] == "failed"
        (failed,) = [event for event in events if event["event"] == "failed"]
        assert failed["problem"]["line"] == 4
        assert "half.yaml:4:3: 'bad' (Fail) failed: ValueError: no luck with 1" in done.err

    def test_json_tells_problems_that_keep_a_workflow_from_running(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("bad.yaml", SUM.replace("$first,", "$frist,")), "--nodes", pack, "--json")
        (event,) = done.events
        assert done.code == 1
        assert (event["event"], event["problem"]["code"]) == ("problem", "unknown_reference")


class TestFailures:
    def test_a_failed_node_is_named_with_its_place_and_the_rest_still_runs(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("half.yaml", HALF), "--nodes", pack)
        assert done.code == 1
        assert written("kept") == "1"
        assert not Path("output/lost.txt").exists()
        message, source, caret = done.err.splitlines()
        assert "half.yaml:4:3: 'bad' (Fail) failed: ValueError: no luck with 1" in message
        assert (source.strip(), caret.strip()) == ("bad: {uses: Fail, with: {value: $first}}", "^")
        skipped = [line.partition("] ")[2] for line in done.lines[:-1] if "skipped" in line]
        assert skipped == ["after (Add) skipped because 'bad' failed", "lost (Write) skipped because 'bad' failed"]
        assert done.lines[-1].startswith("5 nodes: 2 run, 1 failed, 2 skipped, ")

    def test_verbose_adds_the_traceback_of_the_node_and_only_verbose_does(self, cli: Cli, file: File, pack: Path):
        path = file("half.yaml", HALF)
        assert "Traceback" not in cli("run", path, "--nodes", pack).err
        shown = cli("run", path, "--nodes", pack, "-v").err
        assert "Traceback" in shown
        assert 'raise ValueError(f"no luck with {value}")' in shown

    def test_all_problems_of_a_workflow_are_told_and_nothing_runs(self, cli: Cli, file: File, pack: Path):
        text = SUM.replace("uses: Add", "uses: Ad").replace("name: sum", "nmae: sum").replace("start: 2", "start: 200")
        done = cli("run", file("bad.yaml", text), "--nodes", pack)
        assert (done.code, done.out) == (1, "")
        for said in ("'Ad'; did you mean 'Add'?", "did you mean 'name'?", "must be 0 … 100, got 200"):
            assert said in done.err
        assert not Path("output").exists()

    def test_a_mistake_of_nodegraphs_own_is_one_line_without_a_traceback(
        self, cli: Cli, file: File, pack: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def broken(*_: object, **__: object) -> None:
            raise KeyError("inside")

        monkeypatch.setattr(Session, "run", broken)
        path = file("sum.yaml", SUM)
        done = cli("run", path, "--nodes", pack)
        assert (done.code, done.out) == (1, "")
        assert len(done.err.splitlines()) == 1
        assert "report" in done.err
        assert "Traceback" in cli("run", path, "--nodes", pack, "-v").err
        monkeypatch.setenv("NODEGRAPH_DEBUG", "1")
        assert "Traceback" in cli("run", path, "--nodes", pack).err


class TestOptions:
    def test_set_and_params_give_values_and_set_wins(self, cli: Cli, file: File, pack: Path):
        path, values = file("sum.yaml", SUM), file("values.yaml", "start: 10\n")
        assert cli("run", path, "--nodes", pack, "--params", values).code == 0
        assert written() == "13"
        assert cli("run", path, "--nodes", pack, "--params", values, "--set", "start=20").code == 0
        assert written() == "23"

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("strat=1", "no parameter 'strat'; did you mean 'start'?"),
            ("start=two", "takes a whole number (INT), not 'two'"),
            ("start=101", "must be 0 … 100, got 101"),
            ("start", "a parameter is set with NAME=VALUE"),
        ],
    )
    def test_a_wrong_value_is_refused_before_anything_runs(
        self, cli: Cli, file: File, pack: Path, setting: str, message: str
    ):
        done = cli("run", file("sum.yaml", SUM), "--nodes", pack, "--set", setting)
        assert (done.code, done.out) == (1, "")
        assert message in done.err
        assert not Path("output").exists()

    def test_a_parameter_without_default_that_is_given_wrongly_is_told_once(self, cli: Cli, file: File, pack: Path):
        path = file("sum.yaml", SUM.replace("start: 2", "start: {type: INT}"))
        done = cli("run", path, "--nodes", pack, "--set", "start=two")
        assert done.err.count("start") == 1
        assert (
            "has no default and was not given; give it with --set start=VALUE" in cli("run", path, "--nodes", pack).err
        )

    def test_seed_is_the_parameter_of_that_name(self, cli: Cli, file: File, pack: Path):
        text = SUM.replace("start", "seed")
        assert cli("run", file("sum.yaml", text), "--nodes", pack, "--seed", 40).code == 0
        assert written() == "43"

    def test_seed_without_such_a_parameter_sets_the_seeds_written_as_numbers(self, cli: Cli, file: File, pack: Path):
        text = (
            "nodegraph: 1\nparams: {other: 5}\nnodes:\n"
            "  a: {uses: Dice, with: {seed: 1}}\n  b: {uses: Dice}\n  c: {uses: Dice, with: {seed: $other}}\n"
            + "".join(f"  file_{n}: {{uses: Write, with: {{value: ${n}, name: {n}}}}}\n" for n in "abc")
        )
        assert cli("run", file("dice.yaml", text), "--nodes", pack, "--seed", 2**64 - 1).code == 0
        assert [written(name) for name in "abc"] == [str(2**64 - 1), str(2**64 - 1), "5"]

    def test_seed_where_there_is_none_says_what_to_do(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("sum.yaml", SUM), "--nodes", pack, "--seed", 1)
        assert done.code == 1
        assert "declare a parameter 'seed'" in done.err
        fed = file("fed.yaml", PICTURE)
        done = cli("run", fed, "--nodes", pack, "--seed", 1)
        assert "its seeds come from $number: use --set number=1" in done.err

    @pytest.mark.parametrize("seed", ["-1", str(2**64), "1.5", "x", ""])
    def test_what_cannot_be_a_seed_is_misuse(self, cli: Cli, seed: str):
        done = cli("run", "hello", f"--seed={seed}")
        assert done.code == 2
        assert f"from 0 to {2**64 - 1}" in done.err

    def test_only_runs_a_node_and_what_it_needs(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("sum.yaml", SUM), "--nodes", pack, "--only", "sum")
        assert done.lines[-1].startswith("2 nodes: 2 run")
        assert not Path("output").exists()
        done = cli("run", "sum.yaml", "--nodes", pack, "--only", "smu")
        assert done.code == 1
        assert "there is no node 'smu' to run; did you mean 'sum'?" in done.err

    def test_a_workflow_that_produces_nothing_says_so_once(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("none.yaml", "nodegraph: 1\nnodes:\n  a: {uses: Number}\n"), "--nodes", pack)
        assert (done.code, done.out) == (1, "")
        assert done.err.count("nothing to produce") == 1
        assert len(done.err.splitlines()) == 1

    def test_output_dir_is_made_and_may_have_spaces(self, cli: Cli, file: File, pack: Path):
        path = file("my files/my sum.yaml", SUM)
        done = cli("run", path, "--nodes", pack, "--output-dir", "my pictures/today")
        assert done.code == 0
        assert f"saved {Path('my pictures', 'today', 'sum.txt')}" in done.lines
        assert written(folder="my pictures/today") == "5"

    def test_an_output_dir_that_cannot_be_is_refused_before_anything_runs(self, cli: Cli, file: File, pack: Path):
        path = file("sum.yaml", SUM)
        done = cli("run", path, "--nodes", pack, "--output-dir", path / "below")
        assert (done.code, done.out) == (1, "")
        assert "sum.yaml is not a folder; choose another folder with --output-dir" in done.err

    @pytest.mark.parametrize("option", ["--nodes", "--model-dir", "--input-dir"])
    def test_a_folder_that_is_not_there_is_refused(self, cli: Cli, file: File, option: str):
        done = cli("run", file("sum.yaml", SUM), option, "nowhere")
        assert (done.code, done.out) == (1, "")
        assert f"{option}: there is no such folder" in done.err

    def test_an_unknown_kind_of_device_is_refused_before_anything_runs(self, cli: Cli, file: File, pack: Path):
        done = cli("run", file("sum.yaml", SUM), "--nodes", pack, "--device", "cdua", "--json")
        assert (done.code, done.out) == (1, "")
        assert "there is no kind of device called 'cdua'; did you mean 'cuda'?" in done.err

    @pytest.mark.parametrize(
        "options", [["--dtype", "int8"], ["--threads", "0"], ["--threads", "two"], ["--nonsense"], []]
    )
    def test_misuse_ends_with_2(self, cli: Cli, options: list[str]):
        done = cli("run", *(["hello", *options] if options else []))
        assert (done.code, done.out) == (2, "")
        assert "usage: nodegraph run" in done.err

    def test_threads_is_how_many_torch_uses(self, file: File, pack: Path, tmp_path: Path):
        text = SUM.replace("sum: {uses: Add, with: {a: $first, b: 3}}", "sum: {uses: Threads, with: {value: $first}}")
        done = program("run", file("threads.yaml", text), "--nodes", pack, "--threads", 1, cwd=tmp_path)
        assert done.code == 0, done.err
        assert (tmp_path / "output" / "sum.txt").read_text(encoding="utf-8") == "1"

    def test_a_broken_pack_is_told_and_the_others_work(self, cli: Cli, file: File, pack: Path, tmp_path: Path):
        file("more/broken.py", "raise RuntimeError('unfinished')")
        done = cli("run", file("sum.yaml", SUM), "--nodes", pack, "--nodes", tmp_path / "more")
        assert done.code == 0
        assert "warning: node pack 'broken' is left out: it fails at import: RuntimeError: unfinished" in done.err


class TestFiles:
    def test_a_workflow_may_come_from_standard_input(self, pack: Path, tmp_path: Path):
        done = program("run", "-", "--nodes", pack, cwd=tmp_path, stdin=SUM.encode())
        assert done.code == 0, done.err
        done = program("run", "-", "--nodes", pack, cwd=tmp_path, stdin=SUM.replace("Add", "Ad").encode())
        assert (done.code, done.out) == (1, "")
        assert "<stdin>:5:15: unknown node type 'Ad'" in done.err

    def test_a_picture_on_standard_input_is_refused_with_the_remedy(self, tmp_path: Path):
        done = program("run", "-", cwd=tmp_path, stdin=b"\x89PNG\r\n\x1a\n")
        assert done.code == 1
        assert "standard input holds a picture; give the picture's path" in done.err

    def test_a_misspelt_file_or_example_gets_a_suggestion(self, cli: Cli, file: File):
        file("portrait.yaml", SUM)
        assert "did you mean 'portrait.yaml'?" in cli("run", "portrat.yaml").err
        done = cli("run", "helo")
        assert done.code == 1
        assert "there is no file or example 'helo'; did you mean 'hello', which is an example?" in done.err
        assert "the examples are " in cli("run", "zzzzzz").err

    def test_a_file_beats_an_example_of_the_same_name_and_a_folder_does_not(self, cli: Cli, file: File, pack: Path):
        Path("hello").mkdir()
        assert "7 nodes" in cli("check", "hello").out
        Path("hello").rmdir()
        file("hello", SUM)
        assert "3 nodes" in cli("check", "hello", "--nodes", pack).out

    def test_a_saved_picture_runs_again_to_the_same_pixels_beside_the_first(self, cli: Cli, file: File, pack: Path):
        first = cli("run", file("stripes.yaml", PICTURE), "--nodes", pack, "--set", "number=11", "-q")
        (picture,) = first.lines
        before = Path(picture).read_bytes()
        again = cli("run", picture, "--nodes", pack, "-q", "--cache", "off")
        (copy,) = again.lines
        assert (first.code, again.code) == (0, 0)
        assert copy != picture
        assert pixels(copy) == pixels(picture)
        assert Path(picture).read_bytes() == before
        other = cli("run", picture, "--nodes", pack, "-q", "--set", "number=12")
        assert pixels(other.lines[0]) != pixels(picture)

    def test_a_picture_made_with_seed_says_which(self, cli: Cli, file: File, pack: Path):
        text = PICTURE.replace("params: {number: 7}\n", "").replace("$number", "1")
        (picture,) = cli("run", file("stripes.yaml", text), "--nodes", pack, "-q", "--seed", 99).lines
        (same,) = cli("run", picture, "--nodes", pack, "-q").lines
        (plain,) = cli("run", "stripes.yaml", "--nodes", pack, "-q").lines
        assert pixels(same) == pixels(picture) != pixels(plain)

    def test_a_picture_without_a_workflow_says_so(self, cli: Cli):
        Image.new("RGB", (2, 2)).save("photo.png")
        done = cli("run", "photo.png")
        assert done.code == 1
        assert "photo.png holds no workflow; only pictures saved by nodegraph" in done.err


def test_the_embedded_model_draws_and_draws_the_same_again_from_its_picture(cli: Cli, file: File):
    first = cli("run", file("star.yaml", TINY), "--json")
    assert first.code == 0, first.err
    events = first.events
    steps = [event["value"] for event in events if event["event"] == "progress" and event["node"] == "latent"]
    assert steps == [1, 2]
    (picture,) = next(event["files"] for event in events if event.get("files"))
    with Image.open(picture) as image:
        assert image.size == (64, 64)
        texts = dict(image.text)  # type: ignore[attr-defined]
    assert {"nodegraph", "prompt", "nodegraph.run"} <= texts.keys()
    assert json.loads(texts["prompt"])["latent"]["inputs"]["seed"] == 3
    again = cli("run", picture, "-q")
    assert again.code == 0, again.err
    assert pixels(again.lines[0]) == pixels(picture)


def test_a_device_that_the_machine_lacks_is_told_as_a_problem(cli: Cli, file: File):
    done = cli("run", file("star.yaml", TINY), "--device", "cuda:99", "--json")
    assert done.code == 1
    (failed,) = [event for event in done.events if event["event"] == "failed"]
    assert failed["problem"]["code"] == "bad_device"
    assert "this machine has no device 'cuda:99'" in done.err
    assert "Traceback" not in done.err
