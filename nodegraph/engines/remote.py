"""The engine whose work is done by workers elsewhere: other processes, or other machines.

It chooses a worker for each call (`placement`), sends it there by its transport, and has what comes back kept by the
driver. A worker that dies takes nothing with it but its time: what it was at is sent again, a node twice at the most.
A cancelled call is asked to stop, and its worker ended if it does not. What cannot travel is done in this process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

from nodegraph.context import Cancelled
from nodegraph.engines.calls import Call, Entry, entries_of, gave_up, message_of, needs_of, no_worker_left
from nodegraph.engines.contract import Buffer, Errand, Hello, Message, Transport, travels
from nodegraph.engines.hello import misfit
from nodegraph.engines.local import LocalEngine
from nodegraph.engines.messages import Step, read_failure, read_outcome, steps_of
from nodegraph.engines.placement import Fleet, Go, Unsatisfiable, Worker
from nodegraph.engines.work import Worked
from nodegraph.errors import Problem, ProblemError
from nodegraph.files import FileDigests
from nodegraph.sockets.packing import BadFile, Unstorable

LOG: Final = logging.getLogger(__name__)
AGAIN: Final = 2  # how often a node is sent again whose worker died
GRACE: Final = 10.0  # seconds that a cancelled call has to stop
CHECKPOINT_SECONDS: Final = 20.0


class RemoteEngine:
    """Does errands by the workers of a transport, which are started when the first errand comes.

    expected: what each worker's hello has to agree with. checkpoints: where long nodes note how far they got, if workers
    see the same files. grace: seconds that a cancelled call has before its worker is ended.
    """

    chains = True

    def __init__(
        self,
        transport: Transport,
        expected: Callable[[], Hello],
        *,
        files: FileDigests | None = None,
        checkpoints: Path | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        grace: float = GRACE,
    ) -> None:
        self.transport, self.expected, self.grace = transport, expected, grace
        self.files = files or FileDigests()
        self.checkpoints = (str(checkpoints.absolute()), checkpoint_seconds) if checkpoints is not None else None
        self.width = transport.width
        self._local = LocalEngine()
        self._threads = ThreadPoolExecutor(2 * transport.width + 2, thread_name_prefix="nodegraph-engine")
        self._lock = threading.RLock()
        self._fleet = Fleet()
        self._entries: dict[Hashable, Entry] = {}
        self._calls: dict[int, Call] = {}  # those that are with a worker
        self._waiting: deque[Call] = deque()
        self._numbers = 0
        self._opened = self._closed = False
        self._returning: set[str] = set()
        self._broken: ProblemError | None = None
        self._homely: set[str] = set()  # node types whose values proved not to travel
