"""A worker process of an engine: `python -m nodegraph.engines.process_worker`, spoken to through pipes.

What nodes print goes to standard error. When the driver is gone, so is the worker.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import threading
from typing import BinaryIO, cast

from nodegraph.engines.child import die_with_parent, take_pipes
from nodegraph.engines.frames import Frame, FrameWriter, read_frame
from nodegraph.engines.hello import Setup, hello_data


def main() -> None:
    """The process."""
    source, target = take_pipes()
    stream, writer = cast(BinaryIO, os.fdopen(source, "rb", buffering=0)), FrameWriter(target)
    die_with_parent()
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


if __name__ == "__main__":
    main()
