"""A worker process of an engine: `python -m nodegraph.engines.process_worker`, spoken to through pipes.

What nodes print goes to standard error. When the driver is gone, so is the worker.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from typing import BinaryIO, Final

from nodegraph.engines.frames import Frame, FrameWriter, read_frame
from nodegraph.engines.hello import Setup, hello_data

PR_SET_PDEATHSIG: Final = 1
SIGKILL: Final = 9


def main() -> None:
    """The process."""
    stream, writer = take_pipes()
    die_with_driver()
    first = read_frame(stream)
    if first is None:
        return
    setup = Setup.from_data(first.data["setup"])
    from nodegraph.engines.runner import Runner

    runner = Runner(setup)
    calls: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()

    def hear() -> None:
        with contextlib.suppress(OSError):
            while (frame := read_frame(stream)) is not None:
                match frame.data["say"]:
                    case "run":
                        calls.put(frame)
                    case "leave":
                        calls.put(None)
                    case _:
                        runner.control(frame.data)
        os._exit(0)  # nobody is left to work for

    threading.Thread(target=hear, daemon=True, name="hear").start()
    with contextlib.suppress(OSError):
        writer.send({"say": "hello", "hello": hello_data(runner.hello())})
        while (frame := calls.get()) is not None:
            runner.run(frame.data, frame.buffers, writer.send)
            frame = None
    sys.stdout.flush()
    os._exit(0)  # threads of nodes that never end do not matter


def take_pipes() -> tuple[BinaryIO, FrameWriter]:
    """The pipes to the driver, put where nodes do not find them: their input is empty, and what they print goes to
    standard error."""
    stream, descriptor = os.fdopen(os.dup(0), "rb", buffering=0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    return stream, FrameWriter(descriptor)  # type: ignore[return-value]


def die_with_driver() -> None:
    """Have the system end this process with the driver, even while a node holds everything up."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL)


if __name__ == "__main__":
    main()
