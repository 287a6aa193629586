"""Jobs in a service with a real worker: what happens to them, and what listeners are told."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nodegraph.errors import ProblemError
from nodegraph.jobs.model import JobEvent, PreviewEvent, Request
from nodegraph.jobs.service import LocalJobService
from tests.cli.support import ROOT, environment
from tests.jobs.support import SUM, became, chain, done, ended, in_service, serving, settings_in, until


def test_a_job_is_done_and_remembered(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        job = await done(service, SUM, params={"start": 5}, client="me")
        assert job.state == "done"
        assert job.result is not None
        assert job.result.outputs == {"shown": {"files": [], "shown": {"text": ["it is 8"]}}}
        assert set(job.result.executed) == {"first", "sum", "shown"}
        assert job.result.nodes["sum"]["state"] == "finished"  # type: ignore[index]
        assert job.result.prompt is not None
        assert job.result.prompt["sum"] == {
            "class_type": "Add",
            "inputs": {"a": ["first", 0], "b": 3},
            "_meta": {"title": "sum"},
        }
        again = await done(service, SUM, params={"start": 5})
        assert again.result is not None
        assert (again.result.executed, set(again.result.cached)) == ((), {"first", "sum", "shown"})
        assert again.result.outputs == job.result.outputs

    in_service(tmp_path, work)


def test_files_are_told_with_name_and_place(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        text = "nodegraph: 1\nnodes: {file: {uses: Write, with: {value: 3, name: three}}}\n"
        job = await done(service, text)
        assert job.result is not None
        (file,) = job.result.outputs["file"]["files"]  # type: ignore[index]
        assert (file["filename"], file["type"], file["subfolder"]) == ("three.txt", "output", "")
        assert file["path"] == str(tmp_path / "output" / "three.txt")
        assert len(file["digest"]) == 64

    in_service(tmp_path, work)
    assert (tmp_path / "output" / "three.txt").read_text() == "3"


def test_events_tell_a_job_from_queue_to_end(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        reader = service.subscribe()
        job = service.submit(Request(SUM, client="me"))
        events = [event for event in await until(reader, "job_finished") if isinstance(event, JobEvent)]
        mine = [event for event in events if event.job == job.id]
        kinds = [event.kind for event in mine]
        nodes = ["started", "finished"] * 3
        assert kinds == ["job_queued", "job_started", "planned", *nodes, "job_finished"]
        assert {event.client for event in mine} == {"me"}
        assert mine[-1].data["state"] == "done"
        assert mine[-1].data["executed"] == 3
        numbers = [event.seq for event in events]
        assert numbers == sorted(set(numbers))
        replayed = service.subscribe(after=mine[1].seq, job=job.id)
        assert await until(replayed, "job_finished") == mine[2:]

    in_service(tmp_path, work)


def test_numbers_of_events_rise_over_restarts(tmp_path: Path):
    async def first(service: LocalJobService) -> int:
        reader = service.subscribe()
        service.submit(Request(SUM))
        last = (await until(reader, "job_finished"))[-1]
        assert isinstance(last, JobEvent)
        return last.seq

    async def second(service: LocalJobService, before: int) -> None:
        job = service.jobs(("done",))[0]
        replayed = await until(service.subscribe(after=0), "job_finished")
        assert [event.job for event in replayed] == [job.id] * len(replayed)
        reader = service.subscribe()
        service.submit(Request(SUM))
        assert all(isinstance(event, JobEvent) and event.seq > before for event in await until(reader, "job_finished"))

    before = in_service(tmp_path, first)
    in_service(tmp_path, lambda service: second(service, before))


def test_a_workflow_with_mistakes_fails_with_all_of_them(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        text = "nodegraph: 1\nnodes: {a: {uses: Nmber}, b: {uses: Tell, with: {value: x}}}\n"
        report = await service.check(Request(text))
        job = await done(service, text)
        assert not report.runnable
        assert {problem["code"] for problem in report.problems} >= {"unknown_node", "type_mismatch"}
        assert job.state == "failed"
        assert job.result is not None
        assert list(job.result.problems) == list(report.problems)
        assert not (await service.check(Request(SUM, only=("nothing",)))).runnable
        with pytest.raises(ProblemError, match="unknown"):
            await service.explain(Request(text))

    in_service(tmp_path, work)


def test_a_node_that_fails_fails_its_job_and_the_queue_moves_on(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        reader = service.subscribe()
        bad, good = service.submit(Request(chain("Fail"))), service.submit(Request(SUM))
        failed = [event for event in await until(reader, "failed") if isinstance(event, JobEvent)][-1]
        assert failed.job == bad.id
        assert "no luck with 1" in failed.data["problem"]["message"]  # type: ignore[index]
        assert "ValueError" in str(failed.data["traceback"])
        job = await ended(service, bad.id)
        assert (job.state, job.attempts) == ("failed", 1)
        assert job.result is not None and job.result.skipped == ("shown",)
        assert (await ended(service, good.id)).state == "done"

    in_service(tmp_path, work)


def test_jobs_are_cancelled_while_they_wait_and_while_they_run(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        running, waiting = service.submit(Request(chain("Slow"))), service.submit(Request(SUM))
        await until(service.subscribe(job=running.id), "progress")
        assert service.cancel([waiting.id, "nothing"]) == 1
        assert (await ended(service, waiting.id)).state == "cancelled"
        assert service.cancel_running() == 1
        job = await ended(service, running.id)
        assert job.state == "cancelled"
        assert service.workers()[0].restarts == 0  # it stopped by itself
        again = service.retry(running.id)
        assert again is not None and again.id != running.id
        service.cancel([again.id])
        assert (await ended(service, again.id)).state == "cancelled"

    in_service(tmp_path, work)


def test_a_paused_queue_begins_nothing_also_after_a_restart(tmp_path: Path):
    async def pause(service: LocalJobService) -> list[str]:
        service.pause()
        return [service.submit(Request(SUM)).id for _ in range(3)]

    async def resume(service: LocalJobService, ids: list[str]) -> None:
        assert service.paused
        assert service.count(("queued",)) == 3
        service.move(ids[2], front=True)
        assert service.delete([ids[1]]) == 1
        reader = service.subscribe()
        service.resume()
        began: list[str] = []
        while len(began) < 2:
            event = await anext(reader)
            if isinstance(event, JobEvent) and event.kind == "job_started":
                began.append(event.job)
        assert began == [ids[2], ids[0]]
        await ended(service, ids[0])
        assert service.clear(("done",)) == 2
        assert service.jobs() == []

    ids = in_service(tmp_path, pause)
    in_service(tmp_path, lambda service: resume(service, ids))


def test_users_take_turns_also_after_a_restart_in_the_middle(tmp_path: Path):
    async def first(service: LocalJobService) -> list[str]:
        slow = service.submit(Request(chain("Slow"), user="ann")).id
        await until(service.subscribe(job=slow), "progress")
        return [slow, *(service.submit(Request(SUM, user=user)).id for user in ("ann", "ann", "bob", "ann", "bob"))]

    async def second(service: LocalJobService, ids: list[str]) -> None:
        expected = [job.id for job in service.jobs(("running", "queued"))]
        assert expected == [ids[i] for i in (0, 3, 1, 5, 2, 4)]  # what was interrupted is next
        service.pause()
        service.cancel([ids[0]])
        await ended(service, ids[0])
        expected = [job.id for job in service.jobs(("queued",))]
        service.resume()
        for id_ in ids:
            await ended(service, id_)
        done = [service.get(id_) for id_ in expected]
        began = [job.started for job in done if job is not None and job.started is not None]
        assert len(began) == 5 and began == sorted(began)

    ids = in_service(tmp_path, first)
    in_service(tmp_path, lambda service: second(service, ids))


def test_questions_are_answered_while_a_job_runs(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        job = service.submit(Request(chain("Slow")))
        await until(service.subscribe(job=job.id), "progress")
        report = await service.check(Request(SUM))
        assert report.runnable
        assert report.outputs == ("shown",) or list(report.outputs) == ["shown"]
        explained = await service.explain(Request(SUM))
        assert {each["action"] for each in explained} == {"run"}
        catalogue = await service.catalogue()
        json.dumps(catalogue)
        assert catalogue["nodes"]["Add"]["pack"] == "jobtoys"  # type: ignore[index]
        assert catalogue["object_info"]["Add"]["input"]["required"] == {  # type: ignore[index]
            "a": ["INT"],
            "b": ["INT", {"default": 1}],
        }
        assert catalogue["digest"] == (await service.catalogue())["digest"]
        service.cancel([job.id])
        await ended(service, job.id)

    in_service(tmp_path, work)


def test_reasons_are_about_the_job_that_ended_just_now(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        for start in (2, 3):
            assert (await done(service, SUM, params={"start": start})).state == "done"
            explained = await service.explain(Request(SUM, params={"start": 9}))
            (first,) = [each for each in explained if each["node"] == "first"]
            assert (first["reason"], first["field"], first["old"]) == ("input_changed", "value", start)

    in_service(tmp_path, work)


def test_each_run_is_recorded_before_the_worker_leaves(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        for start in range(5):
            assert (await done(service, SUM, params={"start": start})).state == "done"

    in_service(tmp_path, work)
    assert len(list(tmp_path.rglob("runs/*.json"))) == 5


def test_what_nodes_print_disturbs_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    async def work(service: LocalJobService) -> None:
        assert (await done(service, chain("Noisy"))).state == "done"

    in_service(tmp_path, work)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert {"hello from a node", "hello from below", "hello from a shell"} <= set(printed.err.splitlines())


def test_previews_are_small_jpegs_for_those_who_want_them(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        wanting, others = service.subscribe(previews=True), service.subscribe()
        service.submit(Request(chain("Steps", ", steps: 3"), client="me"))
        seen = await until(wanting, "job_finished")
        (preview,) = [event for event in seen if isinstance(event, PreviewEvent)]
        assert preview.image.startswith(b"\xff\xd8")
        assert (preview.node, preview.display, preview.width, preview.height) == ("middle", "middle", 512, 350)
        assert not any(isinstance(event, PreviewEvent) for event in await until(others, "job_finished"))

    in_service(tmp_path, work)


def test_a_slow_reader_gets_all_but_progress_in_order(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        slow, quick = service.subscribe(previews=True, limit=4), service.subscribe()
        for i in range(5):
            job = service.submit(Request(chain("Steps", ", steps: 50", value=i)))
            await ended(service, job.id)
        assert len(slow.waiting) <= 8
        lasting = ("progress", "queue", "worker")

        async def told(reader: object) -> list[JobEvent]:
            events: list[JobEvent] = []
            while sum(event.kind == "job_finished" for event in events) < 5:
                event = await anext(reader)  # type: ignore[arg-type]
                if isinstance(event, JobEvent) and event.kind not in lasting:
                    events.append(event)
            return events

        assert await told(slow) == await told(quick)

    in_service(tmp_path, work)


def test_each_device_has_a_worker(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        path = tmp_path / "go"
        first = service.submit(Request(chain("Deaf", f", path: '{path}'")))
        second = service.submit(Request(SUM))
        assert (await ended(service, second.id)).state == "done"  # while the first one is still running
        assert (await became(service, first.id, "running")).state == "running"
        assert {worker.device for worker in service.workers()} == {"cpu"}
        assert len({worker.pid for worker in service.workers()}) == 2
        path.touch()
        assert (await ended(service, first.id)).state == "done"

    in_service(tmp_path, work, devices=("cpu", "cpu"))


def test_a_full_disk_refuses_jobs_and_loses_none(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        path = tmp_path / "go"
        running = service.submit(Request(chain("Deaf", f", path: '{path}'")))
        await until(service.subscribe(job=running.id), "progress")
        pages = service.store.execute("PRAGMA page_count").fetchone()[0]
        service.store.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(ProblemError, match="cannot be written down"):
            fill_queue(service)
        waiting = service.count(("queued",))
        path.touch()
        await asyncio.wait_for(_late(service), 30)
        service.store.execute("PRAGMA max_page_count=1000000")
        assert (await ended(service, running.id)).state == "done"
        for job in service.jobs(("queued",)):
            assert (await ended(service, job.id)).state == "done"
        assert service.count(("done",)) == waiting + 1

    in_service(tmp_path, work)


def fill_queue(service: LocalJobService) -> None:
    for i in range(1_000):
        service.submit(Request(SUM + "# " + "x" * 10_000, params={"start": i}))


async def _late(service: LocalJobService) -> None:
    """Until a job's end could not be written down, or was."""
    while not service.supervisor.late and not service.count(("done",)):  # noqa: ASYNC110 (nothing tells of it)
        await asyncio.sleep(0)


