"""Sub-workflows: a node that says `uses: ./part.yaml` is replaced by the nodes of that file.

The part's parameters are the node's inputs, and the names under its `outputs:` are the node's outputs. Its nodes
appear in the result as `node/inner`, so that they run, are cached and are named in errors like any others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from nodegraph.errors import Place, Problem, did_you_mean, listing, shorten
from nodegraph.workflow.arrangement import arranged
from nodegraph.workflow.document import NodeEntry, Param, Ref, Slot, Span, Sweep, Template, Value, Workflow
from nodegraph.workflow.param_values import Fault, fit
from nodegraph.workflow.read import load_file
from nodegraph.workflow.texts import filled_in

MAX_PARTS: Final = 10_000


def is_part(uses: str) -> bool:
    """Whether a node type is the path of a workflow file."""
    return uses.startswith(("./", "../")) and uses.endswith((".yaml", ".yml", ".json"))


def inline_parts(workflow: Workflow) -> tuple[Workflow, tuple[Problem, ...]]:
    """The workflow with all sub-workflows, of any depth, put in place of the nodes that use them.

    A node whose file cannot be used stays as it is, and its problem is told. A file that uses itself, at whatever
    depth, is told with the path of files that leads there.
    """
    if not any(is_part(entry.uses) for entry in workflow.nodes.values()):
        return workflow, ()
    state = _State()
    stack = [_Level("", workflow, {}, ())]
    while stack:
        level = stack.pop()
        for entry in level.workflow.nodes.values():
            inner = _place(state, level, entry)
            if inner is not None:
                stack.append(inner)
    nodes = {name: _relinked(state, entry) for name, entry in state.nodes.items()}
    outputs = {
        name: _settled(state, ref, workflow.output_places.get(name, Place(workflow.file)), None)
        for name, ref in workflow.outputs.items()
    }
    kept = {name: ref for name, ref in outputs.items() if isinstance(ref, Ref)}
    flat = replace(
        workflow,
        nodes=MappingProxyType(nodes),
        outputs=MappingProxyType(kept),
        text=None,  # it is no longer what the file says
    )
    return arranged(flat, workflow, lambda name: name if name in nodes else None), tuple(state.problems)


@dataclass(frozen=True, slots=True)
class _Level:
    """One workflow file in the place where it is used; `values` are its parameters, in the names of the result, `when`
    is what decides whether it runs."""

    prefix: str
    workflow: Workflow
    values: Mapping[str, Value]
    files: tuple[Path, ...]
    when: tuple[Value, ...] = ()


@dataclass(slots=True)
class _State:
    nodes: dict[str, NodeEntry] = field(default_factory=dict[str, NodeEntry])
    outputs: dict[str, Mapping[str, Ref]] = field(default_factory=dict[str, Mapping[str, Ref]])
    parts: int = 0
    problems: list[Problem] = field(default_factory=list[Problem])


def _place(state: _State, level: _Level, entry: NodeEntry) -> _Level | None:
    """Put a node into the result under its full name, or give the level that it stands for."""
    name = level.prefix + entry.id
    inputs = {key: _translated(state, level, entry, key, value) for key, value in entry.inputs.items()}
    placed = replace(entry, id=name, inputs=MappingProxyType(inputs), sweep=_swept(state, level, entry))
    when = _gates(state, level, entry)
    if when:
        placed = replace(placed, when=when)
    if is_part(entry.uses) and entry.mode == "run":
        part = _open(state, level, entry)
        if part is not None:
            workflow, files = part
            values = _bound(state, placed, workflow)
            inner = _Level(name + "/", workflow, values, files, when)
            state.outputs[name] = {key: Ref(f"{name}/{ref.name}", ref.output) for key, ref in workflow.outputs.items()}
            return inner
    state.nodes[name] = placed
    return None


def _gates(state: _State, level: _Level, entry: NodeEntry) -> tuple[Value, ...]:
    """All that decides whether a node runs: what it says itself, and what the nodes say that it is a part of."""
    if entry.when is None:
        return level.when
    own = entry.when if isinstance(entry.when, tuple) else (entry.when,)
    return (*level.when, *[_translated(state, level, entry, "when", value) for value in own])


def _open(state: _State, level: _Level, entry: NodeEntry) -> tuple[Workflow, tuple[Path, ...]] | None:
    """The workflow that a node uses, and the files that lead to it; None, with a problem told, if it cannot be."""
    here = Path(level.workflow.path) if level.workflow.path else None
    folder = Path(level.workflow.folder).resolve() if level.workflow.folder is not None else None
    files = level.files or ((here.resolve(),) if here else ())

    def fail(code: str, message: str, hint: str) -> None:
        state.problems.append(Problem(code, message, entry.uses_place, node=entry.id, got=entry.uses, hint=hint))

    path = _real((here.parent if here else Path()) / entry.uses, folder)
    if path is None:
        where, hint = ("the folder of workflows", "save it there first") if folder else ("any folder", "write its path")
        fail("file_not_found", f"there is no {shorten(entry.uses)} in {where}", hint)
        return None
    if path in files:
        chain = " -> ".join(file.name for file in (*files[files.index(path) :], path))
        fail("cycle", f"a workflow cannot use itself: {chain}", "remove one of these uses")
        return None
    state.parts += 1
    if state.parts > MAX_PARTS:
        if state.parts == MAX_PARTS + 1:
            fail("too_large", f"the workflow uses more than {MAX_PARTS} sub-workflows", "use fewer")
        return None
    loaded = load_file(path, name=None if folder is None else path.relative_to(folder).as_posix())
    if loaded.workflow is None or any(problem.severity == "error" for problem in loaded.problems):
        state.problems += [
            replace(problem, place=entry.uses_place) if problem.code == "file_not_found" else problem
            for problem in loaded.problems
        ]
        return None
    inner = [loaded.workflow.sweep, *(node.sweep for node in loaded.workflow.nodes.values() if is_part(node.uses))]
    if any(sweep is not None for sweep in inner):
        message = f"{entry.uses} is swept as a whole, or sweeps a sub-workflow; where it is used, that cannot be done"
        fail("wrong_kind", message, "sweep over it here, or over nodes in it")
        return None
    if not loaded.workflow.outputs and not loaded.workflow.nodes:
        fail("missing_key", f"{entry.uses} has no nodes", "use another file")
        return None
    return replace(loaded.workflow, folder=level.workflow.folder), (*files, path)


def _real(path: Path, folder: Path | None) -> Path | None:
    """Where a file really lies; None if that is not in the folder, whether something is there or not."""
    try:
        real = path.resolve()
        return real if folder is None or (real.is_relative_to(folder) and real.is_file()) else None
    except (OSError, RuntimeError, ValueError):  # a name that no file can have, or links in a circle
        return None


def _bound(state: _State, entry: NodeEntry, part: Workflow) -> dict[str, Value]:
    """The values of a part's parameters: what the node gives, then the defaults."""
    values: dict[str, Value] = {}
    for name, value in entry.inputs.items():
        param = part.params.get(name)
        place = entry.places.get(name, entry.place)
        if param is None:
            names = list(part.params)
            hint = did_you_mean(name, names) or (f"it has {listing(names)}" if names else "it takes none")
            message = f"{entry.uses} has no parameter {shorten(name)}"
            where = entry.key_places.get(name, entry.place)
            state.problems.append(Problem("unknown_input", message, where, entry.id, name, name, hint=hint))
        elif isinstance(value, Ref | Slot | Template):
            values[name] = value
        else:
            values[name] = _fitted(state, entry, param, value, place)
    for name, param in part.params.items():
        if name not in values and name not in entry.inputs:
            if param.required:
                message = f"'{entry.id}' ({entry.uses}) needs its parameter '{name}'"
                hint = f"add '{name}: …' under with"
                state.problems.append(Problem("missing_input", message, entry.place, entry.id, name, hint=hint))
            else:
                values[name] = param.default
    return values


