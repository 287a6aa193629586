"""Located data → Workflow: the shape of a document, whichever format it was written in.

Everything that can be understood is kept and every mistake is reported, so that the graph can be checked in
the same pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from types import MappingProxyType
from typing import Final, Literal, cast, get_args

from nodegraph.errors import Place, did_you_mean, listing, shorten
from nodegraph.workflow.arrangement import read_groups, read_layout, read_notes
from nodegraph.workflow.document import CachePolicy, NodeEntry, Param, Ref, Slot, Value, Workflow
from nodegraph.workflow.editor_keys import EDITOR_KEYS, read_mode, read_wanted
from nodegraph.workflow.param_reader import read_param
from nodegraph.workflow.sweep_reader import SWEEP_KEYS, read_sweep
from nodegraph.workflow.texts import NAME_HELP, BadReference, name_fault, parse_text
from nodegraph.workflow.tree import UNREADABLE, Located, Report, Unreadable, kind_of

VERSION: Final = 1
DOCUMENT_KEYS: Final = (
    "nodegraph",
    "name",
    "description",
    "params",
    *SWEEP_KEYS,
    "nodes",
    "outputs",
    "groups",
    "notes",
    "layout",
)
NODE_KEYS: Final = ("uses", "with", "when", "title", "note", "cache", *EDITOR_KEYS, *SWEEP_KEYS)
CACHE_POLICIES: Final = cast("tuple[str, ...]", get_args(CachePolicy))


def build_workflow(root: Located, report: Report) -> Workflow | None:
    """The workflow that a document of nodegraph's own format describes; None when it is not one."""
    document = root.value
    if not isinstance(document, dict):
        if document is not UNREADABLE:
            report.add(
                "not_a_workflow",
                f"a workflow is a mapping with the key 'nodes', not {kind_of(document)}",
                report.at(root),
            )
        return None
    if not {"nodegraph", "nodes"} & document.keys():
        hint = (
            did_you_mean("nodes", islice((key for key in document if key not in DOCUMENT_KEYS), 100))
            or "a workflow begins with 'nodegraph: 1' and has its nodes under 'nodes:'"
        )
        message = f"the file has neither 'nodegraph' nor 'nodes', but {shown_keys(document)}"
        report.add("not_a_workflow", message, report.at(root), hint=hint)
        return None
    if not check_version(root, document, report):
        return None
    refuse_unknown_keys(document, DOCUMENT_KEYS, "a workflow", report)
    nodes_at = document.get("nodes")
    if nodes_at is None:
        report.add(
            "missing_key",
            "the workflow has no 'nodes'",
            report.at(root),
            hint="add 'nodes:' with the nodes below it",
        )
    params = {name: read_param(name, entry, report) for name, entry in entries(document, "params", report)}
    nodes = {name: read_node(name, entry, report) for name, entry in entries(document, "nodes", report)}
    check_names(params, nodes, report)
    outputs, output_places = read_outputs(document, report)
    arrangement = read_layout(entries(document, "layout", report), report)
    return Workflow(
        nodes=MappingProxyType(nodes),
        params=MappingProxyType(params),
        outputs=MappingProxyType(outputs),
        output_places=MappingProxyType(output_places),
        layout=MappingProxyType(arrangement.layout),
        name=read_text(document, "name", report),
        description=read_text(document, "description", report) or "",
        version=VERSION,
        file=report.source.file,
        text=report.source.text,
        sweep=read_sweep(document, report, read_value),
        groups=read_groups(document.get("groups"), report),
        notes=read_notes(document.get("notes"), report),
        looks=MappingProxyType(arrangement.looks),
        routes=MappingProxyType(arrangement.routes),
    )


def check_version(root: Located, document: dict[str, Located], report: Report) -> bool:
    """Whether the document can be read as this format version at all; a mere slip is reported and read on."""
    entry = document.get("nodegraph")
    remedy = f"write 'nodegraph: {VERSION}' at the top"
    if entry is None:
        report.add("missing_key", "the workflow does not say 'nodegraph'", report.at(root), hint=remedy)
    elif entry.value is not UNREADABLE and (entry.value != VERSION or type(entry.value) is not int):
        shown = shorten(entry.value) if not isinstance(entry.value, list | dict) else kind_of(entry.value)
        message = f"this nodegraph reads workflows of version {VERSION}, not {shown}"
        newer = isinstance(entry.value, int) and entry.value > VERSION
        hint = "use a newer nodegraph" if newer else remedy
        report.add("unsupported_version", message, report.at(entry), got=shown, expected=str(VERSION), hint=hint)
        return not newer or isinstance(entry.value, bool)
    return True


