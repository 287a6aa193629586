"""Why nodes run: what differs from the last time, and where up the graph it began.

`explain` reads the forecast that the executor starts from, so what it calls a hit is not run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from nodegraph.cache.journal import Seen
from nodegraph.cache.records import Record
from nodegraph.execution.forecast import Forecast
from nodegraph.execution.plan import Plan
from nodegraph.execution.states import HIT, OFF, UNUSED

Reason = Literal[
    "never_run",
    "input_changed",
    "upstream_changed",
    "file_changed",
    "code_changed",
    "environment_changed",
    "evicted",
    "blob_missing",
    "cache_off",
    "not_deterministic",
    "not_kept",
    "output_missing",
]

#: Why a result that is known does not help, by what the store says of it.
LOST: Mapping[str, Reason] = {
    "evicted": "evicted",
    "missing": "blob_missing",
    "unknown": "blob_missing",
    "unstorable": "not_kept",
    "cheap": "not_kept",
    "full": "not_kept",
    "remote": "evicted",
    "output": "output_missing",
}
NOT_KEPT: Mapping[str, str] = {
    "unstorable": "its value is never kept, and made when it is needed",
    "cheap": "making it again takes less time than reading it",
    "full": "there was no space to keep it",
    "remote": "its value is in a remote cache, which is not in use or does not answer",
}
UNKEYED: Mapping[str, tuple[Reason, str]] = {
    "cache_off": ("cache_off", "cache: off"),
    "not_deterministic": ("not_deterministic", "the node may give something else each time"),
    "file_by_link": ("not_deterministic", "which file it reads is known only when it runs"),
    "no_digest": ("not_deterministic", "an input has no digest"),
    "always": ("not_deterministic", "the node says that it has to run each time"),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """What differs at a node: the first field that does, and its value then and now."""

    node: str
    reason: Reason
    field: str | None = None
    old: object = None
    new: object = None
    detail: str = ""

    def to_json(self) -> dict[str, object]:
        data: dict[str, object] = {"node": self.node, "reason": self.reason}
        if self.field is not None:
            data |= {"field": self.field, "old": self.old, "new": self.new}
        return data | ({"detail": self.detail} if self.detail else {})


@dataclass(frozen=True, slots=True)
class Explained:
    """A node of a run that is to come: whether it will run, why, and where that began (`root`, itself included).

    `seconds` is what it took when its result was made, where that is known; `remote` says of a hit that it comes from
    the remote cache.
    """

    node: str
    type: str
    action: Literal["hit", "run", "off", "idle"]
    cause: Cause | None = None
    root: Cause | None = None
    seconds: float | None = None
    remote: bool = False

    def to_json(self) -> dict[str, object]:
        data: dict[str, object] = {"node": self.node, "type": self.type, "action": self.action}
        if self.cause is not None:
            data |= {key: value for key, value in self.cause.to_json().items() if key != "node"}
        if self.root is not None:
            data["root"] = self.root.to_json()
        if self.remote:
            data["remote"] = True
        return data | ({"seconds": round(self.seconds, 6)} if self.seconds is not None else {})


def explain(plan: Plan, forecast: Forecast, last: Mapping[str, Seen]) -> tuple[Explained, ...]:
    """Say of each node of a plan, in order, whether it will run and why. `last` is how its nodes were last."""
    nodes = plan.graph.nodes
    roots: dict[int, Cause] = {}
    explained: list[Explained] = []
    for i in plan.order:
        node, record = nodes[i], forecast.records[i]
        change = _change(plan, forecast, i, last.get(node.id))
        seconds = record.seconds if record is not None else None
        if change is not None:  # what made a known node differ may be the root of something further down
            roots[i] = _root(plan, roots, i, change)
        if forecast.state[i] == HIT:
            explained.append(Explained(node.id, node.spec.name, "hit", seconds=seconds, remote=i in forecast.distant))
            continue
        if forecast.state[i] in (OFF, UNUSED):
            explained.append(Explained(node.id, node.spec.name, "off" if forecast.state[i] == OFF else "idle"))
            continue
        cause = _reason(plan, forecast, i, change)
        root = roots[i] = _root(plan, roots, i, cause)
        explained.append(Explained(node.id, node.spec.name, "run", cause, root, seconds))
    return tuple(explained)


def _reason(plan: Plan, forecast: Forecast, i: int, change: Cause | None) -> Cause:
    """Why a node runs."""
    name = plan.graph.nodes[i].id
    if i in plan.unkeyed:
        reason, detail = UNKEYED[plan.unkeyed[i]]
        return Cause(name, reason, detail=detail)
    if i in plan.fresh:
        return Cause(name, "cache_off", detail="cache: refresh")
    if i in forecast.lost:
        why = forecast.lost[i]
        return Cause(name, LOST[why], detail=NOT_KEPT.get(why, ""))
    return change or Cause(name, "evicted", detail="its result was forgotten")


def _root(plan: Plan, roots: Mapping[int, Cause], i: int, cause: Cause) -> Cause:
    """Where a chain of changes began, the roots of what comes before being known."""
    if cause.reason != "upstream_changed" or cause.field is None:
        return cause
    link = plan.graph.nodes[i].links.get(cause.field)
    return roots.get(link.node, cause) if link is not None else cause


def _change(plan: Plan, forecast: Forecast, i: int, seen: Seen | None) -> Cause | None:
    """What differs from the last run; None if nothing does."""
    name = plan.graph.nodes[i].id
    if seen is None:
        return Cause(name, "never_run")
    if seen.key is not None and seen.key == forecast.keys[i]:
        return None
    try:
        old = cast("dict[str, Any]", json.loads(seen.fields))
        return _difference(name, old, fields_of(plan, i, forecast.records))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Cause(name, "never_run")


def fields_of(plan: Plan, i: int, records: Iterable[Record | None]) -> dict[str, Any]:
    """All that a node's key was made of, by name, in a form that can be shown and kept as JSON."""
    records = cast("list[Record | None]", records)
    node, nodes = plan.graph.nodes[i], plan.graph.nodes
    spec = node.spec
    links: dict[str, list[object]] = {}
    for name, link in node.links.items():
        record = records[link.node]
        source = nodes[link.node]
        digest = record.digests[link.output].hex()[:32] if record is not None else None
        links[name] = [f"${source.id}.{source.spec.outputs[link.output].name}", digest]
    return {
        "type": spec.name,
        "version": spec.version,
        "source": spec.source_digest[:32],
        "environment": plan.environment.decode() if spec.numeric else "",
        "inputs": {name: _shown(value) for name, value in node.values.items()},
        "files": {name: digest[:32] for name, (_, digest) in plan.read_files.get(i, {}).items()},
        "links": links,
    }


