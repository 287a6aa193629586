"""What a node may do to the world outside its inputs and outputs: its `Context`, and nothing else.

A node that wants one declares a parameter `context: Context = NO_CONTEXT`. The executor passes a live one; a plain
call (a unit test, a script) gets `NO_CONTEXT`, in which progress goes nowhere and nothing is ever cancelled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, TypeVar

from nodegraph.errors import Problem, ProblemError, shorten
from nodegraph.files import FileDigests

if TYPE_CHECKING:
    import PIL.Image
    import torch

T = TypeVar("T")
#: What an object takes: its bytes, or the bytes of each piece of it, by a name that tells one piece from any other.
Size = int | Mapping[Hashable, int]
#: About how many bytes an object will take; computed only when it has to be loaded.
Estimate = int | Callable[[], int]

#: Folders of models by kind, each with the names that it goes by.
MODEL_FOLDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "unet": ("unet", "diffusion_models"),
        "clip": ("clip", "text_encoders"),
        "controlnet": ("controlnet", "t2i_adapter"),
    }
)
MODEL_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


class Cancelled(BaseException):
    """Raised inside a node when its run was cancelled; a BaseException, so that `except Exception` lets it through."""


class CancelToken:
    """Says, across threads, that a run should stop. Setting it twice is harmless."""

    __slots__ = ("_event", "_listeners")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._listeners: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Ask for the stop; whoever subscribed is told."""
        self._event.set()
        for listener in tuple(self._listeners):
            listener()

    def subscribe(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Have `listener` called on cancellation (in the cancelling thread); returns how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()


@dataclass(frozen=True, slots=True)
class Roots:
    """The folders that nodes may read from and write to. Names given by users never lead outside them.

    allow_pickle: whether models in there may be read from pickles, which torch then reads as weights only.
    """

    input: tuple[Path, ...] = (Path("input"),)
    output: Path = Path("output")
    temp: Path = Path("temp")
    models: tuple[Path, ...] = (Path("models"),)
    extra_models: tuple[tuple[str, Path], ...] = ()
    allow_pickle: bool = False

    def find_input(self, name: str) -> Path | None:
        """The file `name` in the first input folder that has it; None when there is none or it lies outside."""
        return next((found for root in self.input if (found := inside(root, name)) is not None), None)

    def model_folders(self, kind: str) -> tuple[Path, ...]:
        """The folders that hold models of a kind (`checkpoints`, `loras`, `vae` …), the first one counting most."""
        names = MODEL_FOLDERS.get(kind, (kind,))
        own = [root / name for root in self.models for name in names]
        return tuple(dict.fromkeys([*own, *(folder for extra, folder in self.extra_models if extra in names)]))

    def find_model(self, kind: str, name: str) -> Path | None:
        """The file or folder `name` in the first folder of that kind that has it. Links in there are followed."""
        folders = self.model_folders(kind)
        return next(
            (found for root in folders if (found := inside(root, name, folders=True, links=True)) is not None), None
        )

    def list_models(self, kind: str, suffixes: tuple[str, ...] = MODEL_SUFFIXES) -> list[str]:
        """Names of the model files of a kind, looked up now."""
        return self.list_files(self.model_folders(kind), suffixes)

    def list_files(self, folders: tuple[Path, ...], suffixes: tuple[str, ...]) -> list[str]:
        """Names (relative, with `/`) of the files with one of `suffixes` in `folders`, sorted, hidden ones left out."""
        names: set[str] = set()
        for folder in folders:
            if folder.is_dir():
                for path in folder.rglob("*"):
                    relative = path.relative_to(folder)
                    hidden = any(part.startswith(".") for part in relative.parts)
                    if path.suffix.lower() in suffixes and not hidden and path.is_file():
                        names.add(relative.as_posix())
        return sorted(names)


def inside(root: Path, name: str, *, folders: bool = False, links: bool = False) -> Path | None:
    """The regular file (or folder, if allowed) `name` below `root`, or None.

    `name` must be relative, and the real path, links followed, must stay below the real root, unless `links` may lead
    out of it.
    """
    if not name or "\0" in name or "\\" in name or name.startswith(("/", "~")) or ".." in name.split("/"):
        return None
    try:
        real_root = root.resolve()
        real = (root / name).resolve()
        ok = (links or real.is_relative_to(real_root)) and (
            real.is_file() or (folders and real.is_dir() and real != real_root)
        )
    except (OSError, ValueError):
        return None
    return real if ok else None


class ModelPool(Protocol):
    """Keeps loaded models alive between nodes and runs, within a budget of bytes."""

    def get(self, key: str, load: Callable[[], T], size: Callable[[T], Size], estimate: Estimate = 0) -> T:
        """The object under `key`, loaded now if need be.

        size: its bytes once it is there, or those of each of its pieces, by names that tell one piece from any other:
        pieces that several objects share count once. estimate: about how many bytes it will take, so that room can be
        made before it is loaded.
        """
        ...

    def lease(self) -> AbstractContextManager[ModelPool]:
        """A view of the pool that keeps what is got through it until it is closed."""
        ...

    @property
    def used(self) -> int:
        """Bytes of everything that is loaded."""
        ...

    def drop_idle(self) -> int:
        """Drop what nobody uses now; returns the bytes that this frees."""
        ...


class NoPool:
    """A pool that keeps nothing."""

    def get(self, key: str, load: Callable[[], T], size: Callable[[T], Size], estimate: Estimate = 0) -> T:
        return load()

    def lease(self) -> AbstractContextManager[ModelPool]:
        return nullcontext(self)

    @property
    def used(self) -> int:
        return 0

    def drop_idle(self) -> int:
        return 0


class Checkpoint(Protocol):
    """Where a long node keeps how far it got, so that its next run after a kill or a cancellation goes on from there.

    A state is made of numbers, texts, bytes, tensors, and lists, tuples and mappings of such. It belongs to the action:
    the same node with the same inputs. Going on from a state must end in what a run from the beginning ends in.
    """

    def load(self) -> object | None:
        """The state that was saved last, or None to start at the beginning."""
        ...

    def due(self) -> bool:
        """Whether enough time went by, since the start or the last save, for another save to be worth its while."""
        ...

    def save(self, state: object) -> None:
        """Keep `state` in the place of the one before. Never raises where there is no room for it."""
        ...

    def discard(self) -> None:
        """Forget the state: the node's result is there."""
        ...


class NoCheckpoint:
    """A checkpoint that keeps nothing."""

    def load(self) -> object | None:
        return None

    def due(self) -> bool:
        return False

    def save(self, state: object) -> None:
        return

    def discard(self) -> None:
        return


class GraphView(Protocol):
    """The graph of a run as nodes may look at it, also with the nodes that other nodes have added so far."""

    def node(self, id: str) -> Mapping[str, object] | None:
        """A node as in ComfyUI's API format: class_type, inputs (links are [id, output number]); None if not there."""
        ...

    def ids(self) -> Collection[str]:
        """The ids of all nodes."""
        ...

    def parent(self, id: str) -> str | None:
        """The node that added this one, None for a node of the workflow."""
        ...

    def display(self, id: str) -> str:
        """The node of the workflow that this one is shown as."""
        ...


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a picture says of its origin: the workflow text, the API-format prompt, the run's facts, and the file of
    ComfyUI's editor (JSON) if a client sent one along with the prompt that it made of it."""

    workflow: str | None = None
    prompt: str | None = None
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    editor: str | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """One node's door to the outside, for one run. `call` counts the calls of a node that is called for each item."""

    node: str = ""
    roots: Roots = Roots()
    device: str = "cpu"
    dtype: str = "auto"
    vae_dtype: str = "auto"
    pool: ModelPool = field(default_factory=NoPool)
    checkpoint: Checkpoint = field(default_factory=NoCheckpoint)
    provenance: Provenance = Provenance()
    graph: GraphView | None = None
    call: int = 0
    digest_file: Callable[[Path], str] | None = None
    previews: bool = True
    watched: Callable[[], bool] = field(default=lambda: True)
    token: CancelToken | None = None
    on_progress: Callable[[float, float], None] | None = None
    on_preview: Callable[[PIL.Image.Image], None] | None = None
    warn: Callable[[str], None] = field(default=lambda message: None)

    @property
    def allow_pickle(self) -> bool:
        """Whether models may be read from pickles."""
        return self.roots.allow_pickle

    def progress(self, value: float, total: float) -> None:
        """Say how far this node is, and stop here if the run was cancelled."""
        self.check_cancelled()
        if self.on_progress is not None:
            self.on_progress(value, total)

    @property
    def wants_previews(self) -> bool:
        """Whether anybody looks at previews just now; making one costs time."""
        return self.previews and self.on_preview is not None and self.watched()

    def preview(self, image: PIL.Image.Image) -> None:
        """Show an intermediate picture."""
        if self.on_preview is not None and self.previews:
            self.on_preview(image)

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the run was cancelled. Long loops call this (or `progress`) once a turn."""
        if self.token is not None and self.token.cancelled:
            raise Cancelled

    def generator(self, seed: int, device: str = "cpu") -> torch.Generator:
        """A fresh random generator seeded with `seed` (0 … 2^64 - 1); the only source of chance a node may use."""
        import torch

        return torch.Generator(device=device).manual_seed(seed)

    def digest(self, path: Path) -> str:
        """Content digest of a file or folder, remembered between runs where the executor does so. Raises OSError."""
        return (self.digest_file or FileDigests().digest)(path)

    def input_file(self, name: str) -> Path:
        """The input file `name`; raises a `ProblemError` naming the folders searched when it is not there."""
        path = self.roots.find_input(name)
        if path is None:
            raise ProblemError(
                Problem(
                    code="bad_value",
                    message=f"there is no input file {shorten(name)}",
                    node=self.node or None,
                    got=name,
                    expected="a file in " + ", ".join(str(root) for root in self.roots.input),
                    hint="put the file into one of " + ", ".join(str(root) for root in self.roots.input),
                )
            )
        return path


#: The context of a plain call: progress goes nowhere, nothing is cancelled.
NO_CONTEXT = Context()
