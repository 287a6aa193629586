"""How a node begins: its arguments, its context, and the errand that it is to an engine, with what would come after."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from nodegraph.cache.checkpoints import Checkpoints
from nodegraph.context import CancelToken, Context, GraphView
from nodegraph.engines.contract import Errand
from nodegraph.engines.work import Job
from nodegraph.execution import events
from nodegraph.execution.ahead import ahead_of, ident_of
from nodegraph.execution.arguments import arguments_of, job_of, plain_arguments
from nodegraph.execution.board import Board
from nodegraph.execution.keeping import Keeper
from nodegraph.execution.view import RunView
from nodegraph.sockets.flow import Blocked

if TYPE_CHECKING:
    import PIL.Image


class Starter:
    """Prepares the nodes of one run. `tell` is told what nodes say while they run, from whatever thread that is."""

    def __init__(
        self, board: Board, context: Context, token: CancelToken, tell: Callable[[events.Event], None]
    ) -> None:
        self.board, self.context, self.token, self.tell = board, context, token, tell
        self.checkpoints: Checkpoints | None = None
        self.view = RunView(board)
        self._told: dict[int, Hashable] = {}  # nodes that an engine was told ahead, and that have not begun

    def arguments(self, i: int) -> dict[str, object] | Blocked:
        """What a node is called with, or why it is not to run."""
        board, node = self.board, self.board.nodes[i]
        if board.unusual or node.spec.lazy_inputs or node.spec.raw_inputs:
            return arguments_of(board, i)
        return plain_arguments(board, node)

    def job(self, i: int, arguments: dict[str, object]) -> Job:
        """What a node is to do. Raises ProblemError for values that it does not take."""
        return job_of(self.board, i, arguments, self.context.roots, partial(self.context_of, i))

    def errand(self, i: int, job: Job, keeper: Keeper, *, chains: bool) -> Errand:
        """A node's work for an engine; if that is of use, with what would come after."""
        board = self.board
        begun = self._told.pop(i, None) is not None
        ahead = ahead_of(board, i) if chains and not begun else ()
        self._told.update((each.number, each.ident) for each in ahead)
        resumes = self.checkpoints_for(i) is not None
        keep = partial(keeper.keep, i)
        return Errand(ident_of(board, i), job, board.keys[i], keep, self._door(i, job), resumes, ahead)

    def unasked(self, i: int | None = None) -> Sequence[Hashable]:
        """The ident of a node, or those of all nodes, that an engine was told ahead in vain."""
        if i is not None:
            ident = self._told.pop(i, None)
            return () if ident is None else (ident,)
        idents = tuple(self._told.values())
        self._told.clear()
        return idents

    def _door(self, i: int, job: Job) -> Context:
        """The context that a job has in its arguments; a new one if it has none."""
        name = job.node.spec.context_name
        given = next((each[name] for each in job.calls if each is not None), None) if name is not None else None
        return given if isinstance(given, Context) else self.context_of(i)

    def context_of(self, i: int) -> Context:
        """The context of a node."""
        key, checkpoints = self.board.keys[i], self.checkpoints_for(i)
        return context_of(self.context, self.board.nodes[i].id, self.token, self.tell, checkpoints, key, self.view)

    def checkpoints_for(self, i: int) -> Checkpoints | None:
        """None for a node that is not to go on from an interrupted run: it is light, or told to run anew."""
        spec = self.board.nodes[i].spec
        anew = i in self.board.fresh or i in self.board.in_memory
        return None if spec.light or spec.context_name is None or anew else self.checkpoints


def context_of(
    base: Context,
    name: str,
    token: CancelToken,
    tell: Callable[[events.Event], None],
    checkpoints: Checkpoints | None = None,
    key: bytes | None = None,
    graph: GraphView | None = None,
) -> Context:
    """The context of the node `name`: the run's, with what the node says turned into events.

    With `checkpoints` and an action `key` the node may go on from where an interrupted run of it stopped.
    """

    def progress(value: float, total: float) -> None:
        tell(events.Progress(name, value, total))

    def preview(image: PIL.Image.Image) -> None:
        tell(events.Preview(name, image))

    def warn(message: str) -> None:
        tell(events.Warned(name, message))

    return replace(
        base,
        node=name,
        graph=graph,
        token=token,
        on_progress=progress,
        on_preview=preview if base.previews else None,
        warn=warn,
        checkpoint=base.checkpoint if checkpoints is None or key is None else checkpoints.of(key, warn),
    )
