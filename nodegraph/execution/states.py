"""What can be with a node in a run."""

from __future__ import annotations

#: UNUSED: the run does not ask for it. HIT: its result is known. TODO: it is to run. OFF: its `when` does not hold.
UNUSED, HIT, TODO, DONE, FAILED, SKIPPED, OFF = range(7)
