"""The engine that the settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.context import Roots
from nodegraph.engines.contract import Engine, Hello, Transport
from nodegraph.engines.hello import Setup, hello_of, one_kind
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.ray_cluster import AUTO, RayOptions
from nodegraph.errors import Problem, ProblemError, did_you_mean
from nodegraph.execution.settings import Settings, is_ray
from nodegraph.files import FileDigests
from nodegraph.registry import Registry

ENGINES: Final = ("local", "processes", "ray")


def open_engine(settings: Settings, registry: Registry, files: FileDigests, checkpoints: Checkpoints | None) -> Engine:
    """The engine of a session; its workers start when there is something to do. Raises ProblemError."""
    kind = engine_of(settings)
    problem = one_kind(settings.devices)
    if problem is not None:
        raise ProblemError(problem)
    if kind == "local":
        return LocalEngine()
    from nodegraph.engines.remote import RemoteEngine

    return RemoteEngine(
        transport_of(kind, settings, registry),
        lambda: expected_hello(settings, registry),
        files=files,
        checkpoints=checkpoints.folder if checkpoints is not None else None,
        checkpoint_seconds=checkpoints.seconds if checkpoints is not None else 0.0,
    )


def transport_of(kind: str, settings: Settings, registry: Registry) -> Transport:
    """How an engine's workers are started and reached."""
    if kind == "ray":
        from nodegraph.engines.ray import RayTransport

        options = ray_options(settings)
        setup = setup_of(settings, settings.device, registry)
        return RayTransport(
            options,
            setup,
            lambda: expected_hello(settings, registry),
            named=len(settings.devices),
            first=settings.ray_first,
        )
    from nodegraph.engines.processes import Processes

    return Processes([setup_of(settings, device, registry) for device in settings.devices or (settings.device,)])


def ray_options(settings: Settings) -> RayOptions:
    """Which Ray cluster the settings mean, and what they ask of it."""
    address = settings.engine.partition(":")[2] or AUTO
    return RayOptions(address, settings.ray_unauthenticated, settings.ray_wait, settings.ray_vram)


def engine_of(settings: Settings) -> str:
    """Which engine it is: several devices want several processes. Raises ProblemError for one that there is not."""
    name = settings.engine
    if is_ray(name):
        return "ray"
    if name not in ENGINES:
        hint = did_you_mean(name, ENGINES) or f"it is one of {', '.join(ENGINES)}"
        raise ProblemError(Problem("bad_value", f"there is no engine called {name!r}", got=name, hint=hint))
    return "processes" if name == "local" and len(settings.devices) > 1 else name


def setup_of(settings: Settings, device: str, registry: Registry) -> Setup:
    """What a worker of this machine is made with."""
    roots: Roots = settings.roots(None)
    return Setup(
        device=device,
        dtype=settings.dtype,
        vae_dtype=settings.vae_dtype,
        nodes=tuple([str(Path(folder).absolute()) for folder in registry.folders]),
        allow_pickle=roots.allow_pickle,
        model_memory=settings.model_memory,
        near=True,
    )


def expected_hello(settings: Settings, registry: Registry) -> Hello:
    """What a worker's hello has to agree with: what this process would say."""
    device = settings.devices[0] if settings.devices else settings.device
    return hello_of(setup_of(settings, device, registry), registry)