def test_memory_and_models_are_let_go_of_between_jobs(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        await done(service, SUM)
        await service.free(models=True, memory=True)
        job = await done(service, SUM)
        assert job.result is not None
        assert job.result.executed == ("first", "sum", "shown")

    base = settings_in(tmp_path)
    in_service(tmp_path, work, execution=replace(base.execution, cache_dir=None))


def test_a_node_that_does_not_stop_does_not_keep_the_service_from_stopping(tmp_path: Path):
    async def go() -> None:
        settings = settings_in(tmp_path)
        async with serving(settings, grace=0.2) as service:
            job = service.submit(Request(chain("Deaf"), max_attempts=1))
            await until(service.subscribe(job=job.id), "progress")
        async with serving(settings, grace=0.2) as service:
            again = await became(service, job.id, "running")
            assert again.attempts == 1

    asyncio.run(go())


def test_a_picture_carries_the_editors_file_that_came_with_its_prompt(tmp_path: Path):
    import PIL.Image

    async def work(service: LocalJobService) -> None:
        prompt = {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 255}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "sent"}},
        }
        editor = {"nodes": [], "links": [], "version": 0.4}
        job = await done(service, json.dumps(prompt), extra={"extra_pnginfo": {"workflow": editor}})
        assert job.result is not None and job.state == "done", job.result
        (file,) = job.result.outputs["2"]["files"]  # type: ignore[index]
        assert (file["width"], file["height"]) == (16, 16)
        with PIL.Image.open(file["path"]) as picture:
            assert json.loads(picture.text["workflow"]) == editor  # type: ignore[attr-defined]
            assert json.loads(picture.text["prompt"]).keys() == prompt.keys()  # type: ignore[attr-defined]

    in_service(tmp_path, work)


