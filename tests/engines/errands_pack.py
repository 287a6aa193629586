"""A node pack for tests of engines: nodes that say where they run, wait, fail, and die. Loaded from its file, also by
worker processes."""

from __future__ import annotations

import os
import select
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import node
from nodegraph.sockets import Conditioning, Image, Latent, Model, Patch, Saved
from nodegraph.sockets.flow import Blocked, Call, Expansion, Lazy, Out

if TYPE_CHECKING:
    from torch import Tensor


class Mixed(NamedTuple):
    latent: Latent
    conditioning: Conditioning
    text: str
    number: float


def note(folder: str, what: str) -> None:
    """Write a line where the test can read it."""
    with (Path(folder) / "notes").open("a", encoding="utf-8") as file:
        file.write(what + "\n")


@node(category="test", light=True)
def Recipe(name: str = "a", path: str = "") -> Model:
    """A model that is nowhere."""
    return Model("toy", path, f"content of {name}", "unet")


@node(category="test")
def Noise(seed: int = 0, dtype: str = "float32", folder: str = "") -> Latent:
    """A latent of a number format."""
    import torch

    if folder:
        note(folder, f"Noise {seed}")
    drawn = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    return {"samples": drawn.to(getattr(torch, dtype))}


@node(category="test")
def Large(megabytes: int = 100) -> Latent:
    """Many bytes."""
    import torch

    return {"samples": torch.ones(1, megabytes, 512, 512)}


@node(category="test")
def Blend(a: Latent, b: Latent, by: float = 0.5, folder: str = "") -> Latent:
    """Some of both."""
    if folder:
        note(folder, "Blend")
    return {"samples": (a["samples"].float() * (1 - by) + b["samples"].float() * by)}


@node(category="test")
def Everything(latent: Latent, text: str, number: float) -> Mixed:
    """Values of all kinds."""
    samples: Tensor = latent["samples"]
    options: dict[str, Any] = {"pooled": samples[0, 0].bfloat16(), "size": (8, 8), "names": ["a", "\ud800", "ä"]}
    return Mixed(latent, Conditioning([(samples.flatten(2), options)]), text + "!", number * 2)


@node(category="test")
def Strong(model: Model, latent: Latent, strength: float = 1.0, folder: str = "") -> Latent:
    """What depends on a model's recipe and a latent."""
    if folder:
        note(folder, f"Strong {os.getpid()}")
    return {"samples": latent["samples"] * strength * (1 + len(model.patches))}


@node(category="test", light=True)
def Patched(model: Model, name: str = "p") -> Model:
    """The model with one more change."""
    return model.patched(Patch("toy", name, settings=(("strength", 0.5),)))


@node(category="test", deterministic=False)
def Where(model: Model | None = None) -> int:
    """The process that it runs in."""
    return os.getpid()


@node(category="test", deterministic=False, light=True)
def WhereLight() -> int:
    """The process that a light node runs in."""
    return os.getpid()


@node(category="test", deterministic=False)
async def WhereAsync() -> int:
    """The process that an `async` node runs in."""
    return os.getpid()


@node(category="test", deterministic=False)
def WhereLazy(value: Lazy[int]) -> int:
    """The process that a node with a lazy input runs in."""
    value.get()
    return os.getpid()


@node(category="test", deterministic=False, output_node=True)
def WhereSaved(value: int) -> Saved:
    """The process that a node which saves runs in."""
    return Saved(shown={"text": [os.getpid()]})


@node(category="test")
def Grown(seed: int = 3) -> Expansion[Latent]:
    """More nodes."""
    calls = {"one": Call("Noise", {"seed": seed}), "two": Call("Blend", {"a": Out("one"), "b": Out("one")})}
    return Expansion(calls, (Out("two"),))


@node(category="test")
def Items(count: int = 3) -> list[Latent]:
    """Several latents."""
    import torch

    return [{"samples": torch.full((1, 4, 2, 2), float(i))} for i in range(count)]


@node(category="test", deterministic=False)
def MaybeNothing(nothing: bool, model: Model | None = None) -> Latent:
    """No value at all, if that is wanted."""
    import torch

    return Blocked("there is nothing") if nothing else {"samples": torch.ones(1, 4, 2, 2)}  # type: ignore[return-value]


@node(category="test")
def Says(steps: int = 3, context: Context = NO_CONTEXT) -> Image:
    """A node that says all that nodes can say."""
    import PIL.Image
    import torch

    context.warn("careful")
    for i in range(steps):
        context.progress(i + 1, steps)
        if context.wants_previews:
            context.preview(PIL.Image.new("RGB", (4, 2), (i, 20, 30)))
    return Image(torch.zeros(1, 2, 4, 3))


@node(category="test")
def Fails(kind: str = "plain", latent: Latent | None = None) -> Latent:
    """A node that fails in the way that is asked for."""
    if kind == "memory":
        raise MemoryError("out of memory: tried to allocate 3.00 GiB")
    if kind == "problem":
        raise ProblemError(Problem("bad_value", "this value is not good", input="kind", hint="take another"))
    raise ValueError("it does not work")


@node(category="test")
def Waits(
    pipe: str, name: str = "", context: Context = NO_CONTEXT, after: int = 0, latent: Latent | None = None
) -> str:
    """Says by a named pipe that it has begun, and works until its run is cancelled, or a word comes by another pipe."""
    Path(pipe).write_text(f"{os.getpid()}\n")
    back = os.open(pipe + ".back", os.O_RDONLY | os.O_NONBLOCK)
    try:
        while not (select.select([back], [], [], 0.01)[0] and os.read(back, 1)):
            context.progress(1, 2)
    finally:
        os.close(back)
    return name + "done"


@node(category="test", light=True)
def Tells(pipe: str, one: int, two: int) -> int:
    """Says by a named pipe that two results have come to the driver, which has kept them."""
    Path(pipe).write_text("kept\n")
    return 1


@node(category="test")
def Stubborn(pipe: str, context: Context = NO_CONTEXT) -> str:
    """Says that it has begun, and stops for nobody."""
    Path(pipe).write_text(f"{os.getpid()}\n")
    signal.pause()
    return "never"


@node(category="test")
def Dies(folder: str, times: int = 1, latent: Latent | None = None) -> str:
    """Kills its process the first few times."""
    note(folder, "Dies")
    tries = (Path(folder) / "notes").read_text(encoding="utf-8").split().count("Dies")
    if tries <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return f"lived after {tries} tries"


@node(category="test")
def Steps(folder: str, dies_at: int = 3, context: Context = NO_CONTEXT) -> int:
    """Five steps, each kept; the process dies before one of them the first time."""
    done = context.checkpoint.load()
    for step in range(done if isinstance(done, int) else 0, 5):
        if step == dies_at and done is None:
            os.kill(os.getpid(), signal.SIGKILL)
        note(folder, f"step {step}")
        context.checkpoint.save(step + 1)
    return 5


@node(category="test", deterministic=False)
def Odd(text: str = "a") -> Latent:
    """A value that is of no use in another process."""
    return {"samples": {text}}  # type: ignore[typeddict-item]


@node(category="test", deterministic=False)
def Meets(mine: str, other: str) -> str:
    """Goes on only if another node runs at the same time."""
    with ExitStack() as stack:
        # Each is opened when the other node opens it too, in the same order.
        ends = {
            path: stack.enter_context(Path(path).open("w" if path == mine else "r")) for path in sorted((mine, other))
        }
        ends[mine].write("here\n")
        ends[mine].flush()
        return ends[other].readline().strip()
