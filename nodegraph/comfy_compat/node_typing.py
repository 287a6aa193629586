"""Names of socket types and bases for classes of nodes, for packs that write them with types."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, TypedDict


class IO(StrEnum):
    """Names of socket types."""

    STRING = "STRING"
    IMAGE = "IMAGE"
    MASK = "MASK"
    LATENT = "LATENT"
    BOOLEAN = "BOOLEAN"
    INT = "INT"
    FLOAT = "FLOAT"
    COMBO = "COMBO"
    CONDITIONING = "CONDITIONING"
    SAMPLER = "SAMPLER"
    SIGMAS = "SIGMAS"
    GUIDER = "GUIDER"
    NOISE = "NOISE"
    CLIP = "CLIP"
    CONTROL_NET = "CONTROL_NET"
    VAE = "VAE"
    MODEL = "MODEL"
    CLIP_VISION = "CLIP_VISION"
    CLIP_VISION_OUTPUT = "CLIP_VISION_OUTPUT"
    STYLE_MODEL = "STYLE_MODEL"
    GLIGEN = "GLIGEN"
    UPSCALE_MODEL = "UPSCALE_MODEL"
    AUDIO = "AUDIO"
    VIDEO = "VIDEO"
    ANY = "*"
    NUMBER = "FLOAT,INT"
    PRIMITIVE = "STRING,FLOAT,INT,BOOLEAN"


class InputTypeOptions(TypedDict, total=False):
    """What can be said of an input beside its type."""

    default: Any
    tooltip: str
    lazy: bool
    rawLink: bool
    forceInput: bool
    defaultInput: bool
    min: float
    max: float
    step: float
    round: float | bool
    display: str
    multiline: bool
    placeholder: str
    dynamicPrompts: bool
    label_on: str
    label_off: str
    image_upload: bool
    options: list[Any]
    control_after_generate: bool


class HiddenInputTypeDict(TypedDict, total=False):
    """Inputs that the program fills in."""

    node_id: str
    unique_id: str
    prompt: str
    extra_pnginfo: str
    dynprompt: str


class InputTypeDict(TypedDict, total=False):
    """What `INPUT_TYPES` gives."""

    required: dict[str, Any]
    optional: dict[str, Any]
    hidden: HiddenInputTypeDict


class ComfyNodeABC:
    """A base for classes of nodes; it does nothing."""

    DESCRIPTION: ClassVar[str]
    CATEGORY: ClassVar[str]
    EXPERIMENTAL: ClassVar[bool]
    DEPRECATED: ClassVar[bool]
    INPUT_IS_LIST: ClassVar[bool]
    OUTPUT_IS_LIST: ClassVar[tuple[bool, ...]]
    OUTPUT_NODE: ClassVar[bool]
    RETURN_TYPES: ClassVar[tuple[Any, ...]]
    RETURN_NAMES: ClassVar[tuple[str, ...]]
    OUTPUT_TOOLTIPS: ClassVar[tuple[str, ...]]
    FUNCTION: ClassVar[str]

    @classmethod
    def INPUT_TYPES(cls) -> InputTypeDict:  # noqa: N802
        """The inputs."""
        return {"required": {}}


class CheckLazyMixin:
    """Asks for every lazy input that has not been computed."""

    def check_lazy_status(self, **kwargs: Any) -> list[str]:
        """Names of the inputs that are still needed."""
        return [name for name, value in kwargs.items() if value is None]
