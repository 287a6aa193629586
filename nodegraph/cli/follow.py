"""A job of a server as it goes, shown like a run of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nodegraph.cli.exit_codes import FINE, INTERRUPTED, PROBLEMS

if TYPE_CHECKING:
    from nodegraph.cli.progress import View
    from nodegraph.cli.remote import Server
    from nodegraph.execution.events import Event
    from nodegraph.sockets.values import Saved


def follow(server: Server, job: str, view: View) -> int:
    """Show a job until it ends. A closed connection is opened again where it broke off. Ctrl-C cancels the job."""
    after, ended = 0, None
    try:
        while ended is None:
            for event in server.events(job, after):
                after = int(event.get("seq") or after)
                for shown in events_of(event):
                    view.show(shown)
                if event.get("kind") in ("job_finished", "job_removed"):
                    ended = str(event["data"].get("state", "removed"))
                    break
            if ended is None and (state := server.ask("GET", f"/api/v1/jobs/{job}")["state"]) not in (
                "queued",
                "running",
            ):
                ended = str(state)
    except KeyboardInterrupt:
        server.ask("POST", f"/api/v1/jobs/{job}/cancel")
        return INTERRUPTED
    finally:
        view.close()
    return FINE if ended == "done" else PROBLEMS


def events_of(event: Mapping[str, Any]) -> list[Event]:
    """What a server tells, as a run of one's own would."""
    from nodegraph.cli.remote import problem_in
    from nodegraph.execution import events

    data: Mapping[str, Any] = event["data"]
    node, type_ = data.get("node", ""), data.get("type", "")
    match event["kind"]:
        case "planned":
            return [events.Planned(data["nodes"], data["cached"])]
        case "started":
            return [events.Started(node, type_)]
        case "progress":
            return [events.Progress(node, data["value"], data["total"])]
        case "cached":
            return [events.Cached(node, type_, saved_in(data))]
        case "finished":
            return [events.Finished(node, type_, data.get("seconds", 0.0), saved_in(data))]
        case "failed":
            return [events.Failed(node, type_, problem_in(data["problem"]), data.get("traceback") or "")]
        case "skipped":
            return [events.Skipped(node, type_, data.get("because"), data.get("reason", "failed"))]
        case "expanded":
            added = tuple((each["node"], each["type"], each.get("display", "")) for each in data["added"])
            return [events.Expanded(node, type_, added)]
        case "warning":
            return [events.Warned(node, data["message"])]
        case "job_requeued":
            return [events.Warned("", f"the worker is gone ({data.get('reason')}); the job is tried again")]
        case "job_finished":
            state = data.get("state")
            status = state if state in ("done", "failed", "cancelled") else "failed"
            told = [events.Warned("", f"the job ended: {data['error']}")] if data.get("error") else []
            counts = [int(data.get(key, 0)) for key in ("executed", "cached", "failed", "skipped")]
            return [*told, events.RunFinished(status, float(data.get("seconds", 0.0)), *counts)]
        case _:
            return []


def saved_in(data: Mapping[str, Any]) -> Saved | None:
    """The files and other things that an event tells of; files go by their names below the server's folders."""
    from nodegraph.sockets.values import Saved, SavedFile

    files = [
        SavedFile(
            "/".join(filter(None, (each.get("type"), each.get("subfolder"), each["filename"]))),
            each["filename"],
            each.get("subfolder", ""),
            each.get("type", "output"),
        )
        for each in data.get("files") or ()
    ]
    shown = data.get("shown")
    return Saved(tuple(files), shown) if files or shown else None