def read_node(name: str, entry: Located, report: Report) -> NodeEntry:
    """One entry below `nodes:`."""
    place = report.at_key(entry)
    if fault := name_fault(name):
        report.add("bad_name", f"a node cannot be called {shorten(name)}: {fault}", place, hint=NAME_HELP)
    keys = entry.value
    if not isinstance(keys, dict):
        if keys is not UNREADABLE:
            message = f"the node {shorten(name)} is a mapping with 'uses' and 'with', not {kind_of(keys)}"
            hint = f"write 'uses: {keys}' below it" if isinstance(keys, str) and len(keys) < 60 else None
            report.add("wrong_kind", message, report.at(entry), node=name, hint=hint)
        return NodeEntry(name, "", place=place, uses_place=place)
    refuse_unknown_keys(keys, NODE_KEYS, "a node", report, node=name)
    uses = keys.get("uses")
    if uses is None:
        message = f"the node {shorten(name)} does not say which type of node it uses"
        report.add("missing_key", message, place, node=name, hint="add 'uses: TYPE'")
    type_name = read_text(keys, "uses", report, node=name) or ""
    if uses is not None and uses.value == "":
        report.add("wrong_kind", "'uses' is empty", report.at(uses), node=name)
    inputs: dict[str, Value] = {}
    places: dict[str, Place] = {}
    key_places: dict[str, Place] = {}
    source_place = report.source.place
    for key, given in entries(keys, "with", report, node=name):
        places[key] = source_place(given.line, given.column)
        key_places[key] = source_place(given.key_line, given.key_column)
        value = read_value(given, report, name, key)
        if value is not UNREADABLE:
            inputs[key] = value
    return NodeEntry(
        id=name,
        uses=type_name,
        inputs=MappingProxyType(inputs),
        title=read_text(keys, "title", report, node=name),
        note=read_text(keys, "note", report, node=name),
        cache=read_cache(keys, name, report),
        place=place,
        uses_place=report.at(uses) if uses is not None else place,
        places=MappingProxyType(places),
        key_places=MappingProxyType(key_places),
        sweep=read_sweep(keys, report, read_value, node=name),
        mode=read_mode(keys, name, report),
        pack=read_text(keys, "pack", report, node=name) or None,
        wanted=read_wanted(keys, name, report),
        when=read_when(keys, name, report),
        when_place=report.at(keys["when"]) if "when" in keys else Place(),
    )


def read_when(keys: dict[str, Located], node: str, report: Report) -> Value:
    """What decides whether a node runs: true or false, a parameter, an output, or a list of such; None without any."""
    entry = keys.get("when")
    if entry is None or entry.value is UNREADABLE:
        return None
    items = entry.value if isinstance(entry.value, list) else [entry]
    found: list[Value] = []
    for item in items:
        value = read_value(item, report, node, None)
        if isinstance(value, bool | Ref | Slot):
            found.append(value)
        elif value is not UNREADABLE:
            shown = shorten(item.value) if isinstance(item.value, str) else kind_of(item.value)
            message = f"'when' is true, false, or a reference such as $flag or $node.output, not {shown}"
            report.add("wrong_kind", message, report.at(item), node=node, got=shown)
    return tuple(found) if isinstance(entry.value, list) else found[0] if found else None


def read_value(
    given: Located, report: Report, node: str | None, input: str | None
) -> Value | Literal[Unreadable.UNREADABLE]:
    """What an input is given."""
    value = given.value
    if isinstance(value, str):
        parsed = parse_text(value) if "$" in value else value
        if isinstance(parsed, BadReference):
            report.add(
                "bad_reference",
                parsed.message,
                place_of_piece(given, parsed.piece, report),
                node=node,
                input=input,
                hint=parsed.hint,
            )
            return UNREADABLE
        return parsed
    if isinstance(value, list):
        items = [read_value(item, report, node, input) for item in value]
        readable = tuple(item for item in items if item is not UNREADABLE)
        return readable if len(readable) == len(items) else UNREADABLE
    if isinstance(value, dict):
        pairs = {key: read_value(item, report, node, input) for key, item in value.items()}
        members = {key: item for key, item in pairs.items() if item is not UNREADABLE}
        return MappingProxyType(members) if len(members) == len(pairs) else UNREADABLE
    return value


def place_of_piece(given: Located, piece: str, report: Report) -> Place:
    """Where `piece` of a text stands; where the text begins if it is not in that line."""
    place = report.at(given)
    column = (place.text or "").find(piece, given.column)
    return report.source.place(given.line, column) if column >= 0 else place


