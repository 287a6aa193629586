from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import SUM, Outcome

Cli = Callable[..., Outcome]
File = Callable[[str, str], Path]

SAMPLER = """\
nodegraph: 1
nodes:
  model: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  text: {uses: CLIPTextEncode, with: {clip: $model.clip, text: a star}}
  canvas: {uses: EmptyLatentImage, with: {width: 64, height: 64}}
  latent:
    uses: KSampler
    with:
      model: $model.model
      positive: $text
      negative: $text
      latent_image: $canvas
  picture: {uses: VAEDecode, with: {samples: $latent, vae: $model.vae}}
  save: {uses: SaveImage, with: {images: $picture}}
"""

# One of everything. Each comment is the code, and behind it the source text at the place of the problem.
EVERYTHING = """\
nodegraph: 1
nmae: everything                                            # unknown_key nmae
params:
  seed: -1
  spare: 3                                                  # unused_param spare
nodes:
  model:
    uses: CheckpointLoaderSimple
    with:
      ckpt_name: tinny                                      # not_a_choice tinny
  positive:
    uses: CLIPTextEncod                                     # unknown_node CLIPTextEncod
    with: {clip: $model.clip, text: hello}
  negative:                                                 # missing_input negative:
    uses: CLIPTextEncode
    with:
      clip: $model.clp                                      # unknown_output $model.clp
      txet: ""                                              # unknown_input txet
  canvas:
    uses: EmptyLatentImage
    with:
      width: 0                                              # out_of_range 0
      height: 64.5                                          # type_mismatch 64.5
  latent:
    uses: KSampler
    with:
      model: $model                                         # ambiguous_output $model
      positive: $negative
      negative: $canvas                                     # type_mismatch $canvas
      latent_image: $canvsa                                 # unknown_reference $canvsa
      seed: $seed                                           # out_of_range $seed
      steps: 0                                              # out_of_range 0
      cfg: .nan                                             # bad_number .nan
      denoise: 1.0001                                       # out_of_range 1.0001
      sampler_name: eular                                   # not_a_choice eular
      steps: 20                                             # duplicate_key steps
  loop: {uses: LatentUpscale, with: {samples: $loop}}       # cycle loop
  ring-a: {uses: LatentUpscale, with: {samples: $ring-b}}   # cycle ring-a
  ring-b: {uses: LatentUpscale, with: {samples: $ring-a}}
  picture:
    uses: VAEDecode
    with:
      samples: $latent
      vae: $model.clip                                      # type_mismatch $model.clip
  save:
    uses: SaveImage
    with:
      images: $picture
      filename_prefix: "${sed}-x"                           # unknown_param "${sed}-x"
"""


def with_input(line: str) -> str:
    """The sampler's workflow with one more line among its sampler's inputs."""
    return SAMPLER.replace("      latent_image: $canvas\n", f"      latent_image: $canvas\n      {line}\n")


def problems_of(done: Outcome) -> list[dict[str, Any]]:
    (report,) = done.json["files"]
    return report["problems"]


