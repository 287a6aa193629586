"""Files as ComfyUI's editor saves them, made for tests: nodes by type, linked by names."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from nodegraph.registry import Registry, load_registry
from nodegraph.workflow.document import Loaded, Workflow
from nodegraph.workflow.read import load_text

Json = dict[str, Any]


@cache
def registry() -> Registry:
    """The node types that come with nodegraph."""
    return load_registry()


@dataclass
class Canvas:
    """A canvas in the making: `node` adds a node, `link` a link by the names of output and input."""

    nodes: list[Any] = field(default_factory=list)
    links: list[Any] = field(default_factory=list)
    groups: list[Json] = field(default_factory=list)
    objects: bool = False
    next_link: int = 0

    def node(self, id_: int | str, type_: str, values: Any = None, **more: Any) -> int | str:
        spec = registry().get(type_)
        inputs = (
            []
            if spec is None
            else [{"name": i.name, "type": i.type.wire, "link": None} for i in spec.inputs if not i.is_widget]
        )
        outputs = [] if spec is None else [{"name": o.name, "type": o.type.wire, "links": []} for o in spec.outputs]
        node: Json = {
            "id": id_, "type": type_, "pos": [0, 0], "size": [210, 100], "flags": {}, "order": len(self.nodes),
            "mode": 0, "inputs": inputs, "outputs": outputs, "properties": {}, "widgets_values": values,
        }  # fmt: skip
        self.nodes.append(node | more)
        return id_

    def link(self, origin: int | str, output: int, target: int | str, name: str, type_: str = "*") -> int:
        """A link; an input that is not listed yet is one that was a widget."""
        self.next_link += 1
        number = self.next_link
        slot = 0
        for node in self.nodes:
            if node["id"] == target:
                names = [given["name"] for given in node["inputs"]]
                if name not in names:
                    node["inputs"].append({"name": name, "type": type_, "link": None, "widget": {"name": name}})
                    names.append(name)
                slot = names.index(name)
                old, node["inputs"][slot]["link"] = node["inputs"][slot]["link"], number
                self.links = [link for link in self.links if (link["id"] if self.objects else link[0]) != old]
        self.add_link(number, origin, output, target, slot, type_)
        return number

    def add_link(self, *parts: Any) -> None:
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        self.links.append(dict(zip(keys, parts, strict=True)) if self.objects else list(parts))

    def file(self, **more: Any) -> Json:
        return {"nodes": self.nodes, "links": self.links, "groups": self.groups, "version": 0.4} | more


def text_to_image(canvas: Canvas | None = None, **more: Any) -> Canvas:
    """The usual seven nodes, as ComfyUI numbers them."""
    canvas = canvas or Canvas()
    canvas.node(4, "CheckpointLoaderSimple", ["tiny"])
    canvas.node(6, "CLIPTextEncode", ["a red star"])
    canvas.node(7, "CLIPTextEncode", [""])
    canvas.node(5, "EmptyLatentImage", [128, 128, 1])
    canvas.node(3, "KSampler", [7, "randomize", 20, 4, "euler", "normal", 1])
    canvas.node(8, "VAEDecode", [])
    canvas.node(9, "SaveImage", ["star"])
    canvas.link(4, 1, 6, "clip", "CLIP")
    canvas.link(4, 1, 7, "clip", "CLIP")
    canvas.link(4, 0, 3, "model", "MODEL")
    canvas.link(6, 0, 3, "positive", "CONDITIONING")
    canvas.link(7, 0, 3, "negative", "CONDITIONING")
    canvas.link(5, 0, 3, "latent_image", "LATENT")
    canvas.link(3, 0, 8, "samples", "LATENT")
    canvas.link(4, 2, 8, "vae", "VAE")
    canvas.link(8, 0, 9, "images", "IMAGE")
    return canvas


def load(file: Json | Canvas) -> Loaded:
    data = file.file() if isinstance(file, Canvas) else file
    return load_text(json.dumps(data, indent=1), file="w.json", specs=lambda: registry().specs)


def workflow(file: Json | Canvas) -> Workflow:
    """The workflow of a file without problems."""
    loaded = load(file)
    assert [problem.describe() for problem in loaded.problems] == []
    assert loaded.workflow is not None
    return loaded.workflow