def read_cache(keys: dict[str, Located], node: str, report: Report) -> CachePolicy:
    """The key `cache` of a node."""
    entry = keys.get("cache")
    if entry is None or entry.value is UNREADABLE or entry.value is None or entry.value == "auto":
        return "auto"
    if isinstance(entry.value, str) and entry.value in CACHE_POLICIES:
        return cast(CachePolicy, entry.value)
    shown = shorten(entry.value) if not isinstance(entry.value, list | dict) else kind_of(entry.value)
    hint = "write 'cache: off'" if entry.value is False else None
    report.add(
        "not_a_choice", f"'cache' is {listing(CACHE_POLICIES)}, not {shown}", report.at(entry), node=node, hint=hint
    )
    return "auto"


def read_outputs(document: dict[str, Located], report: Report) -> tuple[dict[str, Ref], dict[str, Place]]:
    """The names that callers of the workflow see, with the places of what they stand for."""
    outputs: dict[str, Ref] = {}
    places: dict[str, Place] = {}
    for name, entry in entries(document, "outputs", report):
        if fault := name_fault(name):
            message = f"an output cannot be called {shorten(name)}: {fault}"
            report.add("bad_name", message, report.at_key(entry), hint=NAME_HELP)
        if entry.value is UNREADABLE:
            continue
        value = parse_text(entry.value) if isinstance(entry.value, str) else None
        if isinstance(value, Ref):
            outputs[name] = value
            places[name] = report.at(entry)
            continue
        shown = shorten(entry.value) if isinstance(entry.value, str) else kind_of(entry.value)
        message = f"the output {shorten(name)} must be a reference to a node, not {shown}"
        bare = isinstance(entry.value, str) and isinstance(parse_text("$" + entry.value), Ref)
        hint = f"write ${entry.value}" if bare else "write $NODE or $NODE.OUTPUT"
        report.add("bad_reference", message, report.at(entry), hint=hint)
    return outputs, places


def check_names(params: dict[str, Param], nodes: dict[str, NodeEntry], report: Report) -> None:
    """Parameters and nodes share one namespace, since `$name` may mean either."""
    for name in params.keys() & nodes.keys():
        message = f"{shorten(name)} is the name of a parameter (line {params[name].place.line}) and of a node"
        report.add("name_taken", message, nodes[name].place, node=name, hint="rename one of the two")


def entries(
    keys: dict[str, Located], key: str, report: Report, *, node: str | None = None
) -> Iterable[tuple[str, Located]]:
    """The members of the mapping below `key`; none when it is missing or empty."""
    entry = keys.get(key)
    if entry is None or entry.value is None or entry.value is UNREADABLE:
        return ()
    if isinstance(entry.value, dict):
        if key == "nodes" and len(entry.value) > report.limits.nodes:
            message = f"the workflow has {len(entry.value):,} nodes; {report.limits.nodes:,} are allowed"
            report.add("too_large", message, report.at_key(entry))
            return ()
        return entry.value.items()
    message = f"'{key}' is a mapping of names to values, not {kind_of(entry.value)}"
    report.add("wrong_kind", message, report.at(entry), node=node)
    return ()


def read_text(keys: dict[str, Located], key: str, report: Report, *, node: str | None = None) -> str | None:
    """The text below `key`, or None when it is missing or empty."""
    entry = keys.get(key)
    if entry is None or entry.value is None or entry.value is UNREADABLE:
        return None
    if isinstance(entry.value, str):
        return entry.value
    hint = "put it in quotes" if not isinstance(entry.value, list | dict) else None
    report.add("wrong_kind", f"'{key}' is a text, not {kind_of(entry.value)}", report.at(entry), node=node, hint=hint)
    return None


def refuse_unknown_keys(
    keys: dict[str, Located], known: tuple[str, ...], owner: str, report: Report, *, node: str | None = None
) -> None:
    """Report each key that is not known."""
    if keys.keys() <= set(known):
        return
    for key, entry in keys.items():
        if key not in known:
            hint = did_you_mean(key, known) or f"the keys of {owner} are {listing(known)}"
            report.add(
                "unknown_key",
                f"{owner} has no key {shorten(key)}",
                report.at_key(entry),
                node=node,
                hint=hint,
            )


def shown_keys(document: dict[str, Located]) -> str:
    """The keys of a mapping for a message."""
    more = f" and {len(document) - 5} more" if len(document) > 5 else ""
    return (listing([shorten(key, limit=20) for key in islice(document, 5)]) or "no keys at all") + more
