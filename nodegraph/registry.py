"""The registry: which node types exist, found in node packs, with the broken packs listed as broken.

A pack is a Python module or package whose functions carry `@node`, or one that was written for ComfyUI. Packs come from
entry points of the group `nodegraph.nodes` and from folders. A pack that raises, exits, takes too long or uses a name
that is taken is left out whole, with its reason; everything else works on. Of a pack for ComfyUI, only the nodes are
left out whose names are taken or whose classes are broken.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from nodegraph.context import Roots
from nodegraph.node import NodeSpec
from nodegraph.packs.found import BrokenPack, Found, Source
from nodegraph.packs.importing import read_pack
from nodegraph.packs.native import BUILTIN, ENTRY_POINT_GROUP, entry_point_packs, folder_packs, specs_of_module

__all__ = ["ENTRY_POINT_GROUP", "IMPORT_SECONDS", "BrokenPack", "Registry", "load_registry", "specs_of_module"]

IMPORT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Registry:
    """Node types by name, the packs that could not be loaded, and packs' folders of files for the browser. folders:
    where packs were looked for that are not installed, so that other processes can do so too."""

    specs: Mapping[str, NodeSpec] = field(default_factory=lambda: MappingProxyType({}))
    broken: tuple[BrokenPack, ...] = ()
    web: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    folders: tuple[Path, ...] = ()

    def get(self, name: str) -> NodeSpec | None:
        return self.specs.get(name)

    def names(self) -> list[str]:
        return sorted(self.specs)

    def with_specs(self, specs: Iterable[NodeSpec]) -> Registry:
        """This registry with more node types, which replace those of the same name (for tests and notebooks)."""
        return replace(self, specs=MappingProxyType(dict(self.specs) | {spec.name: spec for spec in specs}))


def load_registry(
    folders: Sequence[Path] = (),
    *,
    entry_points: bool = True,
    import_seconds: float = IMPORT_SECONDS,
    custom_nodes: Sequence[Path] = (),
    allow_packs: Collection[str] | None = None,
    roots: Roots | None = None,
) -> Registry:
    """Find and import all packs: the built-in one, those of entry points, then those in `folders`, then ComfyUI's, in
    order.

    folders: hold packs, or are one; a single `.py` file will do too. import_seconds: how long a pack may take.
    custom_nodes: hold packs that were written for ComfyUI, or are one; `allow_packs` names those that may be loaded.
    roots: where such packs look for files.
    """
    reading = _Reading(import_seconds)
    for source in [*(entry_point_packs() if entry_points else ()), *folder_packs(folders)]:
        reading.take(source)
    if custom_nodes:
        from nodegraph.packs.comfy_loader import admit, comfy_packs, prepare

        prepare(reading.specs.values(), custom_nodes, roots or Roots())
        for source in comfy_packs(custom_nodes, allow_packs):
            admit(reading.take(source))
    return Registry(
        MappingProxyType(reading.specs), tuple(reading.broken), MappingProxyType(reading.web), tuple(folders)
    )


class _Reading:
    """What the packs that were read so far have given."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.specs: dict[str, NodeSpec] = {}
        self.broken: list[BrokenPack] = []
        self.web: dict[str, Path] = {}

    def take(self, source: Source | BrokenPack) -> list[NodeSpec]:
        """Read one more pack; returns the node types that it adds."""
        if isinstance(source, BrokenPack):
            self.broken.append(source)
            return []
        found = read_pack(source, self.seconds, trusted=source.name == BUILTIN)
        if isinstance(found, BrokenPack):
            self.broken.append(found)
            return []
        self.broken += found.broken
        added = self._whole(source, found) if not found.partly else self._partly(source, found)
        self.specs.update((spec.name, spec) for spec in added)
        if found.web is not None:
            self.web[source.name] = found.web
        return added

    def _whole(self, source: Source, found: Found) -> list[NodeSpec]:
        reason = _clash(found.specs, self.specs)
        if reason is not None:
            self.broken.append(BrokenPack(source.name, source.origin, reason))
            return []
        return [replace(spec, pack=source.name) for spec in found.specs]

    def _partly(self, source: Source, found: Found) -> list[NodeSpec]:
        added: dict[str, NodeSpec] = {}
        for spec in found.specs:
            taken = self.specs.get(spec.name)
            if taken is None and spec.name not in added:
                added[spec.name] = replace(spec, pack=source.name)
                continue
            owner = taken.pack if taken is not None else source.name
            reason = f"the pack '{owner}' has a node of this name, which is the one that counts"
            self.broken.append(BrokenPack(source.name, source.origin, reason, node=spec.name))
        return list(added.values())


def _clash(found: Sequence[NodeSpec], specs: Mapping[str, NodeSpec]) -> str | None:
    """Why a pack's names cannot be used beside those that are there, if so."""
    own: set[str] = set()
    for spec in found:
        if spec.name in specs:
            owner = specs[spec.name].pack
            return f"its node '{spec.name}' would replace the one of pack '{owner}'; a name belongs to one pack"
        if spec.name in own:
            return f"it has two nodes called '{spec.name}'"
        own.add(spec.name)
    return None
