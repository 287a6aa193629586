"""What packs' functions are given, and what is made of what they return."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import torch

from nodegraph.context import Cancelled, CancelToken, Context, Roots
from nodegraph.errors import ProblemError
from nodegraph.registry import Registry
from nodegraph.sockets.flow import Blocked, Call, Out, Outcome
from tests.packs.support import View, call, load, pack, told, values


def test_values_arrive_as_written_and_defaults_where_nothing_is_given(packs: Registry):
    (text,) = values(packs, "Conv Kinds", anything=1)
    assert text == "3 1.0 'a' True 'plain' 2 'right' 0 '#ff0000' 1.5 1 'no' 7 None"
    (text,) = values(packs, "Conv Kinds", anything="x", mode="loud", wired="yes", own=0)
    assert text == "3 1.0 'a' True 'loud' 2 'right' 0 '#ff0000' 1.5 'x' 'yes' 0 None"


def test_undeclared_inputs_are_passed_on(packs: Registry):
    assert values(packs, "ConvOpen", b=2, a=1) == ("a=1,b=2",)
    assert values(packs, "FirstGiven//SW", any_02="x", any_01=None) == ("x",)


def test_hidden_inputs_tell_of_the_node_and_its_graph(packs: Registry):
    prompt = {"n1": {"class_type": "ConvHidden", "inputs": {}}}
    view = View(prompt)
    context = Context(node="n1", provenance=told(json.dumps(prompt), '{"nodes": []}'), graph=view)
    assert values(packs, "ConvHidden", context) == ("n1 ConvHidden ConvHidden ['workflow']",)
    context = Context(node="n1", provenance=told(json.dumps(prompt), "nodegraph: 1"), graph=view)
    assert values(packs, "ConvHidden", context) == ("n1 ConvHidden ConvHidden []",)


def test_raw_links_arrive_as_lists(packs: Registry):
    assert values(packs, "ConvRaw", link=("4", 1)) == ("['4', 1] True",)


def test_what_a_pack_writes_to_is_a_copy(packs: Registry):
    latent = {"samples": torch.zeros(1, 4, 2, 2)}
    conditioning = [(torch.ones(1, 2), {"strength": 1.0})]
    changed, encoded = values(packs, "ConvSpoils", latent=latent, conditioning=conditioning)
    assert latent.keys() == {"samples"} and not latent["samples"].any()
    assert conditioning[0][1] == {"strength": 1.0} and conditioning[0][0].all()
    assert changed["samples"].all() and changed["more"]  # type: ignore[index]
    assert encoded[0][1] == {"strength": 2.0}  # type: ignore[index]


def test_a_class_has_one_instance(packs: Registry):
    counts = [values(packs, "ConvCounts", value=value)[0] for value in (1, 2)]
    assert counts[1] - counts[0] == 2  # type: ignore[operator]


def test_what_a_pack_keeps_and_adds_to_is_not_the_result(packs: Registry):
    first = values(packs, "ConvCollects", value=1)[0]
    second = values(packs, "ConvCollects", value=2)[0]
    assert (first, second) == ([1], [1, 2])


def test_lists_are_taken_whole_and_given_as_such(packs: Registry):
    words, count = values(packs, "ConvSplit", text="a stop b")
    assert words == ["a", Blocked(), "b"] and count == 3
    assert values(packs, "ConvJoin", words=["x", "y"], between=["-"]) == ("x-y",)


@pytest.mark.parametrize(
    ("value", "message", "expected"),
    [
        (-1, "no", (Blocked("no"), Blocked("no"))),
        (-1, "", (Blocked(), Blocked())),
        (0, "nothing", (Blocked("nothing"), 0)),
        (5, "", (5, 5)),
    ],
)
def test_blockers_stand_for_values(packs: Registry, value: int, message: str, expected: tuple[object, ...]):
    assert values(packs, "ConvBlock", value=value, message=message) == expected


def test_an_expansion_has_ids_below_the_node(packs: Registry):
    outcome = call(packs, "ConvExpand", Context(node="7"), value=["4", 0], times=2)
    assert outcome == Outcome(
        (Out("7.0.0.2", 0), "done"),
        calls={
            "7.0.0.1": Call("ConvTwo", {"value": Out("4", 0)}),
            "7.0.0.2": Call("ConvTwo", {"value": Out("7.0.0.1", 0)}),
        },
        complete_ids=True,
    )
    assert call(packs, "ConvExpand", Context(node="7"), value=["4", 0], times=2) == outcome  # the same ids again


def test_async_nodes_are_awaited_and_tell_their_progress(packs: Registry):
    steps: list[tuple[float, float]] = []
    context = Context(node="n", on_progress=lambda value, total: steps.append((value, total)))
    outcome = asyncio.run(call(packs, "ConvLater", context, value=4))
    assert outcome.values == (40,)
    assert steps == [(1, 2), (2, 2)]


def test_a_cancelled_run_stops_where_progress_is_told(packs: Registry):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        asyncio.run(call(packs, "ConvLater", Context(node="n", token=token), value=4))


def test_files_that_are_shown_count_as_saved(packs: Registry, tmp_path: Path):
    roots = Roots(output=tmp_path / "out", temp=tmp_path / "temp")
    outcome = call(packs, "ConvWrite", Context(roots=roots), text="hello")
    (file,) = outcome.saved.files
    assert (file.filename, file.subfolder, file.type) == ("n_00001_.txt", "notes", "output")
    assert Path(file.path).read_text(encoding="utf-8") == "hello"
    assert outcome.saved.shown["text"] == ["hello"] and outcome.values == ()
    again = call(packs, "ConvWrite", Context(roots=roots), text="hello")
    assert again.saved.files[0].filename == "n_00002_.txt"
    with pytest.raises(ValueError, match="leads out"):
        call(packs, "ConvWrite", Context(roots=roots), text="hello", prefix="../escape")
    shown = call(packs, "ConvShow", text="hi")
    assert shown.values == ("hi",) and shown.saved.files == () and shown.saved.shown == {"text": ["hi"]}


def test_what_is_no_result_is_left_as_it_is(packs: Registry):
    assert values(packs, "ConvWrong", how="few") == (1,)
    assert values(packs, "ConvWrong", how="many") == (1, 2, 3)
    assert call(packs, "ConvWrong", how="text") == "ab"
    assert call(packs, "ConvWrong", how="dictionary") == {"a": 1}


def test_a_name_that_is_missing_while_running_is_told(tmp_path: Path):
    source = """
