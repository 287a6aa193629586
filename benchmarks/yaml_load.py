"""What reading a workflow costs: nodes with eight inputs, against libyaml's loader on the same text, in one run."""

from __future__ import annotations

import yaml

from benchmarks.table import measure, print_table
from nodegraph.workflow.read import load_text

INPUTS = 8


def text_of(size: int) -> str:
    """A workflow of `size` nodes: two links, and texts and numbers of several kinds."""
    lines = ["nodegraph: 1", "nodes:"]
    for i in range(size):
        lines += [
            f"  n{i}:",
            "    uses: Step",
            "    with:",
            f"      a: {f'$n{i - 1}' if i else 0}",
            f"      b: {f'$n{i // 2}' if i else 0}",
            f"      seed: {i * 7919}",
            f"      cfg: {i % 20}.5",
            f"      text: a red star at night, number {i}",
            "      sampler_name: dpmpp_2m_sde",
            "      enabled: true",
            '      negative: "blurry: yes"',
        ]
    return "\n".join(lines) + "\n"


def main(small: bool = False) -> None:
    """Print the table."""
    loader = getattr(yaml, "CSafeLoader", None)
    rows: list[list[object]] = []
    for size in (1_000,) if small else (1_000, 10_000):
        text = text_of(size)
        loaded = load_text(text, file="w.yaml")
        assert loaded.workflow is not None
        assert not loaded.problems
        assert len(loaded.workflow.nodes) == size
        assert all(len(node.inputs) == INPUTS for node in loaded.workflow.nodes.values())
        ours = measure(lambda text=text: load_text(text, file="w.yaml"), 3).cpu / size * 1e6
        bare = measure(lambda text=text: yaml.load(text, Loader=loader), 3).cpu / size * 1e6 if loader else None
        rows.append([f"{size:,}", ours, bare or "no libyaml", ours / bare if bare else "-"])
    print_table(
        "Reading YAML: nodes with 8 inputs, µs a node (cpu, least of 3 runs)",
        ["nodes", "nodegraph", "yaml.CSafeLoader", "ratio"],
        rows,
        "nodegraph's reading includes source positions, limits, references and its checks of the document "
        "(target: 200 µs a node).",
    )