def _shown(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_shown(item) for item in cast("list[object]", value)]
    if isinstance(value, Mapping):
        return {str(key): _shown(item) for key, item in cast("Mapping[object, object]", value).items()}
    return repr(value)


def _difference(node: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Cause | None:
    """The first field that differs, in the order in which it is most telling."""
    if old["type"] != new["type"]:
        return Cause(node, "input_changed", "uses", old["type"], new["type"])
    for field in ("version", "source"):
        if old[field] != new[field]:
            return Cause(node, "code_changed", field, old[field], new[field])
    if old["environment"] != new["environment"]:
        return Cause(node, "environment_changed", "environment", old["environment"], new["environment"])
    before, now = _given(old), _given(new)
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name) or type(before.get(name)) is not type(now.get(name)):
            return Cause(node, "input_changed", name, before.get(name), now.get(name))
    for name, digest in new["files"].items():
        if old["files"].get(name) != digest:
            return Cause(node, "file_changed", name, old["files"].get(name), digest)
    for name, (_, digest) in new["links"].items():
        if digest is None or old["links"][name][1] != digest:
            return Cause(node, "upstream_changed", name, old["links"][name][1], digest)
    return None


def _given(fields: Mapping[str, Any]) -> dict[str, object]:
    """Literals and links by input name. A link to the same output under another name counts as another one only if what
    it brings differs."""
    links = dict.fromkeys(fields["links"], "a link")
    return {**cast("dict[str, object]", fields["inputs"]), **links}