class TestReport:
    def test_a_right_file_is_fine(self, cli: Cli, file: File):
        path = file("my picture.yaml", SAMPLER)
        done = cli("check", path.name)
        assert (done.code, done.out, done.err) == (0, "my picture.yaml: fine, 6 nodes\n", "")

    def test_every_mistake_of_a_file_is_found_at_once_at_its_place(self, cli: Cli, file: File):
        done = cli("check", file("everything.yaml", EVERYTHING), "--json")
        expected = [
            (number, *comment.split(maxsplit=1))
            for number, line in enumerate(EVERYTHING.splitlines(), 1)
            for comment in line.split("# ")[1:]
        ]
        found = [
            (p["line"], p["code"], p["source"][p["column"] - 1 :].split("# ")[0].rstrip()) for p in problems_of(done)
        ]
        assert [(line, code) for line, code, _ in found] == [(line, code) for line, code, _ in expected]
        for (_, code, shown), (_, _, source) in zip(found, expected, strict=True):
            assert shown.startswith(source), (code, shown)
        assert done.code == 1
        assert (done.json["errors"], done.json["warnings"]) == (len(expected) - 1, 1)

    def test_suggestions_stand_with_the_mistakes(self, cli: Cli, file: File):
        shown = cli("check", file("everything.yaml", EVERYTHING)).out
        for guess in ("name", "tiny", "CLIPTextEncode", "clip", "text", "$canvas", "euler", "$model.vae", "seed"):
            assert f"did you mean '{guess}'?" in shown
        assert "write one of $model.model, $model.clip, $model.vae" in shown
        assert "ring-a -> ring-b -> ring-a" in shown

    def test_a_mistake_is_shown_with_its_line_and_a_caret(self, cli: Cli, file: File):
        path = file("bad.yaml", with_input("steps: 0"))
        message, source, caret, summary = cli("check", path.name).lines
        assert message == "bad.yaml:13:14: input 'steps' must be 1 … 10000, got 0; the nearest allowed value is 1"
        assert source.strip() == "steps: 0"
        assert source[caret.index("^")] == "0"
        assert summary == "1 error in 1 file"

    def test_several_files_are_checked_in_one_go(self, cli: Cli, file: File, pack: Path):
        file("good.yaml", SUM)
        file("bad.yaml", SUM.replace("uses: Add", "uses: Ad").replace("{start: 2}", "{start: 2, spare: 1}"))
        done = cli("check", "good.yaml", "bad.yaml", "gone.yaml", "--nodes", pack)
        assert done.code == 1
        assert "good.yaml: fine, 3 nodes" in done.lines
        assert "gone.yaml: there is no file or example 'gone.yaml'" in done.out
        assert done.lines[-1] == "2 errors, 1 warning in 2 files"

    def test_warnings_fail_only_a_strict_check(self, cli: Cli, file: File, pack: Path):
        path = file("spare.yaml", SUM.replace("{start: 2}", "{start: 2, spare: 1}"))
        assert cli("check", path, "--nodes", pack).code == 0
        assert cli("check", path, "--nodes", pack, "--strict").code == 1

    def test_a_parameter_without_default_is_no_mistake_of_the_file(self, cli: Cli, file: File, pack: Path):
        path = file("open.yaml", SUM.replace("start: 2", "start: {type: INT}"))
        done = cli("check", path, "--nodes", pack)
        assert done.code == 0
        assert "warning: the parameter 'start' has no default and was not given" in done.out
        assert cli("check", path, "--nodes", pack, "--set", "start=5").out.endswith("open.yaml: fine, 3 nodes\n")
        assert cli("check", path, "--nodes", pack, "--set", "start=500").code == 1

    def test_nothing_is_told_twice_when_reading_and_checking_meet_the_same_mistake(self, cli: Cli, file: File):
        done = cli("check", file("twice.yaml", with_input("cfg: .nan").replace("uses: SaveImage, ", "")), "--json")
        assert [problem["code"] for problem in problems_of(done)] == ["bad_number", "missing_key"]

    def test_a_file_that_is_no_workflow_is_told_as_one_problem(self, cli: Cli, file: File):
        for name, text in (("a.yaml", "just text"), ("b.json", "[1, 2]"), ("c.yaml", ""), ("d.yaml", "a: [")):
            done = cli("check", file(name, text))
            assert done.code == 1
            assert done.lines[-1] == "1 error in 1 file"

    @pytest.mark.parametrize("text", [SAMPLER, EVERYTHING])
    def test_what_the_json_schema_says_agrees(self, cli: Cli, file: File, text: str):
        path = file("workflow.yaml", text)
        plain, schema = cli("check", path, "--json"), cli("check", path, "--json", "--schema")
        assert schema.code == plain.code
        assert schema.json == plain.json

    def test_the_schema_is_compared_where_it_is_stricter_than_the_check(
        self, cli: Cli, file: File, monkeypatch: pytest.MonkeyPatch
    ):
        import nodegraph.cli.schema_check as schema_check

        monkeypatch.setattr(schema_check, "json_schema", lambda _: {"properties": {"nodes": {"maxProperties": 2}}})
        done = cli("check", file("workflow.yaml", SAMPLER), "--schema", "--json")
        (problem,) = problems_of(done)
        assert (done.code, problem["code"], problem["line"]) == (1, "schema_mismatch", 3)


class TestNumbers:
    @pytest.mark.parametrize(
        ("line", "bound"),
        [
            ("seed: -1", "0 … 18446744073709551615"),
            ("seed: 18446744073709551616", "2^64 - 1"),
            ("seed: 1.5", "a whole number"),
            ('seed: "7"', "a whole number"),
            ("seed: true", "a whole number"),
            ("steps: 0", "1 … 10000"),
            ("steps: 1000000000", "1 … 10000"),
            ("steps: 1e3", "a whole number"),
            ("cfg: .nan", "not finite"),
            ("cfg: .inf", "not finite"),
            ("cfg: 100.5", "0 … 100"),
            ("cfg: NaN", "a number"),
            ("denoise: 1.0001", "0 … 1"),
            ("denoise: -0.1", "0 … 1"),
            ("scheduler: karas", "did you mean 'karras'?"),
        ],
    )
    def test_a_value_that_cannot_be_is_refused_with_the_bound_at_its_place(
        self, cli: Cli, file: File, line: str, bound: str
    ):
        path = file("w.yaml", with_input(line))
        (problem,) = problems_of(cli("check", path, "--json"))
        assert (problem["line"], problem["column"]) == (13, line.index(" ") + 8)
        assert bound in problem["message"] + problem.get("hint", "")

    @pytest.mark.parametrize(
        ("size", "expected"),
        [
            ("0", "16 … 16384"),
            ("15", "16 … 16384"),
            ("16", None),
            ("513", "a multiple of 8"),
            ("16384", None),
            ("16385", "16 … 16384"),
            ("1000000", "16 … 16384"),
        ],
    )
    def test_sizes_have_bounds(self, cli: Cli, file: File, size: str, expected: str | None):
        done = cli("check", file("w.yaml", SAMPLER.replace("width: 64", f"width: {size}")), "--json")
        assert done.code == (expected is not None)
        assert [problem["expected"] for problem in problems_of(done)] == ([expected] if expected else [])

    @pytest.mark.parametrize(
        "line", ["seed: 0", "seed: 18446744073709551615", "steps: 10000", "cfg: 7", "cfg: 1e1", "denoise: 1"]
    )
    def test_values_at_their_bounds_are_fine(self, cli: Cli, file: File, line: str):
        assert cli("check", file("w.yaml", with_input(line))).code == 0


