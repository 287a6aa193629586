"""GLIGEN: named things in boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, Multiline, Range, node
from nodegraph.sockets import Clip, Conditioning, Gligen
from nodes.models import module_of, reading_model, tokenizer_of
from nodes.networks import digest_of_file, file_in, files_in, found, module_from_file

if TYPE_CHECKING:
    from nodes.diffusion.gligen import Box, BoxRunner

POSITION = "position"
PIXELS_PER_LATENT = 8
Side = Annotated[int, Range(8, 16384, step=8)]
Place = Annotated[int, Range(0, 16384, step=8)]

find_gligen = file_in("gligen")


@node(category="loaders", display_name="Load GLIGEN Model", numeric=False)
def GLIGENLoader(
    gligen_name: Annotated[
        str,
        Choices(files_in("gligen"), find_gligen, kind="GLIGEN model", folder="gligen"),
        Help("a safetensors file in the models' folder gligen"),
    ],
    context: Context = NO_CONTEXT,
) -> Gligen:
    """Load a GLIGEN model, which puts named things into boxes."""
    from nodes.diffusion.gligen import read_gligen_file

    path = found(find_gligen, gligen_name, "GLIGEN model", context)
    reading_model(lambda: read_gligen_file(path))
    return Gligen("gligen", str(path), digest_of_file(path, context), "gligen")


@node(category="conditioning/gligen", display_name="GLIGEN Textbox Apply")
def GLIGENTextBoxApply(
    conditioning_to: Conditioning,
    clip: Clip,
    gligen_textbox_model: Gligen,
    text: Annotated[str, Multiline(), Help("what is to be in the box")],
    width: Side = 64,
    height: Side = 64,
    x: Place = 0,
    y: Place = 0,
    context: Context = NO_CONTEXT,
) -> Conditioning:
    """Put a named thing into a box of the picture. Several in a row make up a scene.

    Place and size of the box are in pixels.
    """
    import torch

    from nodes.diffusion.prompt import encode_prompt

    with torch.inference_mode(False), torch.no_grad():
        _, pooled = encode_prompt(text, tokenizer_of(clip, context), module_of(clip, context))
    box = (pooled[0].float().cpu(), *(side // PIXELS_PER_LATENT for side in (height, width, y, x)))
    return Conditioning(
        [
            (prompt, {**options, "gligen": (POSITION, gligen_textbox_model, [*_boxes(options.get("gligen")), box])})
            for prompt, options in conditioning_to
        ]
    )


def _boxes(told: Any) -> Sequence[Any]:
    return told[2] if told is not None else ()


def gligen_runner(
    told: tuple[str, Gligen, Sequence[Box]], context: Context, *, size: tuple[int, int] | None = None
) -> BoxRunner:
    """What draws things in boxes, for entries with the option `gligen`; its weights are loaded now.

    told: the value of that option. size: height and width of the whole latent, needed where parts of it are drawn by
    themselves. Raises ProblemError; the runner's `attached` raises `nodes.diffusion.gligen.WrongModel` for a UNet of
    another family.
    """
    from nodes.diffusion.gligen import BoxRunner, WrongModel, check_boxes, load_gligen

    _, gligen, boxes = told
    network = module_from_file(gligen, context, load_gligen, half=True)
    try:
        check_boxes(network, boxes)
    except WrongModel as error:
        hint = "take a GLIGEN model and a text encoder that were made for this model"
        raise ProblemError(
            Problem(code="bad_value", message=str(error), input="gligen_textbox_model", hint=hint)
        ) from error
    return BoxRunner(network, tuple(boxes), size)
