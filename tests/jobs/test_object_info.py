"""Node types as ComfyUI's clients know them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nodegraph.context import Roots
from nodegraph.jobs.catalogue import catalogue_of
from nodegraph.jobs.object_info import node_info
from nodegraph.registry import Registry, load_registry

PACK = """
class Mix:
    CATEGORY = "mine"
    FUNCTION = "mix"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("picture", "mask")
    OUTPUT_IS_LIST = (False, True)
    OUTPUT_NODE = True
    DESCRIPTION = "Mixes."
    EXPERIMENTAL = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"image": ("IMAGE",), "mode": (["a", "b"], {"default": "b", "tooltip": "how"})},
            "optional": {"amount": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.1, "round": 0.01})},
            "hidden": {"id": "UNIQUE_ID"},
        }

    def mix(self, image, mode, amount=0.5, id=None):
        return image, [image]


NODE_CLASS_MAPPINGS = {"Mix": Mix}
NODE_DISPLAY_NAME_MAPPINGS = {"Mix": "Mix two"}
"""


@pytest.fixture(scope="module")
def builtin() -> Registry:
    return load_registry()


def info(registry: Registry, name: str, roots: Roots | None = None) -> dict[str, Any]:
    return node_info(registry.specs[name], roots or Roots())


def test_a_sampler_has_the_shape_that_clients_know(builtin: Registry):
    found = info(builtin, "KSampler")
    required = found["input"]["required"]
    assert found["input_order"]["required"] == list(required)
    assert list(required) == [
        *("model", "seed", "steps", "cfg", "sampler_name", "scheduler"),
        *("positive", "negative", "latent_image", "denoise"),
    ]
    assert required["model"] == ["MODEL"]
    assert required["seed"] == ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}]
    assert "euler" in required["sampler_name"][0]
    assert (found["output"], found["output_name"], found["output_is_list"]) == (["LATENT"], ["LATENT"], [False])
    assert (found["output_node"], found["python_module"], found["category"]) == (False, "nodes", "sampling")


def test_pictures_can_be_uploaded_and_are_listed(builtin: Registry, tmp_path: Path):
    (tmp_path / "here.png").write_bytes(b"")
    choices, options = info(builtin, "LoadImage", Roots((tmp_path,)))["input"]["required"]["image"]
    assert choices == ["here.png"]
    assert options["image_upload"] is True


def test_every_node_type_is_data_with_all_members(builtin: Registry, tmp_path: Path):
    catalogue = catalogue_of(builtin, Roots((tmp_path,)))
    json.dumps(catalogue, allow_nan=False)
    members = {"input", "input_order", "output", "output_is_list", "output_name", "name", "display_name"}
    members |= {"description", "python_module", "category", "output_node"}
    types: Any = catalogue["object_info"]
    assert types.keys() == builtin.specs.keys()
    assert all(members <= each.keys() for each in types.values())


def test_what_a_pack_declares_is_passed_on(tmp_path: Path):
    folder = tmp_path / "packs" / "mixer"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACK, encoding="utf-8")
    registry = load_registry(entry_points=False, custom_nodes=[tmp_path / "packs"], roots=Roots())
    assert registry.broken == ()
    assert info(registry, "Mix") == {
        "input": {
            "required": {"image": ["IMAGE"], "mode": [["a", "b"], {"default": "b", "tooltip": "how"}]},
            "optional": {"amount": ["FLOAT", {"round": 0.01, "default": 0.5, "min": 0.0, "max": 1.0, "step": 0.1}]},
        },
        "input_order": {"required": ["image", "mode"], "optional": ["amount"]},
        "output": ["IMAGE", "MASK"],
        "output_is_list": [False, True],
        "output_name": ["picture", "mask"],
        "name": "Mix",
        "display_name": "Mix two",
        "description": "Mixes.",
        "python_module": "custom_nodes.mixer",
        "category": "mine",
        "output_node": True,
        "experimental": True,
    }