def _fitted(state: _State, entry: NodeEntry, param: Param, value: Value, place: Place) -> Value:
    fitted = fit(param, value)
    if isinstance(fitted, Fault):
        state.problems.append(replace(fitted.problem(), place=place, node=entry.id, input=param.name))
        return param.default
    return fitted


def _translated(state: _State, level: _Level, entry: NodeEntry, key: str, value: Value) -> Value:
    """A value with its names as the whole workflow knows them."""
    if isinstance(value, Slot):
        return Slot(level.prefix + value.name, value.index)
    if isinstance(value, Ref):
        if value.output is None and value.name in level.values:
            return level.values[value.name]
        if not level.prefix or value.name not in level.workflow.nodes:
            return value
        return Ref(level.prefix + value.name, value.output)
    if isinstance(value, Template) and level.prefix:
        return _filled(state, level, entry, key, value)
    return value


def _swept(state: _State, level: _Level, entry: NodeEntry) -> Sweep | None:
    """A node's sweep with its names as the whole workflow knows them."""
    if entry.sweep is None or not level.prefix:
        return entry.sweep
    values = {
        key: series if isinstance(series, Span) else tuple([_translated(state, level, entry, key, v) for v in series])
        for key, series in entry.sweep.values.items()
    }
    return replace(entry.sweep, values=MappingProxyType(values))


