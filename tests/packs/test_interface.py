"""The small part of ComfyUI's interface that packs import, as a pack sees it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nodegraph.comfy_compat import current, folders
from nodegraph.comfy_compat.current import calling
from nodegraph.context import Cancelled, CancelToken, Context, Roots
from nodegraph.packs.comfy_loader import prepare
from tests.packs.support import View


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[Roots]:
    """Folders with files, set as those that packs look into."""
    roots = Roots((tmp_path / "in",), tmp_path / "out", tmp_path / "temp", (tmp_path / "models",))
    for name in ("in/a.png", "out/b.png", "models/loras/x/style.safetensors", "models/loras/notes.txt", "extra/e.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    prepare((), [tmp_path / "packs"], roots)
    yield roots
    folders.FOLDERS.clear()
    current.set_roots(Roots())
    folders.refresh()


def module(name: str) -> Any:
    return importlib.import_module(name)


def test_folders_are_those_of_the_run(roots: Roots, tmp_path: Path):
    paths = module("folder_paths")
    assert paths.get_input_directory() == str(tmp_path / "in")
    assert paths.get_output_directory() == str(tmp_path / "out")
    assert paths.get_temp_directory() == str(tmp_path / "temp") == paths.get_directory_by_type("temp")
    with calling(Context(roots=Roots(output=tmp_path / "elsewhere"))):
        assert paths.get_output_directory() == str(tmp_path / "elsewhere")
    assert paths.get_folder_paths("custom_nodes") == [str(tmp_path / "packs")]


def test_model_files_are_listed_and_found(roots: Roots, tmp_path: Path):
    paths = module("folder_paths")
    assert paths.get_filename_list("loras") == ["x/style.safetensors"]
    style = tmp_path / "models/loras/x/style.safetensors"
    assert paths.get_full_path("loras", "x/style.safetensors") == str(style)
    assert paths.get_full_path("loras", "../loras/x/style.safetensors") is None
    with pytest.raises(FileNotFoundError):
        paths.get_full_path_or_raise("loras", "none.safetensors")
    with pytest.raises(KeyError):
        paths.get_filename_list("nothing_of_this_kind")


def test_packs_add_folders_and_kinds(roots: Roots, tmp_path: Path):
    paths = module("folder_paths")
    paths.add_model_folder_path("loras", str(tmp_path / "extra"))
    assert paths.get_filename_list("loras") == ["e.bin", "x/style.safetensors"]
    paths.folder_names_and_paths["mine"] = ([str(tmp_path / "extra")], {".bin"})
    assert "mine" in paths.folder_names_and_paths and "loras" in paths.folder_names_and_paths
    assert paths.get_filename_list("mine") == ["e.bin"]
    assert paths.folder_names_and_paths.get("unheard") is None
    current.set_roots(Roots(models=(tmp_path / "other",)))
    folders.refresh()
    assert paths.get_folder_paths("loras") == [str(tmp_path / "other/loras"), str(tmp_path / "extra")]


def test_names_may_say_which_folder_they_mean(roots: Roots, tmp_path: Path):
    paths = module("folder_paths")
    assert paths.get_annotated_filepath("a.png") == str(tmp_path / "in/a.png")
    assert paths.get_annotated_filepath("b.png [output]") == str(tmp_path / "out/b.png")
    assert paths.exists_annotated_filepath("a.png [input]") and not paths.exists_annotated_filepath("b.png")
    with pytest.raises(ValueError, match="leads out"):
        paths.get_annotated_filepath("../out/b.png")


def test_saved_files_count_up_inside_the_folder(roots: Roots, tmp_path: Path):
    paths = module("folder_paths")
    where = paths.get_save_image_path("sub/p_%width%x%height%", str(tmp_path / "out"), 8, 4)
    assert where == (str(tmp_path / "out/sub"), "p_8x4", 1, "sub", "sub/p_8x4")
    (tmp_path / "out/sub/p_8x4_00007_.png").write_bytes(b"x")
    (tmp_path / "out/sub/p_8x4_00003.txt").write_bytes(b"x")
    assert paths.get_save_image_path("sub/p_8x4", str(tmp_path / "out"))[2] == 8
    for prefix in ("../x", "/etc/x", "a/../../x"):
        with pytest.raises(ValueError, match="leads out"):
            paths.get_save_image_path(prefix, str(tmp_path / "out"))


def test_progress_and_previews_reach_the_run(roots: Roots):
    import PIL.Image

    seen: list[object] = []
    context = Context(on_progress=lambda value, total: seen.append((value, total)), on_preview=seen.append)
    picture = PIL.Image.new("RGB", (2, 2))
    with calling(context):
        bar = module("comfy.utils").ProgressBar(4)
        bar.update(1)
        bar.update_absolute(9, preview=("JPEG", picture, 512))
        module("comfy_api.v0_0_2").ComfyAPISync().execution.set_progress(1, 2, preview_image=torch.ones(1, 2, 3, 3))
    assert seen[:3] == [(1, 4), (4, 4), picture]
    assert seen[3] == (1, 2) and seen[4].size == (3, 2)  # type: ignore[attr-defined]


def test_a_run_that_was_cancelled_can_be_noticed(roots: Roots):
    management, token = module("comfy.model_management"), CancelToken()
    with calling(Context(token=token, device="cpu")):
        management.throw_exception_if_processing_interrupted()
        assert management.get_torch_device() == management.intermediate_device() == torch.device("cpu")
        token.cancel()
        assert management.processing_interrupted()
        with pytest.raises(management.InterruptProcessingException):
            management.throw_exception_if_processing_interrupted()
    assert issubclass(management.InterruptProcessingException, Cancelled)


def test_pictures_are_resized_by_name(roots: Roots):
    resized = module("comfy.utils").common_upscale(torch.ones(1, 3, 4, 8), 2, 2, "bilinear", "center")
    assert resized.shape == (1, 3, 2, 2)


def test_expansions_are_written_down(roots: Roots):
    utils = module("comfy_execution.graph_utils")
    with calling(Context(node="5.0.0.2", call=3)):
        first, second = utils.GraphBuilder(), utils.GraphBuilder()
    assert (first.prefix, second.prefix) == ("5.0.0.2.3.0.", "5.0.0.2.3.1.")
    graph = utils.GraphBuilder(prefix="p.")
    a = graph.node("A", x=1, y=[1, 2])
    b = graph.node("B", "named", x=a.out(1))
    assert graph.lookup_node("named") is b and graph.node("B", "named") is b
    b.set_input("z", 2)
    b.set_input("x", None)
    b.set_override_display_id("5")
    assert (b.get_input("z"), b.get_input("x"), a.out(1)) == (2, None, ["p.1", 1])
    assert graph.finalize() == {
        "p.1": {"class_type": "A", "inputs": {"x": 1, "y": [1, 2]}},
        "p.named": {"class_type": "B", "inputs": {"z": 2}, "override_display_id": "5"},
    }
    assert [utils.is_link(each) for each in (["1", 0], ["1", 0.0], [1, 0], ["1"], ("1", 0), "1")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip
    nodes, outputs = utils.add_graph_prefix(
        {"1": {"class_type": "A", "inputs": {"x": ["9", 0]}}, "2": {"class_type": "B", "inputs": {"x": ["1", 0]}}},
        (["2", 0], 5),
        "q.",
    )
    assert nodes == {
        "q.1": {"class_type": "A", "inputs": {"x": ["9", 0]}},
        "q.2": {"class_type": "B", "inputs": {"x": ["q.1", 0]}},
    }
    assert outputs == (["q.2", 0], 5)


def test_the_graph_of_a_run_can_be_looked_at(roots: Roots):
    graph = module("comfy_execution.graph")
    view = View({"1": {"class_type": "A", "inputs": {"x": 1}}, "1.0": {"class_type": "B", "inputs": {}}})
    prompt = graph.DynamicPrompt(view, {"1": {}})
    assert prompt.all_node_ids() == {"1", "1.0"}
    node = prompt.get_node("1")
    node["inputs"]["x"] = 2  # a copy
    assert prompt.get_node("1")["inputs"] == {"x": 1}
    assert prompt.has_node("1.0") and not prompt.has_node("2")
    assert (prompt.get_parent_node_id("1.0"), prompt.get_real_node_id("1.0")) == ("1", "1")
    assert prompt.get_display_node_id("1.0") == "1" and prompt.get_original_prompt() == {"1": {}}
    with pytest.raises(graph.NodeNotFoundError):
        prompt.get_node("2")
