"""Workers that crash, hang, are killed or do not stop: they are replaced, and the queue moves on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from nodegraph.jobs.model import JobEvent, Request
from nodegraph.jobs.service import LocalJobService
from tests.jobs.support import SUM, chain, done, ended, in_service, until

QUICK = (0.01, 0.1)


@pytest.mark.parametrize(
    ("uses", "extra", "error"),
    [
        ("Die", "", "SIGSEGV"),
        ("Die", ", by: SIGKILL", "SIGKILL"),
        ("Die", ", by: SIGABRT", "SIGABRT"),
        ("Exit", "", "exit code 3"),
    ],
)
def test_a_job_that_kills_its_workers_is_interrupted_and_the_queue_moves_on(
    tmp_path: Path, uses: str, extra: str, error: str
):
    async def work(service: LocalJobService) -> None:
        reader = service.subscribe()
        deadly, other = service.submit(Request(chain(uses, extra))), service.submit(Request(SUM))
        job = await ended(service, deadly.id)
        assert (job.state, job.attempts) == ("interrupted", 2)
        assert job.result is not None
        assert job.result.error == error
        (problem,) = job.result.problems
        assert problem["code"] == "worker_died"
        assert problem["node"] == "middle"
        assert error in str(problem["message"])
        assert (await ended(service, other.id)).state == "done"
        (worker,) = service.workers()
        assert (worker.state, worker.restarts) == ("ready", 2)
        told = [event for event in await until(reader, "job_requeued") if isinstance(event, JobEvent)][-1]
        assert told.data == {"reason": error, "node": "middle"}

    in_service(tmp_path, work, backoff=QUICK)


def test_a_job_whose_worker_dies_once_is_done_by_the_next(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        ran = tmp_path / "ran"
        text = f"""\
nodegraph: 1
nodes:
  first: {{uses: Note, with: {{value: 1, path: '{ran}'}}}}
  second: {{uses: DieOnce, with: {{value: $first, path: '{tmp_path / "died"}'}}}}
  shown: {{uses: Tell, with: {{value: $second}}}}
"""
        job = await done(service, text)
        assert (job.state, job.attempts) == ("done", 2)
        assert job.result is not None
        assert job.result.cached == ("first",)
        assert ran.read_text() == "1\n"  # what had finished was not run again

    in_service(tmp_path, work, backoff=QUICK)


def test_what_a_job_has_saved_before_its_worker_died_is_told(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        text = """\
nodegraph: 1
nodes:
  first: {uses: Write, with: {value: 1, name: saved}}
  deadly: {uses: Die, with: {value: 1}}
  shown: {uses: Tell, with: {value: $deadly}}
"""
        job = service.submit(Request(text, max_attempts=1))
        await until(service.subscribe(job=job.id), "job_finished")
        found = service.get(job.id)
        assert found is not None and found.result is not None
        told = service.subscribe(after=0, job=job.id)
        events = [event for event in await until(told, "job_finished") if isinstance(event, JobEvent)]
        finished = [event.data["node"] for event in events if event.kind == "finished"]
        assert list(found.result.outputs) == finished

    in_service(tmp_path, work, backoff=QUICK)


def test_a_job_may_say_how_often_it_is_tried(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        job = await done(service, chain("Die"), max_attempts=1)
        assert (job.state, job.attempts) == ("interrupted", 1)

    in_service(tmp_path, work, backoff=QUICK)


def test_a_node_that_does_not_stop_is_killed_after_a_grace(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        deaf, other = service.submit(Request(chain("Deaf"))), service.submit(Request(SUM))
        await until(service.subscribe(job=deaf.id), "progress")
        service.cancel([deaf.id])
        job = await ended(service, deaf.id)
        assert job.state == "cancelled"
        assert job.result is not None and job.result.error == "did not stop when cancelled"
        assert (await ended(service, other.id)).state == "done"

    in_service(tmp_path, work, cancel_grace=0.2, backoff=QUICK)


def test_a_process_that_gives_no_sign_of_life_is_killed(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        frozen, other = service.submit(Request(chain("Frozen"), max_attempts=1)), service.submit(Request(SUM))
        job = await ended(service, frozen.id)
        assert job.state == "interrupted"
        assert job.result is not None
        assert str(job.result.error).startswith("hung: no sign of life")
        assert (await ended(service, other.id)).state == "done"

    in_service(tmp_path, work, hang_seconds=1.0, beat_seconds=0.1, backoff=QUICK)


def test_a_stopped_process_is_replaced_also_without_a_job(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        await done(service, SUM)
        (before,) = service.workers()
        assert before.pid is not None
        os.kill(before.pid, signal.SIGSTOP)
        assert (await done(service, SUM)).state == "done"
        (after,) = service.workers()
        assert after.pid != before.pid

    in_service(tmp_path, work, hang_seconds=1.0, beat_seconds=0.1, backoff=QUICK)


def test_a_job_that_is_cancelled_while_its_worker_dies_is_cancelled(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        job = service.submit(Request(chain("Deaf")))
        await until(service.subscribe(job=job.id), "progress")
        (worker,) = service.workers()
        assert worker.pid is not None
        service.cancel([job.id])
        os.kill(worker.pid, signal.SIGSEGV)
        ended_job = await ended(service, job.id)
        assert (ended_job.state, ended_job.attempts) == ("cancelled", 1)

    in_service(tmp_path, work, backoff=QUICK)


def test_an_idle_worker_that_dies_is_replaced_before_the_next_job(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        await done(service, SUM)
        for _ in range(3):
            (worker,) = service.workers()
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            job = await done(service, SUM, max_attempts=1)
            assert (job.state, job.attempts) == ("done", 1)

    in_service(tmp_path, work, backoff=QUICK)


def test_a_worker_that_cannot_come_up_is_tried_again_less_and_less_often(tmp_path: Path):
    async def work(service: LocalJobService) -> None:
        reader = service.subscribe()
        job = service.submit(Request(SUM))
        deaths: list[float] = []
        while len(deaths) < 4:
            event = await anext(reader)
            if isinstance(event, JobEvent) and event.kind == "worker" and event.data["state"] == "dead":
                assert event.data["reason"] == "exit code 7"
                deaths.append(event.at)
        assert deaths[3] - deaths[2] > 0.4
        queued = service.get(job.id)
        assert queued is not None and queued.state == "queued"  # it is nobody's fault but the pack's

    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "jobtoys.py").write_text("import os\nos._exit(7)\n", encoding="utf-8")
    in_service(tmp_path, work, backoff=(0.1, 10.0))
