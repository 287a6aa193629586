"""From options to what a session needs: settings and node types, with folders and devices checked first."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from nodegraph.engines.child import THREAD_VARIABLES
from nodegraph.errors import Place, Problem, ProblemError, did_you_mean
from nodegraph.workflow.read import similar_file

if TYPE_CHECKING:
    from nodegraph.execution.config import Config
    from nodegraph.execution.settings import Settings
    from nodegraph.registry import Registry

DEVICE: Final = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
CACHE_OPTIONS: Final = (
    ("cache", "cache"),
    ("cache_dir", "cache_dir"),
    ("cache_size", "cache_size"),
    ("cache_free", "free_space"),
    ("cache_memory", "cache_memory"),
    ("remote_cache", "remote_cache"),
    ("remote_cache_mode", "remote_cache_mode"),
    ("remote_cache_timeout", "remote_cache_timeout"),
    ("model_memory", "model_memory"),
)


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings that the options ask for. Raises ProblemError for folders and devices that cannot be used."""
    from nodegraph.execution.config import user_settings
    from nodegraph.execution.model_paths import find_model_paths, read_model_paths, read_pack_paths

    models: list[Path] = arguments.model_dir
    inputs: list[Path] = arguments.input_dir
    problems = [*missing_folders("--model-dir", models), *missing_folders("--input-dir", inputs)]
    given: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("device", "dtype", "vae_dtype") if hasattr(arguments, name)
    }
    if "device" in given and (problem := bad_device(given["device"])):
        problems.append(problem)
    if hasattr(arguments, "engine"):
        given |= engine_options(arguments, problems)
    output = Path(getattr(arguments, "output_dir", "output"))
    if hasattr(arguments, "output_dir") and (problem := unwritable(output)):
        problems.append(problem)
    if problems:
        raise ProblemError(problems)
    defaults = user_settings(config_named(arguments))
    paths = arguments.extra_model_paths or find_model_paths(tuple(models) or defaults.models)
    extra = tuple(pair for path in paths for pair in read_model_paths(path))
    packs = tuple(folder for path in paths for folder in read_pack_paths(path))
    given |= cache_options(arguments)
    return replace(
        defaults,
        output=output,
        inputs=tuple(inputs) or defaults.inputs,
        models=tuple(models) or defaults.models,
        extra_models=extra,
        **packs_of(arguments, (*defaults.custom_nodes, *packs), defaults.allow_packs),
        allow_pickle=arguments.allow_pickle,
        **given,
    )


def engine_options(arguments: argparse.Namespace, problems: list[Problem]) -> dict[str, Any]:
    """The settings of the options about where heavy nodes run; what is wrong with them goes to `problems`."""
    from nodegraph.engines.hello import one_kind
    from nodegraph.execution.settings import is_ray

    devices = tuple([name.strip() for name in str(arguments.devices).split(",") if name.strip()])
    found = [bad_device(name) for name in devices] or [None]
    problems += [problem for problem in found if problem is not None]
    several = hasattr(arguments, "device") or is_ray(arguments.engine)  # and not one for each job
    mixed = one_kind(devices) if several and not any(found) else None
    if mixed is not None:
        problems.append(mixed)
    elif devices and getattr(arguments, "device", "auto") not in ("auto", *devices):
        message = f"--device {arguments.device} is not among --devices {','.join(devices)}"
        problems.append(Problem("usage", message, got=arguments.device, hint="give one of the two options"))
    return {
        "engine": arguments.engine,
        "devices": devices,
        "ray_vram": arguments.ray_vram,
        "ray_wait": arguments.ray_wait,
        "ray_unauthenticated": arguments.allow_unauthenticated_ray,
    }


def cache_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of the options about results that were given."""
    options = [(setting, getattr(arguments, option, None)) for option, setting in CACHE_OPTIONS]
    return {setting: value for setting, value in options if value is not None}


def config_named(arguments: argparse.Namespace) -> Config:
    """The configuration that holds: the one that was named, or the user's."""
    from nodegraph.execution.config import load_config

    return load_config(arguments.config)


def packs_of(
    arguments: argparse.Namespace, known: Sequence[Path], allowed: tuple[str, ...] | None
) -> dict[str, tuple[Path, ...] | tuple[str, ...] | None]:
    """The settings of packs for ComfyUI: those of the options, added to what is known without them."""
    if arguments.no_custom_nodes:
        return {"custom_nodes": ()}
    folders = tuple(dict.fromkeys((*arguments.custom_nodes, *known)))
    return {"custom_nodes": folders, "allow_packs": tuple(arguments.allow_pack) or allowed}


def registry_of(arguments: argparse.Namespace, settings: Settings | None = None) -> Registry:
    """The node types of all packs, those of `--nodes` and `--custom-nodes` too.

    settings: of the options, where the command has folders of models. Raises ProblemError for a folder that is not
    there.
    """
    from nodegraph.execution.config import user_settings
    from nodegraph.execution.model_paths import find_model_paths, read_pack_paths
    from nodegraph.registry import load_registry

    folders: list[Path] = arguments.nodes
    custom: list[Path] = arguments.custom_nodes
    problems = [*missing_folders("--nodes", folders), *missing_folders("--custom-nodes", custom)]
    if problems:
        raise ProblemError(problems)
    if settings is None:
        settings = user_settings(config_named(arguments))
        packs = [folder for path in find_model_paths(settings.models) for folder in read_pack_paths(path)]
        known = (*settings.custom_nodes, *packs)
        settings = replace(settings, **packs_of(arguments, known, settings.allow_packs))
    if settings.custom_nodes:
        keep_apart()
    return load_registry(
        folders,
        custom_nodes=settings.custom_nodes,
        allow_packs=settings.allow_packs,
        roots=settings.roots(None),
    )


def keep_apart() -> None:
    """Have what packs print while their nodes are called go to standard error, and not among the program's output."""
    if not isinstance(sys.stdout, Apart):
        sys.stdout = cast(TextIO, Apart(sys.stdout))


class Apart:
    """Standard output, except for what is written inside a call of a pack's node."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write to where it belongs."""
        from nodegraph.comfy_compat.current import this_call

        return (self.stream if this_call() is None else sys.stderr).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def limit_threads(threads: int | None) -> None:
    """Have torch use `threads` CPU threads. It reads these variables when it is first imported, which is later."""
    if threads is not None:
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))


def missing_folders(option: str, folders: Sequence[Path]) -> list[Problem]:
    """A problem for each folder that is not there."""
    return [
        Problem(
            "file_not_found",
            f"{option}: {'this is not a folder' if folder.exists() else 'there is no such folder'}",
            Place(str(folder)),
            got=str(folder),
            hint=similar_file(folder),
        )
        for folder in folders
        if not folder.is_dir()
    ]


def unwritable(folder: Path) -> Problem | None:
    """Why nothing could be saved below `folder`, told before hours of work rather than after; None if it could."""
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists() or path.is_symlink())
    if not nearest.is_dir():
        reason = f"{nearest} is not a folder"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        reason = f"{nearest} may not be written to"
    else:
        return None
    message = f"pictures cannot be saved: {reason}"
    return Problem("cannot_write", message, Place(str(folder)), hint="choose another folder with --output-dir")


def bad_device(name: str) -> Problem | None:
    """What is wrong with the name of a device; whether the machine has it, shows when a model is loaded."""
    if DEVICE.fullmatch(name):
        return None
    hint = did_you_mean(name, ("auto", "cpu", "cuda", "mps")) or "use auto, cpu, cuda, cuda:1 or mps"
    return Problem("bad_device", f"there is no kind of device called {name!r}", got=name, hint=hint)