class Wants:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"how": (["import", "attribute"],)}}

    RETURN_TYPES = ()
    FUNCTION = "go"

    def go(self, how):
        if how == "import":
            from comfy.samplers import KSampler
        import comfy.utils
        comfy.utils.load_torch_file("x")


NODE_CLASS_MAPPINGS = {"Wants": Wants}
"""
    registry = load(pack(tmp_path, source))
    for how, name in (("import", "comfy.samplers.KSampler"), ("attribute", "comfy.utils.load_torch_file")):
        with pytest.raises(ProblemError) as caught:
            call(registry, "Wants", how=how)
        assert f"it wants {name}, which nodegraph does not have" in str(caught.value)


def test_pictures_go_through_packs(packs: Registry):
    first, second = torch.zeros(2, 4, 6, 3), torch.ones(1, 8, 6, 3)
    grid, width, height = values(packs, "GridImages", images=[first, second], columns=[2], gap=[1])
    assert grid.shape == (1, 9, 13, 3) and (width, height) == (13, 9)  # type: ignore[attr-defined]
    (tinted,) = values(packs, "GridTint", image=first, strength=1.0)
    assert tinted[0, 0, 0].tolist() == [1, 0, 0] and not first.any()  # type: ignore[index]
    (blank,) = values(packs, "GridBlank", size=3)
    assert blank.shape == (1, 3, 3, 3) and blank.all()  # type: ignore[attr-defined]