def test_two_services_never_share_a_folder(tmp_path: Path):
    async def go() -> None:
        settings = settings_in(tmp_path)
        async with serving(settings):
            with pytest.raises(ProblemError, match="another server") as caught:
                await LocalJobService(settings).start()
            assert caught.value.problems[0].code == "already_served"
        async with serving(settings):
            pass

    asyncio.run(go())


BARE = """
import asyncio, sys
from pathlib import Path
from nodegraph.execution.settings import Settings
from nodegraph.jobs.model import Request
from nodegraph.jobs.service import LocalJobService
from nodegraph.jobs.settings import JobSettings

async def go(folder):
    service = LocalJobService(JobSettings(folder, Settings(cache_dir=folder / "cache"), warm=False))
    await service.start()
    report = await service.check(Request("nodegraph: 1\\nnodes: {image: {uses: EmptyImage}}\\n"))
    assert report.nodes == {"image": "EmptyImage"}, report
    sampler = (await service.catalogue())["object_info"]["KSampler"]
    assert (sampler["output"], sampler["python_module"]) == (["LATENT"], "nodes")
    nodes = "{image: {uses: EmptyImage}, save: {uses: SaveImage, with: {images: $image}}}"
    picture = Request("nodegraph: 1\\nnodes: " + nodes)
    assert (await service.convert(picture, "ui"))["nodes"] == 2
    assert (await service.sweep(picture, {"color": [0, 255]}))["sheets"] == ["grid-file"]
    await service.stop()

asyncio.run(go(Path(sys.argv[1])))
print(sorted({"torch", "numpy", "networkx", "PIL.Image"} & set(sys.modules)))
"""


def test_the_service_itself_imports_nothing_heavy(tmp_path: Path):
    command = [sys.executable, "-c", BARE, str(tmp_path)]
    outcome = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert outcome.stderr == ""
    assert outcome.stdout == "[]\n"
