"""How a session runs: folders, device, number format, and where results are kept."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from nodegraph.cache.address import DEFAULT_TIMEOUT, Mode
from nodegraph.cache.disk import DEFAULT_BUDGET, DEFAULT_FREE
from nodegraph.cache.memory import DEFAULT_BUDGET as DEFAULT_MEMORY
from nodegraph.cache.pool import DEFAULT_BUDGET as DEFAULT_MODEL_MEMORY
from nodegraph.context import Roots
from nodegraph.resources import models_folder
from nodegraph.workflow.document import CachePolicy, Workflow


def is_ray(engine: str) -> bool:
    """Whether the name of an engine means a Ray cluster, with or without its address."""
    return engine == "ray" or engine.startswith("ray:")


def default_cache_folder() -> Path:
    """`nodegraph` below $XDG_CACHE_HOME, or below ~/.cache."""
    return xdg_home("XDG_CACHE_HOME", ".cache") / "nodegraph"


def xdg_home(variable: str, fallback: str) -> Path:
    """The folder that an XDG variable names, or `fallback` below the user's home."""
    given = os.environ.get(variable, "")
    if Path(given).is_absolute():  # the specification has relative ones ignored
        return Path(given)
    try:
        return Path.home() / fallback
    except RuntimeError:  # a user without a home
        return Path(fallback).absolute()


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session runs.

    cache: the policy for nodes that say nothing else. cache_dir: where results outlive the process; None keeps them in
    memory only. engine: where heavy nodes run: "local" is this process, "processes" are workers of their own, "ray" or
    "ray:ADDRESS" those of a Ray cluster (for what else is said of that, see `engines.ray_cluster.RayOptions`). devices:
    those of the workers, one for each. extra_models: (kind, folder) pairs of further folders of models. custom_nodes:
    folders with node packs for ComfyUI. allow_packs: the only ones of these to load, None for all. allow_pickle:
    whether models may be read from pickles, which torch then reads as weights only. cache_size, free_space: bytes that
    results may take on disk, and that stay free there. cache_memory, model_memory: bytes that results and loaded models
    may take in memory. remote_cache: the address of results that other machines share, whether they are read only, and
    for how many seconds a run may wait for them.
    """

    output: Path = Path("output")
    inputs: tuple[Path, ...] = (Path("input"),)
    models: tuple[Path, ...] = (Path("models"),)
    temp: Path | None = None
    device: str = "auto"
    engine: str = "local"
    devices: tuple[str, ...] = ()
    ray_first: int = 0
    ray_unauthenticated: bool = False
    ray_wait: float = 0.0
    ray_vram: float = 0.0
    dtype: str = "auto"
    vae_dtype: str = "auto"
    extra_models: tuple[tuple[str, Path], ...] = ()
    custom_nodes: tuple[Path, ...] = ()
    allow_packs: tuple[str, ...] | None = None
    allow_pickle: bool = False
    previews: bool = False
    cache: CachePolicy = "auto"
    cache_dir: Path | None = field(default_factory=default_cache_folder)
    cache_size: int = DEFAULT_BUDGET
    free_space: int = DEFAULT_FREE
    cache_memory: int = DEFAULT_MEMORY
    model_memory: int = DEFAULT_MODEL_MEMORY
    remote_cache: str | None = None
    remote_cache_mode: Mode = "read-write"
    remote_cache_timeout: float = DEFAULT_TIMEOUT

    def roots(self, workflow: Workflow | None) -> Roots:
        """The file roots of a run: inputs are also looked for beside the workflow, models in the shipped folder."""
        beside = (Path(workflow.path).parent,) if workflow is not None and workflow.path else ()
        inputs = tuple(dict.fromkeys((*self.inputs, *beside)))
        models = tuple(dict.fromkeys((*self.models, models_folder())))
        temp = self.temp or self.output / "temp"
        return Roots(inputs, self.output, temp, models, self.extra_models, self.allow_pickle)
