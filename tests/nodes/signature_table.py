"""The table of signatures that workflows from elsewhere rely on (`data/signatures.txt`), read."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).parent / "data" / "signatures.txt"
_NODE = re.compile(r"^([A-Za-z_0-9]+):  # category (.*?)((?: · [a-z ]+)*)$")
_INPUT = re.compile(r"^  ([\w ]+?)(\??): (\[.*?\]|FILES|\S+)(?: \{(.*)\})?$")


@dataclass(slots=True)
class Told:
    """One input as the table tells it; `choices` is None for files and for what is no choice."""

    name: str
    type: str
    optional: bool = False
    choices: list[str] | None = None
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Signature:
    """One node type as the table tells it."""

    name: str
    section: str
    inputs: list[Told] = field(default_factory=list)
    outputs: list[tuple[str, str]] = field(default_factory=list)
    output_node: bool = False


def read_table() -> dict[str, Signature]:
    """All node types of the table by name."""
    found: dict[str, Signature] = {}
    section, current = "", Signature("", "")
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("# --- "):
            section = line[6:]
        elif match := _NODE.match(line):
            current = found[match[1]] = Signature(match[1], section, output_node="output node" in match[3])
        elif line.startswith("  ->"):
            pairs = [part.strip().rpartition(":") for part in line[4:].split(",") if part.strip()]
            current.outputs = [(name or type_.removesuffix("[]"), type_) for name, _, type_ in pairs]
        elif match := _INPUT.match(line):
            current.inputs.append(_told(match[1], match[2], match[3], match[4] or ""))
        else:
            assert not line.strip() or line.startswith("#"), f"not understood: {line}"
    return found


def _told(name: str, mark: str, kind: str, facts: str) -> Told:
    """`default=3, 4` and the like: a comma ends a fact only where another one begins."""
    pairs = [fact.partition("=") for fact in re.split(r", (?=\w+=|\w+$)", facts) if fact]
    known = {key: value for key, _, value in pairs}
    if kind.startswith("["):
        return Told(name, "COMBO", bool(mark), [c.strip() for c in kind[1:-1].split(",") if c.strip()] or None, known)
    return Told(name, "COMBO" if kind == "FILES" else kind, bool(mark), None, known)
