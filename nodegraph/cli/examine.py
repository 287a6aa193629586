"""A workflow file with the options that go with it: read, filled with parameters and checked in one pass."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from nodegraph.cli.opening import open_workflow
from nodegraph.errors import Place, Problem, listing
from nodegraph.execution.settings import Settings
from nodegraph.graph.build import check
from nodegraph.graph.model import Graph
from nodegraph.graph.seeds import RANDOM, draw_seed, with_random_seeds
from nodegraph.registry import Registry
from nodegraph.workflow.document import NodeEntry, Ref, Value, Workflow
from nodegraph.workflow.params import Given, load_params_file, parse_overrides


@dataclass(frozen=True, slots=True)
class Examined:
    """What became of a file: the workflow if one could be read, its graph if nothing is wrong, and all problems."""

    workflow: Workflow | None
    graph: Graph | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


def examine(name: str, arguments: argparse.Namespace, registry: Registry, settings: Settings) -> Examined:
    """Read FILE, take the values of `--set`, `--params` and `--seed`, and check everything."""
    loaded = open_workflow(name, registry)
    workflow = loaded.workflow
    if workflow is None:
        return Examined(None, None, loaded.problems)
    assignments: list[str] = list(arguments.set)
    problems: list[Problem] = []
    anew = [name for name, _, text in (each.partition("=") for each in assignments) if text == RANDOM]
    if arguments.seed == RANDOM:
        arguments.seed = draw_seed()
    workflow = with_random_seeds(workflow, registry, again=anew)
    seeds = {name for name in anew if name in workflow.params and workflow.params[name].type == "INT"}
    assignments = [
        each for each in assignments if each.partition("=")[0] not in seeds or not each.endswith(f"={RANDOM}")
    ]
    if arguments.seed is not None:
        if "seed" in workflow.params:
            assignments.append(f"seed={arguments.seed}")
        else:
            workflow, problem = with_seed(workflow, registry, arguments.seed)
            problems += [problem] if problem else []
    file_values: Mapping[str, Given] = {}
    if arguments.params is not None:
        file_values, file_problems = load_params_file(arguments.params)
        problems += file_problems
    values, bad_values = parse_overrides(workflow, assignments, file_values)
    problems += bad_values
    checked = check(workflow, registry, roots=settings.roots(workflow), overrides=values)
    # A parameter whose value was refused has been told of; that it has no value need not be.
    attempted = {assignment.partition("=")[0] for assignment in assignments} | set(file_values)
    told = {workflow.params[name].place for name in attempted if name in workflow.params}
    found = [p for p in checked.problems if p.code != "missing_param" or p.place not in told]
    problems = in_order([*loaded.problems, *problems, *found])
    has_errors = any(problem.severity == "error" for problem in problems)
    return Examined(workflow, None if has_errors else checked.graph, tuple(problems))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """By place, the same mistake at the same place only once; problems of the command line come first."""
    unique: dict[tuple[Place, str], Problem] = {}
    for problem in problems:
        unique.setdefault((problem.place, problem.message), problem)
    return sorted(unique.values(), key=lambda p: (p.place.file or "", p.place.line or 0, p.place.column or 0))


def with_seed(workflow: Workflow, registry: Registry, seed: int) -> tuple[Workflow, Problem | None]:
    """The workflow with `seed` in every seed input that nothing feeds, or a problem if there is none.

    Its text is dropped, so that pictures are saved with the workflow that made them.
    """
    nodes: dict[str, NodeEntry] = {}
    fed: dict[str, None] = {}
    for name, entry in workflow.nodes.items():
        spec = registry.get(entry.uses)
        changed: dict[str, Value] = {}
        for given in spec.inputs if spec is not None else ():
            value = entry.inputs.get(given.name)
            if not given.control:
                continue
            if value is None or type(value) is int:
                changed[given.name] = seed
            elif isinstance(value, Ref) and value.name in workflow.params:
                fed[value.name] = None
        nodes[name] = replace(entry, inputs=MappingProxyType({**entry.inputs, **changed})) if changed else entry
    if any(nodes[name] is not entry for name, entry in workflow.nodes.items()):
        return replace(workflow, nodes=MappingProxyType(nodes), text=None), None
    return workflow, no_seed(seed, fed)


def no_seed(seed: int, fed: Mapping[str, None]) -> Problem:
    """The answer to `--seed` where there is nothing to set."""
    if fed:
        hint = f"its seeds come from {listing([f'${name}' for name in fed])}: use --set {next(iter(fed))}={seed}"
    else:
        hint = "declare a parameter 'seed' and write $seed where it is wanted"
    return Problem("unknown_param", "--seed: the workflow has no parameter 'seed'", got="seed", hint=hint)
