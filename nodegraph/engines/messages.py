"""What the driver and its workers say to each other, as data: calls one way, what becomes of them the other.

A call is a chain of steps, each one node's work; a step's arguments may be what an earlier step gives. Of each step the
driver hears as soon as it is done: `outcome`, `failed` or `home` (its values cannot travel), and of the call `ended` at
last. Meanwhile there are `progress`, `preview` and `warning`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from nodegraph.cache.records import Record
from nodegraph.context import Cancelled, Context, Roots
from nodegraph.engines.contract import Ahead, Buffer, Errand, Message, Part
from nodegraph.engines.outcome import Reported, problem_of, traceback_of
from nodegraph.engines.wire import From, to_wire, value_of, wired_data
from nodegraph.engines.work import Worked
from nodegraph.errors import Place, problem_from
from nodegraph.graph.model import GraphNode
from nodegraph.sockets.packing import BadFile
from nodegraph.sockets.values import Saved

if TYPE_CHECKING:
    import PIL.Image


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node's work as the driver knows it. calls: the arguments of each call, without the context. links: arguments
    that other steps give, of a node that is called once."""

    ident: Hashable
    node: GraphNode
    calls: Sequence[Mapping[str, object] | None]
    several: bool = False
    links: Mapping[str, tuple[Hashable, int]] = field(default_factory=dict[str, tuple[Hashable, int]])
    key: bytes | None = None
    prefix: bytes | None = None
    parts: tuple[Part, ...] = ()
    resumes: bool = False


class Told(NamedTuple):
    """A step as a worker is told it. key: of its action, if that is known; prefix, parts: what it is made of
    otherwise, each part a framed name with a digest or (step, output)."""

    node: str
    type: str
    version: int
    source: str
    several: bool
    calls: Sequence[dict[str, object] | None]
    mentions: Mapping[str, Sequence[str]]
    key: bytes | None = None
    prefix: bytes | None = None
    parts: Sequence[tuple[bytes, bytes | tuple[int, int]]] = ()
    resumes: bool = False


class Facts(NamedTuple):
    """What a worker is told of the run. checkpoints: where long nodes note how far they got, and how often (None: they
    do not). files: paths of files that the driver has digested, with their state and digest."""

    roots: Roots
    dtype: str
    vae_dtype: str
    previews: bool
    checkpoints: tuple[str, float] | None = None
    files: Sequence[tuple[str, Sequence[int], str]] = ()


class Call(NamedTuple):
    """A call as a worker is told it."""

    number: int
    facts: Facts
    steps: tuple[Told, ...]


def steps_of(errand: Errand) -> list[Step]:
    """An errand and what would come after it."""
    hidden = errand.job.node.spec.context_name
    calls = [
        None if arguments is None else {name: value for name, value in arguments.items() if name != hidden}
        for arguments in errand.job.calls
    ]
    first = Step(errand.ident, errand.job.node, calls, errand.job.several, key=errand.key, resumes=errand.resumes)
    return [first, *(_step_ahead(ahead, errand.resumes) for ahead in errand.ahead)]


def _step_ahead(ahead: Ahead, resumes: bool) -> Step:
    return Step(
        ahead.ident,
        ahead.node,
        [ahead.values],
        links=ahead.links,
        prefix=ahead.prefix,
        parts=ahead.parts,
        resumes=resumes and ahead.prefix is not None,
    )


# --- calls


def call_message(
    number: int,
    steps: Sequence[Step],
    facts: Facts,
    done: Mapping[Hashable, Worked],
    mentions: Sequence[Mapping[str, Sequence[str]]],
) -> tuple[Message, Sequence[Buffer]]:
    """A call as it travels. done: what has become of steps that are not sent again. Raises Unstorable."""
    places = {step.ident: i for i, step in enumerate(steps)}
    calls: list[object] = []
    for step in steps:
        given: dict[str, object] = {}
        for name, (ident, output) in step.links.items():
            given[name] = From(places[ident], output) if ident in places else done[ident].values[output]
        calls.append([None if arguments is None else {**arguments, **given} for arguments in step.calls])
    wired = to_wire(calls)
    told = [_step_data(step, places, done, each) for step, each in zip(steps, mentions, strict=True)]
    data = {"say": "run", "call": number, "facts": facts_data(facts), "steps": told, **wired_data(wired)}
    return data, wired.buffers


def _step_data(
    step: Step,
    places: Mapping[Hashable, int],
    done: Mapping[Hashable, Worked],
    mentions: Mapping[str, Sequence[str]],
) -> dict[str, object]:
    spec = step.node.spec
    parts: list[object] = []
    for part in step.parts:
        digest = part.digest
        if isinstance(digest, tuple):
            ident, output = digest
            known = done.get(ident)
            digest = (places[ident], output) if known is None else known.record.digests[output]
        parts.append([part.frame.hex(), list(digest) if isinstance(digest, tuple) else digest.hex()])
    return {
        "node": step.node.id,
        "type": spec.name,
        "version": spec.version,
        "source": spec.source_digest,
        "several": step.several,
        "mentions": dict(mentions),
        "key": _hex(step.key),
        "prefix": _hex(step.prefix),
        "parts": parts,
        "resumes": step.resumes,
    }


