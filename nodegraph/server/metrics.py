"""/metrics: numbers for Prometheus, read from the service when somebody asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, get_args

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nodegraph.jobs.model import JobService, State
from nodegraph.server.keys import SERVICE

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Numbers:
    """What is counted of requests, in a registry of its own, so that two servers in one process do not mix."""

    def __init__(self, service: JobService) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("nodegraph_requests", "Requests answered.", labels, registry=self.registry)
        self.seconds = Histogram(
            "nodegraph_request_seconds", "Time to answer.", ("route",), registry=self.registry, buckets=BUCKETS
        )
        self.registry.register(OfService(service))


NUMBERS: Final[web.AppKey[Numbers]] = web.AppKey("numbers", Numbers)


class OfService(Collector):
    """Jobs and workers, as they are now."""

    def __init__(self, service: JobService) -> None:
        self.service = service

    def collect(self) -> Iterator[Metric]:
        """The families of numbers."""
        jobs = GaugeMetricFamily("nodegraph_jobs", "Jobs in the queue and the history.", labels=["state"])
        for state in get_args(State):
            jobs.add_metric([state], self.service.count((state,)))
        yield jobs
        yield GaugeMetricFamily("nodegraph_queue_paused", "1 while no job is begun.", value=int(self.service.paused))
        up = GaugeMetricFamily("nodegraph_worker_up", "1 for a worker that is ready or busy.", labels=["device"])
        memory = GaugeMetricFamily("nodegraph_worker_memory_bytes", "Memory of a worker.", labels=["device"])
        restarts = GaugeMetricFamily("nodegraph_worker_restarts", "Times a worker was replaced.", labels=["device"])
        for worker in self.service.workers():
            up.add_metric([worker.device], int(worker.state in ("ready", "busy")))
            memory.add_metric([worker.device], worker.memory)
            restarts.add_metric([worker.device], worker.restarts)
        yield from (up, memory, restarts)


@web.middleware
async def metrics_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count a request by its route, never by its address, which anyone can make up."""
    began = time.perf_counter()
    resource = request.match_info.route.resource
    route = "none" if resource is None else resource.canonical
    method = request.method if request.method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "OTHER"
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        numbers = request.app[NUMBERS]
        numbers.requests.labels(method, route, str(status)).inc()
        numbers.seconds.labels(route).observe(time.perf_counter() - began)


async def get_metrics(request: web.Request) -> web.Response:
    """The numbers as text."""
    return web.Response(body=generate_latest(request.app[NUMBERS].registry), headers={"Content-Type": TEXT})


def add_metrics(app: web.Application) -> None:
    """Add the numbers and their route; the middleware is the application's, outermost."""
    app[NUMBERS] = Numbers(app[SERVICE])
    app.router.add_get("/metrics", get_metrics)
