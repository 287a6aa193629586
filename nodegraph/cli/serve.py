"""`nodegraph serve`: the queue, its workers, and the server in front of them."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nodegraph.cli.command import Command, add_cache, add_folders, add_ray, add_verbose, positive_number

if TYPE_CHECKING:
    from nodegraph.execution.settings import Settings
    from nodegraph.jobs.settings import JobSettings
    from nodegraph.server.settings import ServerSettings

TOKEN: Final = "NODEGRAPH_TOKEN"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=port_number, default=8188, metavar="N", help="the port (default: 8188)")
    parser.add_argument(
        "--token",
        help=f"what clients have to know, also ${TOKEN}; without it only this machine's own address is listened on",
    )
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name that the server goes by, such as that of a proxy (repeatable)",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="the queue, its history and saved workflows (default: ~/.local/share/nodegraph)",
    )
    parser.add_argument(
        "--output-dir", type=Path, default=Path("output"), metavar="DIR", help="where pictures go (default: output)"
    )
    add_folders(parser)
    parser.add_argument(
        "--devices",
        default="auto",
        metavar="LIST",
        help="one worker for each of these, such as cpu or cuda:0,cuda:1 (default: auto, one for the fastest there is)",
    )
    parser.add_argument(
        "--engine",
        default="local",
        metavar="NAME",
        help="where jobs run: local are processes of this machine; ray, ray:HOST:PORT or ray:local a Ray cluster, of "
        "which each job has one device if --devices names several, and all of them if not (default: local)",
    )
    add_ray(parser)
    parser.add_argument("--dtype", default="auto", choices=("auto", "fp32", "fp16", "bf16"), help="of denoising models")
    parser.add_argument("--vae-dtype", default="auto", choices=("auto", "fp32", "fp16", "bf16"), help="of autoencoders")
    parser.add_argument("--threads", type=positive_number, metavar="N", help="CPU threads of a worker's torch")
    add_cache(parser)
    parser.add_argument(
        "--limit",
        type=limit,
        action="append",
        default=[],
        metavar="NAME=N",
        help="how much is taken from clients, such as body=64000000 or sockets=50 (repeatable; see 'The server')",
    )
    parser.add_argument("--frontend", choices=("comfyui",), help="the web app at /, if its package is installed")
    parser.add_argument("--open", action="store_true", help="open a browser when the server listens")
    parser.add_argument(
        "--grace", type=positive_number, default=10, metavar="SECONDS", help="for workers to end a step when stopping"
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="lines for people, or JSON objects"
    )
    add_verbose(parser)


def port_number(text: str) -> int:
    """A port as an option; 0 is any free one. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def limit(text: str) -> tuple[str, int]:
    """A limit of the server as an option: its name, and a number. Raises ArgumentTypeError."""
    from nodegraph.server.settings import ServerLimits

    names = [field.name for field in fields(ServerLimits)]
    name, _, number = text.partition("=")
    if name not in names or not number.isascii() or not number.isdigit() or not 0 < int(number) < 1 << 63:
        raise argparse.ArgumentTypeError(f"a limit is NAME=N, not {text!r}; names are {', '.join(names)}")
    return name, int(number)


def call(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from nodegraph.cli.serving import run_server
    from nodegraph.cli.setup import settings_of
    from nodegraph.errors import Problem, ProblemError
    from nodegraph.execution.settings import is_ray

    if not is_ray(arguments.engine) and arguments.engine != "local":
        hint = "it is local, or ray with or without an address"
        raise ProblemError(
            Problem("bad_value", f"a server has no engine called {arguments.engine!r}", got=arguments.engine, hint=hint)
        )
    settings = settings_of(arguments)
    if is_ray(arguments.engine):
        from nodegraph.engines.ray_cluster import check_options
        from nodegraph.execution.engine import ray_options

        check_options(ray_options(settings))  # here, and not in workers that would die of it again and again
    devices, settings = settings.devices or ("auto",), replace(settings, devices=())
    jobs, server = job_settings(arguments, settings, devices), server_settings(arguments, settings)
    return run_server(jobs, server, arguments)


def data_dir(arguments: argparse.Namespace) -> Path:
    """Where the queue is kept: `nodegraph` below $XDG_DATA_HOME, or below ~/.local/share."""
    from nodegraph.execution.settings import xdg_home

    named: Path | None = arguments.data_dir
    return named if named is not None else xdg_home("XDG_DATA_HOME", ".local/share") / "nodegraph"


def job_settings(arguments: argparse.Namespace, settings: Settings, devices: tuple[str, ...]) -> JobSettings:
    """How the queue and its workers are set up."""
    from nodegraph.jobs.settings import JobSettings

    return JobSettings(
        data_dir=data_dir(arguments),
        execution=settings,
        nodes=tuple(arguments.nodes),
        devices=devices,
        threads=arguments.threads,
    )


def server_settings(arguments: argparse.Namespace, settings: Settings) -> ServerSettings:
    """How the server listens."""
    from nodegraph.server.settings import ServerLimits, ServerSettings

    roots = settings.roots(None)
    return ServerSettings(
        host=arguments.host,
        port=arguments.port,
        output=roots.output,
        input=roots.input[0],
        temp=roots.temp,
        models=roots.models,
        extra_models=roots.extra_models,
        data_dir=data_dir(arguments),
        cache_dir=settings.cache_dir,
        token=arguments.token or os.environ.get(TOKEN) or None,
        allowed_hosts=tuple(arguments.allow_host),
        frontend=arguments.frontend,
        limits=ServerLimits(**dict(arguments.limit)),
    )


COMMAND = Command("serve", "listen for jobs, and do them one after another", add_options, call)