class TestLinks:
    @pytest.mark.parametrize(
        ("link", "code"),
        [
            ("$nowhere", "unknown_reference"),
            ("$model", "ambiguous_output"),
            ("$model.modell", "unknown_output"),
            ("$model.3", "unknown_output"),
            ("$model.clip", "type_mismatch"),
            ("model", "type_mismatch"),
            ("7", "type_mismatch"),
        ],
    )
    def test_a_link_that_cannot_be(self, cli: Cli, file: File, link: str, code: str):
        path = file("w.yaml", SAMPLER.replace("model: $model.model", f"model: {link}"))
        (problem,) = problems_of(cli("check", path, "--json"))
        assert (problem["code"], problem["line"], problem["column"]) == (code, 9, 14)

    def test_an_input_too_many_and_one_too_few(self, cli: Cli, file: File):
        path = file("w.yaml", SAMPLER.replace("positive: $text", "positively: $text"))
        found = problems_of(cli("check", path, "--json"))
        assert [(problem["code"], problem["input"]) for problem in found] == [
            ("missing_input", "positive"),
            ("unknown_input", "positively"),
        ]

    @pytest.mark.parametrize("size", [1, 2, 1000])
    def test_a_cycle_is_told_once_with_its_whole_path(self, cli: Cli, file: File, pack: Path, size: int):
        nodes = "".join(f"  n{i}: {{uses: Add, with: {{a: $n{(i - 1) % size}}}}}\n" for i in range(size))
        path = file("ring.yaml", f"nodegraph: 1\nnodes:\n{nodes}  end: {{uses: Write, with: {{value: $n0}}}}\n")
        (problem,) = problems_of(cli("check", path, "--nodes", pack, "--json"))
        assert (problem["code"], problem["line"], problem["node"]) == ("cycle", 3, "n0")
        assert problem["got"] == " -> ".join([*(f"n{i}" for i in range(size)), "n0"])


def test_a_workflow_that_uses_itself_through_another_is_told_with_the_way(cli: Cli, file: File):
    other = "nodegraph: 1\nnodes:\n  inner: {uses: ./first.yaml}\noutputs: {out: $inner}\n"
    file("second.yaml", other)
    path = file("first.yaml", other.replace("first", "second"))
    (problem,) = [problem for problem in problems_of(cli("check", path, "--json")) if problem["code"] == "cycle"]
    assert "first.yaml -> second.yaml -> first.yaml" in problem["message"]


def test_a_sub_workflow_is_checked_and_run_with_the_rest(cli: Cli, file: File, pack: Path):
    file("part.yaml", "nodegraph: 1\nparams: {n: 0}\nnodes:\n  sum: {uses: Add, with: {a: $n}}\noutputs: {out: $sum}\n")
    path = file("whole.yaml", SUM.replace("uses: Add, with: {a: $first, b: 3}", "uses: ./part.yaml, with: {n: $first}"))
    assert cli("check", path.name, "--nodes", pack, "--schema").out == "whole.yaml: fine, 3 nodes\n"
    assert cli("run", path, "--nodes", pack).code == 0
    assert Path("output/sum.txt").read_text(encoding="utf-8") == "3"


def test_api_format_files_are_checked_too(cli: Cli, file: File, pack: Path):
    prompt = {
        "3": {"class_type": "Number", "inputs": {"value": 4}},
        "4": {"class_type": "Add", "inputs": {"a": ["3", 0], "b": ["3", 1]}},
        "5": {"class_type": "Write", "inputs": {"value": ["4", 0], "name": "api"}},
    }
    path = file("api.json", json.dumps(prompt, indent=1))
    (problem,) = problems_of(cli("check", path, "--nodes", pack, "--json"))
    assert (problem["code"], problem["node"], problem["input"]) == ("unknown_output", "4", "b")
    prompt["4"]["inputs"]["b"] = 1
    path.write_text(json.dumps(prompt), encoding="utf-8")
    assert cli("check", path, "--nodes", pack, "--schema").code == 0
    assert cli("run", path, "--nodes", pack).code == 0
    assert Path("output/api.txt").read_text(encoding="utf-8") == "5"
