"""When memory runs out: telling it from other errors, and making room by letting go of models that nobody uses."""

from __future__ import annotations

import errno
import gc
import re
import sys
from collections.abc import Generator
from contextlib import contextmanager

from nodegraph.context import ModelPool

#: How libraries say that memory ran out, beside errors of a type of their own.
NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")
UNITS = {"b": 0, "bytes": 0, "kib": 10, "mib": 20, "gib": 30, "tib": 40, "pib": 50, "eib": 60}
_ASKED = re.compile(r"(?:tried|unable) to allocate ([\d.]+) ?(bytes|[kmgtpe]ib|b)\b", re.IGNORECASE)


class OutOfMemory(MemoryError):
    """A node's want of memory. asked: bytes that it did not get, if its error tells; models: bytes of those in use."""

    def __init__(self, error: BaseException, models: int) -> None:
        super().__init__(str(error))
        self.asked = bytes_asked_for(str(error))
        self.models = models


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on a GPU or a CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in NO_MEMORY)


def bytes_asked_for(message: str) -> int | None:
    """How much memory was asked for in vain, by the message of the error."""
    found = _ASKED.search(message)
    return None if found is None else round(float(found[1]) * 2 ** UNITS[found[2].lower()])


def make_room(pool: ModelPool) -> int:
    """Let go of the models that nobody uses, and of what is kept for reuse; returns the bytes of the models.

    To be called where nothing holds the error any more: its traceback holds what the failed attempt held.
    """
    freed = pool.drop_idle()
    gc.collect()
    torch = sys.modules.get("torch")  # who never used it has nothing to give back
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return freed


@contextmanager
def letting_go(pool: ModelPool) -> Generator[None]:
    """What is raised inside for want of memory becomes OutOfMemory, and leaves no idle model behind."""
    try:
        yield
    except BaseException as error:
        if not is_out_of_memory(error):
            raise
        short = error if isinstance(error, OutOfMemory) else OutOfMemory(error, pool.used)
        make_room(pool)
        if short is error:
            raise
        raise short from error
