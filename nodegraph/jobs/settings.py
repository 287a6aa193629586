"""How the queue and its workers are set up, and what bounds them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from nodegraph.execution.settings import Settings


@dataclass(frozen=True, slots=True)
class JobSettings:
    """How jobs are kept and run.

    data_dir: where the queue and its history lie; one service at a time uses it. execution: how workers run (the device
    is set for each). nodes: folders with node packs. devices: one worker for each. warm: workers import torch while
    they have nothing to do. previews: nodes show what they are making. threads: CPU threads of a worker, None for all.

    queue_length, queue_bytes: what may wait. history_length, history_bytes: what is remembered of ended jobs, the
    newest. event_count, event_bytes: what is remembered of events, those of open jobs and the newest.

    cancel_grace: seconds that a cancelled job may go on before its worker is killed. hang_seconds: how long a worker
    may give no sign of life. beat_seconds: how often it gives one. start_seconds: how long it may take to come up.
    ask_seconds: how long a question may take, such as a check, before whoever asked is told to come again.
    backoff: seconds before a worker that died is replaced, doubled for each death in a row, and the longest wait.
    """

    data_dir: Path
    execution: Settings = field(default_factory=Settings)
    nodes: tuple[Path, ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    warm: bool = True
    previews: bool = True
    threads: int | None = None
    queue_length: int = 50_000
    queue_bytes: int = 1 << 30
    history_length: int = 10_000
    history_bytes: int = 1 << 30
    event_count: int = 200_000
    event_bytes: int = 256 << 20
    cancel_grace: float = 10.0
    hang_seconds: float = 120.0
    beat_seconds: float = 1.0
    start_seconds: float = 120.0
    ask_seconds: float = 30.0
    backoff: tuple[float, float] = (0.25, 30.0)
