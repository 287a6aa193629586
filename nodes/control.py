"""ControlNets and T2I-Adapters: recipes of networks that steer by a picture, and how a conditioning carries them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, Range, node
from nodegraph.sockets import Conditioning, ControlNet, Image, Model, Vae
from nodegraph.sockets.handles import Patch
from nodegraph.sockets.steering import Control
from nodes.foresight import BOTH, of_kind, steered
from nodes.gligen import gligen_runner as gligen_runner
from nodes.models import module_of, reading_model
from nodes.networks import digest_of_file, file_in, files_in, found, module_from_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from nodes.diffusion.control import ControlRunner
    from nodes.diffusion.sigmas import ModelSigmas

FOLDERS = ("controlnet", "t2i_adapter")
DIFFERENCE = "difference"
SHUFFLE = "shuffle"

find_control_net = file_in(*FOLDERS)
FORESEEN = of_kind(
    "control_net_name",
    find_control_net,
    ("controlnet", "t2i_adapter"),
    "a ControlNet",
    "CONTROL_NET",
    pickles=False,
)
ControlNetName = Annotated[
    str,
    Choices(files_in(*FOLDERS), find_control_net, kind="ControlNet", folder="controlnet"),
    Help("a safetensors file in the models' folder controlnet or t2i_adapter"),
]
Strength = Annotated[float, Range(0, 10, step=0.01), Help("how strongly the picture steers; 0 not at all")]
UnionType = Literal[
    "auto",
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
]


@node(
    category="loaders",
    display_name="Load ControlNet Model",
    numeric=False,
    foresee=FORESEEN,
)
def ControlNetLoader(control_net_name: ControlNetName, context: Context = NO_CONTEXT) -> ControlNet:
    """Load a ControlNet or a T2I-Adapter: one safetensors file, as its authors or as diffusers lay it out.

    Weights are read when a sampler first needs them.
    """
    net, difference = read_recipe(control_net_name, context)
    if difference:
        raise ProblemError(
            Problem(
                code="model_unreadable",
                message=f"'{control_net_name}' holds differences to the weights of a model",
                input="control_net_name",
                got=control_net_name,
                hint="load it with DiffControlNetLoader, which is given that model",
            )
        )
    return net


@node(
    category="loaders",
    display_name="Load ControlNet Model (diff)",
    numeric=False,
    foresee=FORESEEN,
)
def DiffControlNetLoader(
    model: Annotated[Model, Help("the model that the ControlNet was made for")],
    control_net_name: ControlNetName,
    context: Context = NO_CONTEXT,
) -> ControlNet:
    """Load a ControlNet that is kept as differences to the weights of a model; any other is loaded as it is."""
    net, difference = read_recipe(control_net_name, context)
    return net.patched(Patch(DIFFERENCE, model.weights, payload=model)) if difference else net


def read_recipe(name: str, context: Context) -> tuple[ControlNet, bool]:
    """The recipe of a file, by its header, and whether it holds differences. Raises ProblemError."""
    from nodes.diffusion.control_loading import read_control_file

    path = found(find_control_net, name, "ControlNet", context)
    file, _ = reading_model(lambda: read_control_file(path))
    net = ControlNet("control", str(path), digest_of_file(path, context), file.kind)
    # Nothing in the file tells it from others, and its authors name it so.
    if file.kind == "controlnet" and SHUFFLE in path.stem.lower():
        net = net.with_options(pooled=True)
    return net, file.difference


@node(category="conditioning/controlnet", numeric=False)
def SetUnionControlNetType(
    control_net: ControlNet,
    type: Annotated[UnionType, Help("what kind of picture the network will be shown")] = "auto",
) -> ControlNet:
    """Tell a union ControlNet which kind of picture it will be shown; other ControlNets do not mind."""
    return control_net.with_options(union_type=type)


@node(
    category="conditioning/controlnet",
    display_name="Apply ControlNet (OLD)",
    deprecated=True,
    numeric=False,
    foresee=steered(("conditioning", "CONDITIONING")),
)
def ControlNetApply(
    conditioning: Conditioning, control_net: ControlNet, image: Image, strength: Strength = 1.0
) -> Conditioning:
    """Let a picture steer what a prompt draws, and what is drawn without it, from the first step to the last."""
    control = Control(control_net, image, strength)
    return with_control(conditioning, control, both=True) if strength else conditioning


class Controlled(NamedTuple):
    """Both prompts, steered."""

    positive: Conditioning
    negative: Conditioning


@node(
    category="conditioning/controlnet",
    display_name="Apply ControlNet",
    numeric=False,
    foresee=steered(*BOTH),
)
def ControlNetApplyAdvanced(
    positive: Conditioning,
    negative: Conditioning,
    control_net: ControlNet,
    image: Annotated[Image, Help("what the network is shown: edges, depths, poses …")],
    strength: Strength = 1.0,
    start_percent: Annotated[float, Range(0, 1, step=0.001), Help("where it begins to steer; 0 is pure noise")] = 0.0,
    end_percent: Annotated[float, Range(0, 1, step=0.001), Help("where it ceases to; 1 is the picture")] = 1.0,
    vae: Annotated[Vae | None, Help("for networks that are shown a latent; most are not")] = None,
) -> Controlled:
    """Let a picture steer a part of the sampling. Several in a row steer together."""
    if strength == 0:
        return Controlled(positive, negative)
    control = Control(control_net, image, strength, start_percent, end_percent, vae)
    return Controlled(with_control(positive, control, both=False), with_control(negative, control, both=False))


def with_control(conditioning: Conditioning, control: Control, *, both: bool) -> Conditioning:
    """The same conditioning with one more network that steers it.

    both: it steers the other prompt as well, where nothing else does.
    """
    return Conditioning(
        [
            (
                context,
                {
                    **options,
                    "control": (*cast("Sequence[Control]", options.get("control", ())), control),
                    "control_apply_to_uncond": both,
                },
            )
            for context, options in conditioning
        ]
    )


def control_module(net: ControlNet, context: Context) -> nn.Module:
    """The module of a network that steers: a ControlNetModel, ControlNetUnionModel or T2IAdapter of diffusers."""
    from nodes.diffusion.control_loading import load_control

    def load(path: Path, device: torch.device, dtype: torch.dtype) -> nn.Module:
        return load_control(path, device, dtype, _base_weights(net, context))

    return module_from_file(net, context, load, half=True)


def _base_weights(net: ControlNet, context: Context) -> dict[str, Tensor] | None:
    """The weights that a file of differences is added to, if it is one."""
    bases = [patch.payload for patch in net.patches if patch.kind == DIFFERENCE]
    return module_of(cast(Model, bases[0]), context).state_dict() if bases else None


def control_runner(
    control: Control, context: Context, *, sigmas: ModelSigmas, size: tuple[int, int] | None = None
) -> ControlRunner:
    """What a network that steers adds inside a UNet, step by step; its weights are loaded now.

    sigmas: those of the model that is steered. size: height and width of the whole latent, needed where parts of it
    are drawn by themselves. Raises ProblemError for a file that cannot be used. The runner's `residuals` raises
    `nodes.diffusion.control.WrongModel` if the network was made for models of another family.
    """
    from nodes.diffusion.autoencoder import rgb
    from nodes.diffusion.control import ControlNetRunner, Hint, Span, T2IAdapterRunner

    module: Any = control_module(control.net, context)
    hint = Hint(rgb(control.hint).float(), size)
    span = Span(sigmas.percent_to_sigma(control.start_percent), sigmas.percent_to_sigma(control.end_percent))
    if control.net.part == "t2i_adapter":
        return T2IAdapterRunner(module, hint, span, control.strength)
    kind = _union_kind(control.net, module) if control.net.part == "controlnet_union" else -1
    return ControlNetRunner(module, hint, span, control.strength, bool(control.net.option("pooled", False)), kind)


def _union_kind(net: ControlNet, module: Any) -> int:
    """The number of the kind of picture that a union ControlNet was told of. Raises ProblemError."""
    from nodes.diffusion.control import UNION_KINDS

    name = str(net.option("union_type", "auto"))
    if name == "auto":
        return -1
    known = UNION_KINDS[: module.config.num_control_type]
    if name not in known:
        raise ProblemError(
            Problem(
                code="bad_value",
                message=f"this union ControlNet was not made for pictures of the kind '{name}'",
                got=name,
                expected="auto, " + ", ".join(known),
                hint="choose another kind with SetUnionControlNetType",
            )
        )
    return UNION_KINDS.index(name)
