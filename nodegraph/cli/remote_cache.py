"""What `nodegraph cache` does with a remote cache."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nodegraph.cache.remote_upkeep import RemoteFreed, RemoteInfo
    from nodegraph.errors import Problem
    from nodegraph.execution.settings import Settings

DAY: Final = 24 * 3600.0
MOST_DAYS: Final = 100_000.0


def days(text: str) -> float:
    """A number of days as an option; raises ArgumentTypeError for anything else."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= MOST_DAYS:
        raise argparse.ArgumentTypeError(f"it is a number of days such as 30, not {text!r}")
    return found


def remote_missing(settings: Settings) -> Problem | None:
    """That there is no remote cache to look after, if so."""
    from nodegraph.errors import Problem

    if settings.remote_cache is not None:
        return None
    hint = "say where it is with --remote-cache, or in the configuration"
    return Problem("cache_unusable", "there is no remote cache", hint=hint)


def info_of_remote(settings: Settings) -> RemoteInfo | None:
    """What the remote cache holds, if there is one; trouble with it is told on standard error."""
    from nodegraph.cache.remote_upkeep import remote_info
    from nodegraph.cli.terminal import show_problem
    from nodegraph.errors import Place, Problem
    from nodegraph.execution.session import remote_of

    def warn(message: str) -> None:
        show_problem(Problem("cache_unusable", message, Place(), severity="warning"))

    remote = remote_of(settings, warn)
    if remote is None:
        return None
    try:
        return remote_info(remote)
    finally:
        remote.close()


def gc_remote(settings: Settings, age: float) -> RemoteFreed:
    """Delete what is older than `age` days in the remote cache. Raises ProblemError if it does not answer."""
    from nodegraph.cache.address import address_of, without_secrets
    from nodegraph.cache.objects import objects_at
    from nodegraph.cache.remote_upkeep import collect_remote
    from nodegraph.errors import Problem, ProblemError

    assert settings.remote_cache is not None
    address = address_of(settings.remote_cache)
    try:
        return collect_remote(objects_at(address, settings.remote_cache_timeout), age * DAY)
    except Exception as error:
        told = f"the remote cache {address} cannot be cleared of old results: {without_secrets(str(error))}"
        raise ProblemError([Problem("cache_unusable", told)]) from error
