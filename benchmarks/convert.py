"""What bringing a workflow of ComfyUI's editor costs: reading its file, and writing it as YAML with readable names."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.table import measure, print_table
from nodegraph.graph.converting import to_yaml
from nodegraph.registry import load_registry
from nodegraph.workflow.document import Workflow
from nodegraph.workflow.read import load_text

NODES_EACH = 6
#: type, inputs (name, socket, source, its output), outputs, values of widgets
BRANCH: list[tuple[str, list[tuple[str, str, str, int]], list[str], list[object]]] = [
    ("CLIPTextEncode", [("clip", "CLIP", "model", 1)], ["CONDITIONING"], ["a red star at night"]),
    ("CLIPTextEncode", [("clip", "CLIP", "model", 1)], ["CONDITIONING"], ["blurry"]),
    ("EmptyLatentImage", [], ["LATENT"], [128, 128, 1]),
    (
        "KSampler",
        [
            ("model", "MODEL", "model", 0),
            ("positive", "CONDITIONING", "0", 0),
            ("negative", "CONDITIONING", "1", 0),
            ("latent_image", "LATENT", "2", 0),
        ],
        ["LATENT"],
        [7, "randomize", 20, 8, "euler", "normal", 1],
    ),
    ("VAEDecode", [("samples", "LATENT", "3", 0), ("vae", "VAE", "model", 2)], ["IMAGE"], []),
    ("SaveImage", [("images", "IMAGE", "4", 0)], [], ["star"]),
]


def text_of(size: int) -> str:
    """A file as the editor saves it: one checkpoint, and pictures drawn from it until there are `size` nodes."""
    nodes: list[dict[str, Any]] = []
    links: list[list[object]] = []

    def add(type_: str, inputs: list[tuple[str, str, int, int]], outputs: list[str], values: list[object]) -> int:
        number = len(nodes) + 1
        listed: list[dict[str, object]] = []
        for slot, (name, socket, source, output) in enumerate(inputs):
            link = len(links) + 1
            links.append([link, source, output, number, slot, socket])
            nodes[source - 1]["outputs"][output]["links"].append(link)
            listed.append({"name": name, "type": socket, "link": link})
        given = [{"name": name, "type": name, "links": [], "slot_index": slot} for slot, name in enumerate(outputs)]
        properties = {"cnr_id": "comfy-core", "ver": "0.3.64", "Node name for S&R": type_}
        node = {
            "id": number,
            "type": type_,
            "pos": [number * 40, 100],
            "size": [315, 262],
            "flags": {},
            "order": number,
        }
        nodes.append(node | {"mode": 0, "inputs": listed, "outputs": given, "properties": properties})
        nodes[-1]["widgets_values"] = values
        return number

    model = add("CheckpointLoaderSimple", [], ["MODEL", "CLIP", "VAE"], ["tiny"])
    while len(nodes) < size:
        own: list[int] = []
        for type_, inputs, outputs, values in BRANCH:
            sources = [(n, t, model if s == "model" else own[int(s)], output) for n, t, s, output in inputs]
            own.append(add(type_, sources, outputs, values))
    data = {"last_node_id": len(nodes), "last_link_id": len(links), "nodes": nodes, "links": links, "groups": []}
    return json.dumps(data | {"config": {}, "extra": {}, "version": 0.4}, indent=2)


def main(small: bool = False) -> None:
    """Print the table."""
    registry = load_registry()

    def read(text: str) -> Workflow:
        loaded = load_text(text, file="w.json", specs=lambda: registry.specs)
        assert loaded.workflow is not None
        assert not loaded.problems
        return loaded.workflow

    rows: list[list[object]] = []
    for size in (1_000,) if small else (1_000, 10_000):
        text = text_of(size)
        workflow = read(text)
        reading = measure(lambda text=text: read(text), 3).cpu
        parsing = measure(lambda text=text: json.loads(text), 3).cpu
        writing = measure(lambda workflow=workflow: to_yaml(workflow, registry), 3).cpu
        row = [reading, writing, reading + writing, parsing]
        rows.append([f"{len(workflow.nodes):,}", *[seconds * 1e3 for seconds in row]])
    print_table(
        "ComfyUI's editor format to YAML, ms (cpu, least of 3 runs)",
        ["nodes", "read", "write", "both", "json.loads alone"],
        rows,
        "Reading includes source positions, links, widgets by name and all checks of the file; writing includes names "
        "(target: 300 ms for 1,000 nodes).",
    )
