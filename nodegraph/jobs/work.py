"""One job inside a worker: from a request to messages about what happens, and its result."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol, cast

from nodegraph.context import CancelToken
from nodegraph.errors import Problem, ProblemError
from nodegraph.execution import events
from nodegraph.execution.provenance import api_prompt
from nodegraph.execution.session import Session
from nodegraph.jobs.examine import Reader, examine
from nodegraph.jobs.model import Request, Result, State
from nodegraph.jobs.rows import dump, plain
from nodegraph.sockets.values import Saved

if TYPE_CHECKING:
    import PIL.Image

SHOWN_BYTES: Final = 1 << 20  # what a node may show, in JSON
PREVIEW_SIDE: Final = 512
PREVIEW_QUALITY: Final = 85
PREVIEW_SECONDS: Final = 0.1  # between two previews of a job


class Outbox(Protocol):
    """Where messages about a job go."""

    def event(self, kind: str, data: Mapping[str, object], *, now: bool = False) -> None:
        """Tell what happened, soon or at once."""
        ...

    def preview(self, data: Mapping[str, object], image: bytes) -> None:
        """Show a picture."""
        ...


@dataclass(slots=True)
class Notes:
    """What is known of a job's nodes so far, and what listeners are told of it."""

    outbox: Outbox
    light: Callable[[str], bool]
    nodes: dict[str, dict[str, object]] = field(default_factory=dict[str, dict[str, object]])
    outputs: dict[str, object] = field(default_factory=dict[str, object])
    status: str = "failed"
    previewed: float = 0.0

    def __call__(self, event: events.Event) -> None:
        """Note one event, and pass it on."""
        match event:
            case events.Preview():
                self._preview(event.node, event.image)
            case events.Expanded():
                for node, type_, display in event.added:
                    self.nodes[node] = {"type": type_, "display": display, "parent": event.node, "state": "waiting"}
                self._tell(event)
            case events.RunFinished():
                self.status = event.status
            case _:
                self._tell(event)

    def _tell(self, event: events.Event) -> None:
        data = event.to_json()
        kind = cast(str, data.pop("event"))
        node = cast(str, data.get("node", ""))
        match event:
            case events.Finished() | events.Cached():
                seconds = {"seconds": round(event.seconds, 6)} if isinstance(event, events.Finished) else {}
                self._note(node, event.type, kind, **seconds)
                if event.saved is not None:
                    made = saved_data(event.saved)
                    data |= made
                    self.outputs[node] = {"files": [], "shown": {}, **made}
            case events.Started() | events.Failed() | events.Skipped():
                self._note(node, event.type, kind)
            case _:
                pass
        self.outbox.event(kind, data, now=isinstance(event, events.Started) and not self.light(event.type))

    def _note(self, node: str, type_: str, state: str, **facts: object) -> None:
        known = self.nodes.get(node)
        if known is None:
            known = self.nodes[node] = {"type": type_, "display": node, "parent": None}
        known["state"] = state
        known.update(facts)

    def _preview(self, node: str, image: PIL.Image.Image) -> None:
        now = time.monotonic()
        if now - self.previewed < PREVIEW_SECONDS:
            return
        self.previewed = now
        known = self.nodes.get(node, {})
        encoded, width, height = jpeg_of(image)
        place = {"node": node, "display": known.get("display", node), "parent": known.get("parent")}
        self.outbox.preview({**place, "width": width, "height": height}, encoded)


async def run_job(
    request: Request,
    session: Session,
    reader: Reader,
    outbox: Outbox,
    token: CancelToken,
    watched: Callable[[], bool] = lambda: True,
    later: Callable[[Callable[[], object]], None] | None = None,
) -> tuple[State, Result]:
    """Do what a request asks for: how it ended, and its result. A job that cannot run has failed.

    watched, later: as of `Session.run_async`.
    """
    began = time.perf_counter()
    settings = session.settings
    if request.cache is not None:
        settings = replace(settings, cache=request.cache)
    examined = examine(request, reader, settings)
    problems = tuple(problem.to_json() for problem in examined.problems)
    graph = examined.graph
    if graph is None:
        return "failed", Result(problems=problems, seconds=time.perf_counter() - began)
    specs = session.registry.specs
    notes = Notes(outbox, lambda type_: type_ in specs and specs[type_].light)
    before, session.settings = session.settings, settings
    try:
        result = await session.run_async(
            graph,
            only=request.only,
            want=(),
            on_event=notes,
            token=token,
            editor=editor_file(request),
            watched=watched,
            later=later,
        )
    except ProblemError as error:
        told = (*problems, *(problem.to_json() for problem in error.problems))
        return "failed", Result(problems=told, seconds=time.perf_counter() - began, prompt=api_prompt(graph))
    finally:
        session.settings = before
    return result.status, Result(
        outputs=notes.outputs,
        problems=(*problems, *(problem.to_json() for problem in result.problems)),
        executed=result.executed,
        cached=result.cached,
        skipped=result.skipped,
        seconds=time.perf_counter() - began,
        nodes=notes.nodes,
        prompt=api_prompt(graph),
    )


def broken_run(error: BaseException) -> Result:
    """The result of a run that ended by a mistake of nodegraph's own, or of a pack's."""
    message = f"the run ended by itself: {type(error).__name__}: {error}"
    return Result(problems=(Problem("node_failed", message).to_json(),))


def editor_file(request: Request) -> str | None:
    """The file of ComfyUI's editor that a client sent along, as JSON."""
    info = request.extra.get("extra_pnginfo")
    workflow = cast("Mapping[str, object]", info).get("workflow") if isinstance(info, Mapping) else None
    return json.dumps(workflow, ensure_ascii=False) if isinstance(workflow, Mapping) else None


def saved_data(saved: Saved) -> dict[str, object]:
    """What a node has saved and shows, as JSON data."""
    files = [
        {
            "filename": file.filename,
            "subfolder": file.subfolder,
            "type": file.type,
            "digest": file.digest,
            "width": file.width,
            "height": file.height,
            "path": file.path,
        }
        for file in saved.files
    ]
    shown = plain(dict(saved.shown)) if saved.shown else None
    if shown is not None and len(dump(shown)) > SHOWN_BYTES:
        shown = {"text": [f"more than {SHOWN_BYTES:,} bytes, which are too many to be shown"]}
    return {**({"files": files} if files else {}), **({"shown": shown} if shown is not None else {})}


def jpeg_of(image: PIL.Image.Image) -> tuple[bytes, int, int]:
    """A picture as a JPEG of at most 512 pixels, and its size."""
    small = image.convert("RGB") if image.mode != "RGB" else image
    if max(small.size) > PREVIEW_SIDE:
        small = small.copy() if small is image else small
        small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    encoded = io.BytesIO()
    small.save(encoded, "JPEG", quality=PREVIEW_QUALITY)
    return encoded.getvalue(), small.width, small.height
