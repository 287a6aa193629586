"""What a command is, and the options that several of them share. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEED_MAX: Final = 2**64 - 1
FILE_HELP: Final = (
    "a workflow (.yaml, .json), a picture that holds one (.png), the name of an example, or - for standard input"
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its name, a line of help, its options, and what it does with them (returns the exit code)."""

    name: str
    summary: str
    add_options: Callable[[argparse.ArgumentParser], None]
    call: Callable[[argparse.Namespace], int]


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """`-v`, which every command has."""
    parser.add_argument("-v", "--verbose", action="store_true", help="say more; show tracebacks of errors")


def add_json(parser: argparse.ArgumentParser, text: str) -> None:
    """`--json`, with what it prints."""
    parser.add_argument("--json", action="store_true", help=text)


def add_nodes(parser: argparse.ArgumentParser) -> None:
    """Where nodes are looked for, beside those of installed packs."""
    parser.add_argument(
        "--nodes", action="append", type=Path, default=[], metavar="DIR", help="a folder with node packs (repeatable)"
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
        "--input-dir",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="a folder with input pictures, instead of ./input (repeatable)",
    )


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
        help="the parameter 'seed'; in a workflow without it, every seed that is written as a number",
    )


def seed_number(text: str) -> int:
    """A seed as an option; raises ArgumentTypeError for what cannot be one."""
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed <= SEED_MAX:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {SEED_MAX}, not {text!r}")
    return seed


def positive_number(text: str) -> int:
    """A whole number of at least 1 as an option; raises ArgumentTypeError for anything else."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"it is a whole number of at least 1, not {text!r}")
    return int(text)
