"""What a command is, and the options that several of them share. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEED_MAX: Final = 2**64 - 1
FILE_HELP: Final = (
    "a workflow (.yaml, .json), a picture that holds one (.png, .webp), the name of an example, or - for standard input"
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, a line of help, its options, and what it does with them (returns the exit code)."""

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    call: Callable[[argparse.Namespace], int]


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """`-v` and `--config`, which every command has."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a configuration with values for options (default: ~/.config/nodegraph/nodegraph.toml)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more; show tracebacks of errors")


def add_json(parser: argparse.ArgumentParser, text: str) -> None:
    """`--json`, with what it prints."""
    parser.add_argument("--json", action="store_true", help=text)


def add_nodes(parser: argparse.ArgumentParser) -> None:
    """Where nodes are looked for, beside those of installed packs."""
    parser.add_argument(
        "--nodes", action="append", type=Path, default=[], metavar="DIR", help="a folder with node packs (repeatable)"
    )
    parser.add_argument(
        "--custom-nodes",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a folder with node packs for ComfyUI; they are programs that run with your rights (repeatable)",
    )
    parser.add_argument(
        "--no-custom-nodes", action="store_true", help="load no packs for ComfyUI, whatever the configuration says"
    )
    parser.add_argument(
        "--allow-pack",
        action="append",
        default=[],
        metavar="NAME",
        help="of the packs for ComfyUI, load only this one (repeatable)",
    )


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Where nodes, models and input pictures are looked for."""
    add_nodes(parser)
    parser.add_argument(
        "--model-dir",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a folder with models, instead of ./models (repeatable)",
    )
    parser.add_argument(
        "--extra-model-paths",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="further folders of models (default: extra_model_paths.yaml here or beside ./models; repeatable)",
    )
    parser.add_argument(
        "--allow-pickle",
        action="store_true",
        help="also read models from pickles (.ckpt, .pt, .bin), as weights only; safetensors files are the safe choice",
    )
    parser.add_argument(
        "--input-dir",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a folder with input pictures, instead of ./input (repeatable)",
    )


def add_ray(parser: argparse.ArgumentParser) -> None:
    """What is asked of a Ray cluster."""
    parser.add_argument(
        "--ray-vram",
        type=gigabytes,
        default=0.0,
        metavar="GB",
        help="memory that each device of a Ray cluster has to have, by what its machines say of themselves as vram_gb",
    )
    parser.add_argument(
        "--ray-wait",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for machines that a Ray cluster adds when they are asked for (default: 0, what it does "
        "not have is told at once)",
    )
    parser.add_argument(
        "--allow-unauthenticated-ray",
        action="store_true",
        help="also use a Ray cluster that asks for no token: whoever reaches it can run any program on it",
    )


def gigabytes(text: str) -> float:
    """A number of gigabytes as an option; raises ArgumentTypeError for anything else."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < 1e6:
        raise argparse.ArgumentTypeError(f"it is a number of gigabytes such as 24, not {text!r}")
    return found


def add_cache_dir(parser: argparse.ArgumentParser) -> None:
    """Where results are kept."""
    parser.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help="where results are kept (default: ~/.cache/nodegraph)"
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """How results and models are kept."""
    parser.add_argument(
        "--cache",
        choices=("auto", "memory", "off", "refresh"),
        help="auto: reuse results and keep new ones; memory: keep new ones in memory only; off: run every node; "
        "refresh: run every node and keep the new results (default: auto)",
    )
    add_cache_dir(parser)
    parser.add_argument(
        "--cache-size", type=amount, metavar="BYTES", help="what results may take on the disk (default: 20GB)"
    )
    parser.add_argument(
        "--cache-free", type=amount, metavar="BYTES", help="what stays free on that disk (default: 1GB)"
    )
    parser.add_argument("--cache-memory", type=amount, metavar="BYTES", help="memory for results (default: 2GB)")
    parser.add_argument(
        "--model-memory", type=amount, metavar="BYTES", help="memory for loaded models, such as 12GB (default: 8GB)"
    )
    add_remote_cache(parser)


def add_remote_cache(parser: argparse.ArgumentParser) -> None:
    """Where results are shared with other machines."""
    parser.add_argument(
        "--remote-cache",
        type=address,
        metavar="ADDRESS",
        help="results that other machines share: s3://bucket/prefix, file:///folder or memory://name",
    )
    parser.add_argument(
        "--remote-cache-mode",
        choices=("read", "read-write"),
        help="read: take results from there only; read-write: add new ones, too (default: read-write)",
    )
    parser.add_argument(
        "--remote-cache-timeout",
        type=seconds,
        metavar="SECONDS",
        help="how long a run may wait for it (default: 10)",
    )


def address(text: str) -> str:
    """An address of a remote cache as an option; raises ArgumentTypeError for anything else."""
    from nodegraph.cache.address import address_of

    try:
        address_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def seconds(text: str) -> float:
    """A number of seconds as an option; raises ArgumentTypeError for anything else."""
    from nodegraph.execution.config import seconds_of

    found = seconds_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"it is a number of seconds such as 10, not {text!r}")
    return found


def amount(text: str) -> int:
    """An amount of bytes as an option; raises ArgumentTypeError for anything else."""
    from nodegraph.execution.config import bytes_of

    found = bytes_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"it is an amount such as 500MB or 12GB, not {text!r}")
    return found


def add_params(parser: argparse.ArgumentParser) -> None:
    """Values for the workflow's parameters."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the value of a parameter (repeatable)",
    )
    parser.add_argument("--params", type=Path, metavar="FILE", help="a YAML or JSON file with values of parameters")
    parser.add_argument(
        "--seed",
        type=seed_number,
        metavar="N",
        help="a number or random: the parameter 'seed', or without it every seed that is written as a number",
    )


def seed_number(text: str) -> int | str:
    """A seed as an option, or `random`; raises ArgumentTypeError for what cannot be one."""
    if text == "random":
        return text
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed <= SEED_MAX:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {SEED_MAX}, or random, not {text!r}")
    return seed


def positive_number(text: str) -> int:
    """A whole number of at least 1 as an option; raises ArgumentTypeError for anything else."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is a whole number of at least 1, not {text!r}")
    return int(text)
