"""Sweeps of whole workflows: what their names stand for, and how those of sub-workflows and parameters are settled."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType

from nodegraph.errors import Problem, listing
from nodegraph.workflow.document import NodeEntry, Param, Ref, Series, Span, Sweep, Value, Workflow
from nodegraph.workflow.parts import is_part
from nodegraph.workflow.texts import free_name


def split_target(workflow: Workflow, name: str) -> tuple[str, str] | None:
    """Node and input that a name such as `latent.seed` stands for, if that is a node; None for a parameter."""
    if name in workflow.params:
        return None
    at = name.find(".")
    while at > 0:
        if name[:at] in workflow.nodes:
            return name[:at], name[at + 1 :]
        at = name.find(".", at + 1)
    return None


def first_value(series: Series) -> Value:
    """The first value of a series; None if it has none."""
    if isinstance(series, Span):
        return series.first
    return series[0] if series else None


def first_values(workflow: Workflow) -> dict[str, Value]:
    """What each swept parameter is first."""
    if workflow.sweep is None:
        return {}
    return {name: first_value(series) for name, series in workflow.sweep.values.items() if name in workflow.params}


def without_names(workflow: Workflow, names: Collection[str]) -> Workflow:
    """The workflow without the sweep over `names`: a parameter that is given a value is not swept."""
    sweep = workflow.sweep
    if sweep is None or not any(name in sweep.values for name in names):
        return workflow
    kept = {name: series for name, series in sweep.values.items() if name not in names}
    return replace(workflow, sweep=with_values(sweep, kept) if kept else None, text=None)


def lift_parts(workflow: Workflow) -> tuple[Workflow, tuple[Problem, ...]]:
    """The workflow with the sweeps over sub-workflows made sweeps over new parameters, which are passed on to them."""
    swept = {name for name, entry in workflow.nodes.items() if entry.sweep is not None and is_part(entry.uses)}
    sweep, problems = workflow.sweep, list[Problem]()
    targets = {name: split_target(workflow, name) for name in sweep.values} if sweep is not None else {}
    on_parts = {name: at for name, at in targets.items() if at is not None and is_part(workflow.nodes[at[0]].uses)}
    if not swept and not on_parts:
        return workflow, ()
    nodes, params = dict(workflow.nodes), dict(workflow.params)
    series: dict[str, Series] = {}
    for name, values in sweep.values.items() if sweep is not None else ():
        at = on_parts.get(name)
        series[name if at is None else _pass_on(nodes, params, *at, values)] = values
    for node in nodes:
        own = nodes[node].sweep
        if node not in swept or own is None:
            continue
        if sweep is not None and (sweep.zipped or own.zipped):
            message = f"the sweeps of '{node}' and of the workflow cannot be combined, since one of them is a 'foreach'"
            problems.append(Problem("wrong_kind", message, own.place, node, hint="write 'matrix' in both places"))
            continue
        lifted = {_pass_on(nodes, params, node, name, values): values for name, values in own.values.items()}
        series |= lifted
        sweep = own if sweep is None else sweep
        nodes[node] = replace(nodes[node], sweep=None)
    assert sweep is not None
    settled = replace(
        workflow,
        nodes=MappingProxyType(nodes),
        params=MappingProxyType(params),
        sweep=with_values(sweep, series),
        text=None,
    )
    return settled, tuple(problems)


def with_values(sweep: Sweep, values: Mapping[str, Series]) -> Sweep:
    """The sweep with other values."""
    return replace(sweep, values=MappingProxyType(dict(values)))


def _pass_on(nodes: dict[str, NodeEntry], params: dict[str, Param], node: str, input_name: str, values: Series) -> str:
    """Declare a parameter and give it to an input; returns its name."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", f"{node}-{input_name}")[:48]
    name = free_name(stem, nodes, params)
    entry = nodes[node]
    place = entry.sweep.key_places.get(input_name, entry.place) if entry.sweep is not None else entry.place
    first = first_value(values)
    params[name] = Param(name, "ANY", first if isinstance(first, str | int | float | bool) else None, place=place)
    nodes[node] = replace(
        entry,
        inputs=MappingProxyType({**entry.inputs, input_name: Ref(name)}),
        key_places=MappingProxyType({**entry.key_places, input_name: place}),
    )
    return name


def with_sweep(workflow: Workflow, values: Mapping[str, Series], *, zipped: bool = False) -> Workflow | Problem:
    """The workflow swept over `values` as well, by parameter or `node.input`; what the file sweeps comes first.

    A sweep of the file over the same parameter or input gives way. A Problem if the file has another sweep that cannot
    be combined with this one.
    """
    nodes = dict(workflow.nodes)
    for name in values:
        target = split_target(workflow, name)
        if target is not None and (own := nodes[target[0]].sweep) is not None and target[1] in own.values:
            kept = {key: series for key, series in own.values.items() if key != target[1]}
            nodes[target[0]] = replace(nodes[target[0]], sweep=with_values(own, kept) if kept else None)
    workflow = replace(without_names(workflow, values), nodes=MappingProxyType(nodes), text=None)
    before = workflow.sweep
    if before is not None and (zipped or before.zipped):
        message = f"the workflow has a '{before.key}' of its own, over {listing(list(before.values))}"
        hint = "only sweeps without 'foreach' and --zip can be combined"
        return Problem("usage", message, before.place, hint=hint)
    both = {**(before.values if before is not None else {}), **values}
    return replace(workflow, sweep=with_values(before or Sweep(zipped, {}), both))
