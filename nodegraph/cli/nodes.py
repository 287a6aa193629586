"""`nodegraph nodes`: which node types there are, and the help of one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nodegraph.cli.command import Command, add_folders, add_json, add_verbose
from nodegraph.cli.exit_codes import FINE, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.context import Roots
    from nodegraph.node import InputSpec, NodeSpec
    from nodegraph.registry import BrokenPack, Registry


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `nodes`."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="a node type to explain; without one, all are listed")
    parser.add_argument("--broken", action="store_true", help="list the node packs that could not be loaded, and why")
    add_folders(parser)
    add_json(parser, "print one JSON object")
    parser.add_argument("--markdown", action="store_true", help="print a page with a line for each node type")
    add_verbose(parser)


def call(arguments: argparse.Namespace) -> int:
    """List node types, explain some, or list broken packs."""
    from nodegraph.cli.setup import registry_of, settings_of

    settings = settings_of(arguments)
    registry, roots = registry_of(arguments, settings), settings.roots(None)
    if arguments.broken:
        show_broken(registry.broken, as_json=arguments.json)
        return FINE
    specs = [registry.specs[name] for name in arguments.names if name in registry.specs]
    unknown = [name for name in dict.fromkeys(arguments.names) if name not in registry.specs]
    shown = specs if arguments.names else [registry.specs[name] for name in registry.names()]
    if arguments.json:
        show_json(shown, roots)
    elif arguments.markdown:
        from nodegraph.cli.reference import page
        from nodegraph.cli.terminal import say

        say(page(shown))
    elif arguments.names:
        for i, spec in enumerate(specs):
            explain(spec, roots, first=i == 0)
    else:
        show_list(registry)
    tell_unknown(unknown, registry)
    return PROBLEMS if unknown else FINE


def show_list(registry: Registry) -> None:
    """Node types by category, each with a sentence."""
    import sys

    from nodegraph.cli.terminal import count, say, show_problems
    from nodegraph.packs.native import BUILTIN

    by_category: dict[str, list[NodeSpec]] = {}
    for spec in sorted(registry.specs.values(), key=lambda spec: (spec.category, spec.name)):
        by_category.setdefault(spec.category, []).append(spec)
    width = max((len(name) for name in registry.specs), default=0)
    for category, specs in by_category.items():
        say(category, style="bold")
        for spec in specs:
            pack = "" if spec.pack in (BUILTIN, "") else f" [{spec.pack}]"
            say(f"  {spec.name:<{width}}  {first_sentence(spec.summary)}{pack}".rstrip())
    say()
    say(f"{count(len(registry.specs), 'node type')}; 'nodegraph nodes NAME' explains one")
    sys.stdout.flush()
    show_problems(pack.problem() for pack in registry.broken)


def first_sentence(text: str) -> str:
    """The text up to its first full stop or semicolon that ends a clause."""
    import re

    return re.split(r"(?<!\bal)\. |; ", text, maxsplit=1)[0].rstrip(".")  # "et al." ends none


def explain(spec: NodeSpec, roots: Roots, *, first: bool) -> None:
    """The whole help of a node type."""
    from nodegraph.cli.terminal import say

    if not first:
        say()
    title = f" ({spec.display_name})" if spec.display_name != spec.name else ""
    say(f"{spec.name}{title}", style="bold")
    say(f"{spec.category}, from the pack '{spec.pack}'{', an output node' if spec.output_node else ''}")
    if spec.description:
        say(f"\n{spec.description}")
    rows = [(given.name, str(given.type), input_facts(given, roots)) for given in spec.inputs]
    show_table("inputs", rows)
    show_table("outputs", [(output.name, str(output.type), output.help) for output in spec.outputs])


def input_facts(given: InputSpec, roots: Roots) -> str:
    """Whether an input is required, else its default; its bounds or choices; its help."""
    from nodegraph.errors import listing
    from nodegraph.jobs.catalogue import choices_of

    optional = "optional" if given.default is None else f"default {literal(given.default)}"
    facts = ["required" if given.required else optional]
    if given.range is not None:
        facts.append(f"{bound(given.range.min)} … {bound(given.range.max)}")
    if given.choices is not None:
        names = [str(choice) for choice in choices_of(given, roots)]
        facts.append(f"one of {listing(names, limit=40)}" if names else "nothing to choose from yet")
    return "; ".join([*facts, given.help] if given.help else facts)


def literal(value: object) -> str:
    """A default as it is written in a workflow."""
    import json

    return json.dumps(value, ensure_ascii=False)


def bound(value: float) -> str:
    """A bound in full: seeds go up to 18446744073709551615."""
    return str(int(value)) if value == int(value) else repr(value)


def show_table(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Three columns under a title; nothing when there are no rows."""
    from nodegraph.cli.terminal import say

    if not rows:
        return
    say(f"\n{title}", style="bold")
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    for name, type_, facts in rows:
        say(f"  {name:<{widths[0]}}  {type_:<{widths[1]}}  {facts}".rstrip())


def show_broken(packs: Sequence[BrokenPack], *, as_json: bool) -> None:
    """The packs that could not be loaded, each with the end of its traceback."""
    import json

    from nodegraph.cli.terminal import say

    if as_json:
        data = [
            {"name": pack.name, "origin": pack.origin, "reason": pack.reason, "details": pack.details}
            | ({"node": pack.node} if pack.node else {})
            | ({"hint": pack.hint} if pack.hint else {})
            for pack in packs
        ]
        say(json.dumps({"broken": data}, indent=2))
        return
    if not packs:
        say("no node pack is broken")
    for pack in packs:
        say(f"{pack.name} ({pack.origin})", style="bold")
        say(f"  its node '{pack.node}' is left out: {pack.reason}" if pack.node else f"  {pack.reason}")
        if pack.hint:
            say(f"  {pack.hint}")
        for line in pack.details.splitlines():
            say(f"    {line}", style="dim")


def show_json(specs: Sequence[NodeSpec], roots: Roots) -> None:
    """Node types for programs."""
    import json

    from nodegraph.cli.terminal import say
    from nodegraph.jobs.catalogue import node_data

    say(json.dumps({"nodes": [node_data(spec, roots) for spec in specs]}, indent=2))


def tell_unknown(names: Sequence[str], registry: Registry) -> None:
    """A problem for each name that is no node type."""
    from nodegraph.cli.terminal import show_problem
    from nodegraph.errors import Problem, did_you_mean, shorten

    for name in names:
        hint = did_you_mean(name, registry.specs) or "run 'nodegraph nodes' for the list"
        show_problem(Problem("unknown_node", f"unknown node type {shorten(name)}", got=name, hint=hint))


COMMAND = Command("nodes", "list node types, or explain one", add_options, call)
