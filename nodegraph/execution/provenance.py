"""What a picture will say of its origin: the workflow, the same in API format, versions and model digests."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import cast

from nodegraph.context import Provenance, Roots
from nodegraph.graph.model import Graph, GraphNode
from nodegraph.node import Choices
from nodegraph.version import VERSION


def provenance_of(graph: Graph, roots: Roots, run: str = "") -> Provenance:
    """Everything about a run that is worth writing into its pictures; `run` is its name."""
    facts = {"nodegraph": VERSION, **({"run": run} if run else {}), **library_versions(), **_files(graph, roots)}
    return Provenance(source_of(graph), json.dumps(api_prompt(graph), ensure_ascii=False), facts)


def api_prompt(graph: Graph) -> dict[str, object]:
    """The graph in ComfyUI's API format: node id → class_type, inputs, title; links as [id, output number]."""
    return {node.id: api_node(node, graph.nodes) for node in graph.nodes}


def api_node(node: GraphNode, nodes: Sequence[GraphNode]) -> dict[str, object]:
    """One node in that format; `nodes` are those that its links lead to."""
    inputs: dict[str, object] = {}
    for name in dict.fromkeys([*node.spec.inputs_by_name, *node.links, *node.values]):
        if name in node.links:
            link = node.links[name]
            inputs[name] = [nodes[link.node].id, link.output]
        elif (value := node.values.get(name)) is not None:
            is_list = isinstance(value, list | tuple)  # a plain list would read as a link
            inputs[name] = {"__value__": list(cast("tuple[object, ...]", value))} if is_list else value
    title = node.entry.title or node.id
    return {"class_type": node.spec.name, "inputs": inputs, "_meta": {"title": title}}


def source_of(graph: Graph) -> str | None:
    """The YAML as its author wrote it, with the parameters of this run as its defaults."""
    from nodegraph.workflow.naming import readable
    from nodegraph.workflow.texts import name_fault
    from nodegraph.workflow.write import dump_yaml

    workflow = graph.workflow
    if workflow is None:
        return None
    params = {
        name: replace(param, default=graph.params[name], required=False) if name in graph.params else param
        for name, param in workflow.params.items()
    }
    used = replace(workflow, params=params)
    unchanged = used.params == workflow.params
    if unchanged and workflow.text and not _is_json(workflow.text):
        return workflow.text
    if any(name_fault(name) for name in used.nodes):  # of a file that numbers its nodes
        used = readable(used, {node.spec.name: node.spec for node in graph.nodes})
    return dump_yaml(used)


def _is_json(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("{")


def library_versions() -> dict[str, str]:
    """The versions of the libraries that pictures depend on, as far as they are installed."""
    return dict(_library_versions())


@cache
def _library_versions() -> Mapping[str, str]:
    """The same, looked up once: reading what is said of a distribution takes milliseconds."""
    found: dict[str, str] = {}
    for name in ("torch", "diffusers", "transformers"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _files(graph: Graph, roots: Roots) -> Mapping[str, str]:
    """Names of the files that the graph reads, below `models`."""
    names: dict[str, str] = {}
    for node in graph.nodes:
        for spec in node.spec.inputs:
            value = node.values.get(spec.name)
            if isinstance(spec.choices, Choices) and spec.choices.path is not None and isinstance(value, str):
                path = spec.choices.path(value, roots)
                if path is not None:
                    names[f"{node.id}.{spec.name}"] = value
    return names