def read_call(data: Mapping[str, Any], buffers: Sequence[Buffer]) -> Call:
    """The call that `call_message` made. Raises BadFile."""
    try:
        calls = cast("list[list[dict[str, object] | None]]", value_of(data, buffers))
        steps = [_told(step, arguments) for step, arguments in zip(data["steps"], calls, strict=True)]
        return Call(data["call"], read_facts(data["facts"]), tuple(steps))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise BadFile(f"a call cannot be understood: {error}") from error


def _told(data: Mapping[str, Any], calls: Sequence[dict[str, object] | None]) -> Told:
    parts = [
        (bytes.fromhex(frame), bytes.fromhex(digest) if isinstance(digest, str) else (digest[0], digest[1]))
        for frame, digest in data["parts"]
    ]
    return Told(
        data["node"],
        data["type"],
        data["version"],
        data["source"],
        data["several"],
        calls,
        data["mentions"],
        _unhex(data["key"]),
        _unhex(data["prefix"]),
        parts,
        data["resumes"],
    )


def facts_data(facts: Facts) -> dict[str, object]:
    """Facts as JSON data."""
    roots = facts.roots
    return {
        "roots": {
            "input": [str(path) for path in roots.input],
            "output": str(roots.output),
            "temp": str(roots.temp),
            "models": [str(path) for path in roots.models],
            "extra_models": [[kind, str(path)] for kind, path in roots.extra_models],
            "allow_pickle": roots.allow_pickle,
        },
        "dtype": facts.dtype,
        "vae_dtype": facts.vae_dtype,
        "previews": facts.previews,
        "checkpoints": facts.checkpoints,
        "files": facts.files,
    }


def read_facts(data: Mapping[str, Any]) -> Facts:
    """The facts that `facts_data` gave."""
    told, checkpoints = data["roots"], data["checkpoints"]
    roots = Roots(
        tuple(map(Path, told["input"])),
        Path(told["output"]),
        Path(told["temp"]),
        tuple(map(Path, told["models"])),
        tuple([(kind, Path(path)) for kind, path in told["extra_models"]]),
        bool(told["allow_pickle"]),
    )
    kept = (str(checkpoints[0]), float(checkpoints[1])) if checkpoints else None
    return Facts(roots, data["dtype"], data["vae_dtype"], bool(data["previews"]), kept, data["files"])


def facts_of(context: Context, checkpoints: tuple[str, float] | None = None) -> Facts:
    """What of a node's context a worker is told."""
    return Facts(context.roots, context.dtype, context.vae_dtype, context.wants_previews, checkpoints)


# --- what becomes of them


def outcome_message(call: int, step: int, worked: Worked) -> tuple[Message, Sequence[Buffer]]:
    """What came of a step. Raises Unstorable if it cannot travel."""
    saved = worked.record.saved
    shown = dict(saved.shown) if saved is not None and saved.shown is not None else None
    wired = to_wire([list(worked.values), shown])
    digests = [digest.hex() for digest in worked.record.digests]
    facts = {"digests": digests, "seconds": worked.record.seconds, "saved": saved is not None}
    return {"say": "outcome", "call": call, "step": step, **facts, **wired_data(wired)}, wired.buffers


def read_outcome(data: Mapping[str, Any], buffers: Sequence[Buffer]) -> Worked:
    """What came of a step, as the worker tells it. Raises BadFile."""
    try:
        values, shown = cast("tuple[list[object], dict[str, object] | None]", value_of(data, buffers))
        digests = tuple([bytes.fromhex(digest) for digest in data["digests"]])
        saved = Saved((), shown) if data["saved"] else None
        return Worked(tuple(values), Record(digests, float(data["seconds"]), saved))
    except (KeyError, ValueError, TypeError) as error:
        raise BadFile(f"an outcome cannot be understood: {error}") from error


def failure_message(call: int, step: int, node: GraphNode, error: BaseException) -> Message:
    """How a step failed."""
    data: dict[str, object] = {"say": "failed", "call": call, "step": step}
    if isinstance(error, Cancelled):
        return {**data, "cancelled": True}
    problem = replace(problem_of(node, error), place=Place())
    return {**data, "cancelled": False, "problem": problem.to_json(), "details": traceback_of(error)}


def read_failure(data: Mapping[str, Any]) -> BaseException:
    """What a step raised."""
    if data.get("cancelled"):
        return Cancelled()
    return Reported(replace(problem_from(data["problem"]), place=Place()), str(data.get("details", "")))


def preview_message(call: int, step: int, image: PIL.Image.Image) -> tuple[Message, Sequence[Buffer]]:
    """A picture that a node shows."""
    small = image if image.mode in ("RGB", "L", "RGBA") else image.convert("RGB")
    return {"say": "preview", "call": call, "step": step, "mode": small.mode, "size": list(small.size)}, [
        small.tobytes()
    ]


def read_preview(data: Mapping[str, Any], buffers: Sequence[Buffer]) -> PIL.Image.Image:
    """The picture again."""
    import PIL.Image

    width, height = data["size"]
    return PIL.Image.frombytes(data["mode"], (width, height), bytes(buffers[0]))


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


def _unhex(value: str | None) -> bytes | None:
    return None if value is None else bytes.fromhex(value)