def _filled(state: _State, level: _Level, entry: NodeEntry, key: str, template: Template) -> Value:
    """A text whose parameters are the part's own: literals are filled in, outer parameters stay open."""
    parts: list[str | Ref] = []
    for part in template.parts:
        value: Value = level.values.get(part.name, part) if isinstance(part, Ref) else part
        if isinstance(value, Template):
            parts += value.parts
        elif isinstance(value, (Ref, str)):
            parts.append(value)
        elif isinstance(value, bool | int | float | None):
            parts.append(filled_in(value))
        else:
            message = "a text can only be filled with texts and numbers"
            place = entry.places.get(key, entry.place)
            state.problems.append(Problem("bad_reference", message, place, node=level.prefix + entry.id, input=key))
    return Template(tuple(parts)) if any(isinstance(part, Ref) for part in parts) else "".join(map(str, parts))


def _relinked(state: _State, entry: NodeEntry) -> NodeEntry:
    """A node whose links to parts lead to the nodes inside them."""
    inputs: dict[str, Value] = {}
    for key, value in entry.inputs.items():
        settled = (
            _settled(state, value, entry.places.get(key, entry.place), (entry.id, key))
            if isinstance(value, Ref)
            else value
        )
        inputs[key] = settled
    when = entry.when
    if isinstance(when, tuple):
        at = (entry.id, "when")
        when = tuple([_settled(state, v, entry.when_place, at) if isinstance(v, Ref) else v for v in when])
    return replace(entry, inputs=MappingProxyType(inputs), when=when)


#: Stands for a link whose problem has been told already.
BROKEN: Final = Template(())


def _settled(state: _State, ref: Ref, place: Place, where: tuple[str, str] | None) -> Value:
    """A reference followed into parts, to a node that is really there; BROKEN, with a problem told, if it fails."""
    followed = ref
    while followed.name in state.outputs:
        outputs = state.outputs[followed.name]
        chosen = _choose(followed, outputs)
        if isinstance(chosen, Problem):
            node, key = where or (None, None)
            state.problems.append(replace(chosen, place=place, node=node, input=key))
            return BROKEN
        followed = chosen
    return followed


def _choose(ref: Ref, outputs: Mapping[str, Ref]) -> Ref | Problem:
    names = list(outputs)
    if ref.output is None:
        if len(names) == 1:
            return outputs[names[0]]
        written = listing([f"${ref.name}.{name}" for name in names])
        message = f"'{ref.name}' has {len(names)} outputs"
        hint = f"write one of {written}" if names else "name them under 'outputs:' in its file"
        return Problem("ambiguous_output" if names else "unknown_output", message, got=str(ref), hint=hint)
    found = next((name for name in names if name.casefold() == ref.output.casefold()), None)
    if found is not None:
        return outputs[found]
    message = f"'{ref.name}' has no output {shorten(ref.output)}"
    hint = did_you_mean(ref.output, names) or f"it has {listing(names)}"
    return Problem("unknown_output", message, got=ref.output, expected=listing(names), hint=hint)
