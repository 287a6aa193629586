"""IP-Adapters: pictures as prompts."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, Range, node
from nodegraph.sockets import ClipVisionOutput, IPAdapter, Model
from nodegraph.sockets.codecs import digest as digest_of
from nodegraph.sockets.handles import Patch
from nodes.models import reading_model
from nodes.networks import digest_of_file, file_in, files_in, found, unchanged_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nodes.diffusion.sigmas import ModelSigmas

#: The kind of behaviour that these nodes add to a model.
BEHAVIOUR = "ip_adapter"

find_ip_adapter = file_in("ipadapter")


@dataclass(frozen=True, slots=True, eq=False)
class ImagePrompt:
    """What a behaviour of the kind `ip_adapter` brings along: the network, and encoded pictures [n, D] or [n, T, D].

    negative: what the prompt that avoids is shown; None is nothing.
    """

    adapter: IPAdapter
    shown: Tensor
    negative: Tensor | None = None

    @property
    def digest(self) -> str:
        negative = None if self.negative is None else digest_of(self.negative).hex()
        parts = (self.adapter.digest, digest_of(self.shown).hex(), negative)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


@node(category="loaders", display_name="Load IP-Adapter", numeric=False)
def IPAdapterModelLoader(
    ipadapter_file: Annotated[
        str,
        Choices(files_in("ipadapter"), find_ip_adapter, kind="IP-Adapter", folder="ipadapter"),
        Help("a safetensors file in the models' folder ipadapter"),
    ],
    context: Context = NO_CONTEXT,
) -> IPAdapter:
    """Load an IP-Adapter, which makes a model attend to a picture beside its prompt."""
    from nodes.diffusion.ip_adapter import read_ip_adapter_file

    path = found(find_ip_adapter, ipadapter_file, "IP-Adapter", context)
    kind = reading_model(lambda: read_ip_adapter_file(path))
    return IPAdapter("ip_adapter", str(path), digest_of_file(path, context), kind)


@node(category="conditioning/ip_adapter", display_name="Apply IP-Adapter", numeric=False)
def IPAdapterApply(
    model: Model,
    ipadapter: IPAdapter,
    clip_vision_output: Annotated[ClipVisionOutput, Help("the pictures, by the vision model the IP-Adapter wants")],
    weight: Annotated[float, Range(-1, 5, step=0.05), Help("how much the pictures count; 0 not at all")] = 1.0,
    start_percent: Annotated[float, Range(0, 1, step=0.001), Help("where they begin to; 0 is pure noise")] = 0.0,
    end_percent: Annotated[float, Range(0, 1, step=0.001), Help("where they cease to; 1 is the picture")] = 1.0,
    negative: Annotated[ClipVisionOutput | None, Help("pictures to stay away from")] = None,
) -> Model:
    """Have a model draw after pictures as well as after its prompt. Several in a row add up."""
    if weight == 0:
        return model
    layer = "image_embeds" if ipadapter.part == "plain" else "penultimate_hidden_states"
    prompt = ImagePrompt(ipadapter, clip_vision_output[layer], None if negative is None else negative[layer])
    settings = (("end_percent", end_percent), ("start_percent", start_percent), ("weight", weight))
    return model.behaving(Patch(BEHAVIOUR, prompt.digest, settings=settings, payload=prompt))


def ip_adapter_weights(adapter: IPAdapter, context: Context) -> dict[str, dict[str, Tensor]]:
    """The weights of an IP-Adapter by part, kept by the context's pool. Raises ProblemError."""
    from nodes.diffusion.ip_adapter import load_ip_adapter
    from nodes.diffusion.loading import files_stamp

    path = Path(adapter.path)
    stamp = reading_model(lambda: files_stamp([path]))
    return context.pool.get(
        f"{adapter.weights}/{stamp}",
        lambda: unchanged_file(adapter, context, lambda: load_ip_adapter(path)),
        lambda parts: sum(tensor.nbytes for part in parts.values() for tensor in part.values()),
    )


def install_ip_adapter(clone: nn.Module, behaviour: Patch, context: Context, *, sigmas: ModelSigmas) -> None:
    """Have a clone of a UNet attend to the pictures of a behaviour of the kind `ip_adapter`. Raises ProblemError.

    sigmas: those of the model, for where the pictures begin and cease to count. Rows that avoid are told by
    `cross_attention_kwargs={"ip_adapter_masks": {"rows": rows}}`, [B] of 1 and, for those, 0.
    """
    from nodes.diffusion.ip_adapter import WrongModel, apply_ip_adapter

    prompt = cast(ImagePrompt, behaviour.payload)
    weights = ip_adapter_weights(prompt.adapter, context)
    weight = float(behaviour.setting("weight", 1.0))
    try:
        apply_ip_adapter(clone, weights, prompt.shown, weight, prompt.negative, _window(behaviour, sigmas))
    except WrongModel as error:
        hint = "take an IP-Adapter for this model, and the vision model that it wants"
        raise ProblemError(Problem(code="bad_value", message=str(error), input="ipadapter", hint=hint)) from error


def _window(behaviour: Patch, sigmas: ModelSigmas) -> tuple[float, float]:
    """The first and the last timestep at which the pictures count."""
    import torch

    def timestep(percent: float) -> float:
        return float(sigmas.timestep(torch.tensor([sigmas.percent_to_sigma(percent)])))

    start, end = (float(behaviour.setting(name, 0.0)) for name in ("start_percent", "end_percent"))
    return math.inf if start <= 0 else timestep(start), -math.inf if end >= 1 else timestep(end)
