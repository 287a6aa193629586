"""What editors are told of node types: enough for widgets and colours, and exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nodegraph.context import Roots
from nodegraph.jobs.catalogue import catalogue_of
from nodegraph.registry import Registry, load_registry
from nodegraph.server.api.common import validator

PACK = '''
from typing import Annotated, NamedTuple, NewType

from nodegraph.node import Help, Lazy, Range, node
from nodegraph.sockets.types import socket

Voxels = NewType("Voxels", object)
socket(Voxels, "VOXELS", colour="#44cc99", description="solid things")


class Both(NamedTuple):
    voxels: Voxels
    numbers: list[int]


@node(category="test", deprecated=True)
def Carve(size: Annotated[int, Range(8, 512, step=8, multiple=8)], items: list[int] | None = None) -> Both:
    """Carve."""
    return Both(object(), [size])


@node(category="test", experimental=True)
def Gather(all: tuple[int, ...], later: Lazy[float], either: int | float = 1) -> float:
    """Gather."""
    return 1.0
'''
COMFY = """
class Paint:
    CATEGORY = "mine"
    FUNCTION = "paint"
    RETURN_TYPES = ("PAINT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {
            "colour": ("COLOUR", {"default": "#fff"}),
            "name": ("STRING", {"default": "", "placeholder": "a name"}),
            "count": ("INT", {"default": 1, "min": 0, "max": 10, "step": 0.5}),
        }}

    def paint(self, colour, name, count):
        return (colour,)


NODE_CLASS_MAPPINGS = {"Paint": Paint}
"""


@pytest.fixture(scope="module")
def builtin() -> Registry:
    return load_registry()


def found(registry: Registry, roots: Roots | None = None) -> Any:
    """The catalogue as a browser gets it, which must be what openapi.yaml says."""
    catalogue = json.loads(json.dumps(catalogue_of(registry, roots or Roots()), allow_nan=False))
    errors = validator("Catalogue").iter_errors({key: catalogue[key] for key in ("nodes", "sockets", "broken")})
    assert [error.message for error in errors] == []
    return catalogue


def of(catalogue: Any, node: str, name: str) -> Any:
    return next(each for each in catalogue["nodes"][node]["inputs"] if each["name"] == name)


def test_widgets_find_what_they_need(builtin: Registry, tmp_path: Path):
    (tmp_path / "here.png").write_bytes(b"")
    catalogue = found(builtin, Roots((tmp_path,)))
    seed = of(catalogue, "KSampler", "seed")
    assert (seed["control"], seed["widget"], seed["max"]) == (True, True, 18446744073709551615)
    assert of(catalogue, "KSampler", "cfg")["step"] == 0.1
    assert "widget" not in of(catalogue, "KSampler", "model")
    text = of(catalogue, "CLIPTextEncode", "text")
    assert (text["multiline"], text["mentions"]) == (True, True)
    assert of(catalogue, "LoraLoader", "lora_name")["folder"] == "loras"
    picture = of(catalogue, "LoadImage", "image")
    assert (picture["upload"], picture["choices"]) == (True, ["here.png"])


def test_every_type_that_occurs_has_a_colour(builtin: Registry):
    catalogue = found(builtin)
    sockets = catalogue["sockets"]
    ports = [port for node in catalogue["nodes"].values() for port in (*node["inputs"], *node["outputs"])]
    for port in ports:
        assert set(port.get("types", [port["type"]])) <= sockets.keys()
    assert sockets["MODEL"] == {"colour": "#b39ddb", "description": "a denoising model"}
    assert sockets["INT"]["description"] == "whole numbers"
    known = ["MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK"]
    assert len({sockets[name]["colour"] for name in known}) == len(known)


def test_a_packs_own_types_steps_and_lists_are_told(tmp_path: Path):
    (tmp_path / "pack.py").write_text(PACK)
    catalogue = found(load_registry([tmp_path], entry_points=False))
    assert catalogue["sockets"]["VOXELS"] == {"colour": "#44cc99", "description": "solid things"}
    carve, gather = catalogue["nodes"]["Carve"], catalogue["nodes"]["Gather"]
    assert (carve["deprecated"], gather["experimental"]) == (True, True)
    size = of(catalogue, "Carve", "size")
    assert (size["step"], size["multiple"]) == (8, 8)
    assert of(catalogue, "Carve", "items")["takes_list"]
    assert carve["outputs"][1]["is_list"]
    assert "is_list" not in carve["outputs"][0]
    assert of(catalogue, "Gather", "all")["collects"]
    assert of(catalogue, "Gather", "later")["lazy"]
    assert of(catalogue, "Gather", "either")["types"] == ["INT", "FLOAT"]


def test_types_that_only_have_a_name_get_a_colour_that_stays(tmp_path: Path):
    folder = tmp_path / "packs/painter"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(COMFY)

    def load() -> Any:
        return found(load_registry(entry_points=False, custom_nodes=[tmp_path / "packs"], roots=Roots()))

    catalogue = load()
    assert catalogue["sockets"]["PAINT"]["colour"] == load()["sockets"]["PAINT"]["colour"]
    colour = of(catalogue, "Paint", "colour")
    assert (colour["custom"], colour["widget"]) == (True, True)
    assert of(catalogue, "Paint", "name")["options"] == {"placeholder": "a name"}
    assert of(catalogue, "Paint", "count")["step"] == 1
