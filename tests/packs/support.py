"""What the tests of node packs share: the packs of ours, and calls of their nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph.context import Context, Provenance
from nodegraph.packs.calls import CONTEXT
from nodegraph.registry import Registry, load_registry
from nodegraph.sockets.flow import Outcome

PACKS = Path(__file__).parent / "custom_nodes"

#: A pack with one node that works.
GOOD = """
class Good:
    @classmethod
    def INPUT_TYPES(cls):
        return {{"required": {{"value": ("INT", {{"default": 1}})}}}}

    RETURN_TYPES = ("INT",)
    FUNCTION = "go"

    def go(self, value):
        return (value,)


NODE_CLASS_MAPPINGS = {{"{name}": Good}}
"""


def pack(folder: Path, source: str, name: str = "pack") -> Path:
    """A pack of one file in a folder of its own."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(source, encoding="utf-8")
    return folder


def load(*folders: Path, seconds: float = 30, builtin: bool = False, **more: Any) -> Registry:
    return load_registry(custom_nodes=folders, entry_points=builtin, import_seconds=seconds, **more)


def call(registry: Registry, name: str, context: Context | None = None, **values: object) -> Any:
    """What a node's function gives for some inputs; the others have their defaults."""
    spec = registry.specs[name]
    defaults = {each.name: each.default for each in spec.inputs if not each.required}
    return spec.function(**(defaults | values), **{CONTEXT: context or Context(node="n1")})


def values(registry: Registry, name: str, context: Context | None = None, **given: object) -> tuple[object, ...]:
    outcome = call(registry, name, context, **given)
    assert isinstance(outcome, Outcome)
    return outcome.values


def told(prompt: str, workflow: str | None = None) -> Provenance:
    return Provenance(workflow, prompt)


class View:
    """The graph of a run, as a dictionary of nodes."""

    def __init__(self, nodes: Mapping[str, Mapping[str, object]]) -> None:
        self.nodes = nodes

    def node(self, id: str) -> Mapping[str, object] | None:
        return self.nodes.get(id)

    def ids(self) -> list[str]:
        return list(self.nodes)

    def parent(self, id: str) -> str | None:
        return id.rpartition(".")[0] or None

    def display(self, id: str) -> str:
        return id.partition(".")[0]
