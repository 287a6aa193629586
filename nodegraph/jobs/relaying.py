"""What is logged in workers, on its way into the log of the server, which is the one that people look at."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any, Final

from nodegraph.jobs.frames import FrameWriter

LOG: Final = logging.getLogger("nodegraph.worker")
OWN: Final = ("nodegraph", "nodes")
MOST: Final = 2_000  # characters of a message


class Relay(logging.Handler):
    """Sends records to the supervisor: our own from INFO on, of libraries and packs only warnings and errors."""

    def __init__(self, writer: FrameWriter) -> None:
        super().__init__(logging.INFO)
        self.writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; when nobody reads any more, the worker is about to end."""
        if record.levelno < logging.WARNING and record.name.split(".")[0] not in OWN:
            return
        with contextlib.suppress(Exception):
            facts = {"level": record.levelno, "from": record.name[:200], "message": record.getMessage()[:MOST]}
            self.writer.send({"say": "log", **facts})


def relay_logs(writer: FrameWriter) -> None:
    """Have all records of this process sent to the supervisor."""
    logging.getLogger().addHandler(Relay(writer))
    for name in OWN:
        logging.getLogger(name).setLevel(logging.INFO)


def take_record(device: str, data: Mapping[str, Any]) -> None:
    """Log here what was logged in a worker."""
    LOG.log(int(data["level"]), "%s, %s: %s", device, data["from"], data["message"])
