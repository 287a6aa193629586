"""Telling a want of memory from other errors. Nothing here imports torch."""

from __future__ import annotations

import errno

#: How the libraries say that memory ran out, beside errors of a type of their own.
NO_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "out of memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is not enough memory, on a GPU or a CPU, also to map a file."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    told = isinstance(error, RuntimeError) or type(error).__name__ == "SafetensorError"
    return told and any(words in str(error).lower() for words in NO_MEMORY)
