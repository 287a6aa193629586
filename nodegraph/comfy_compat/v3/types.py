"""Types of inputs and outputs in ComfyUI's second form: `Image.Input("image")`, `Int.Output()`, `Custom("X")`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, StrEnum
from typing import Any, ClassVar, TypeVar, cast

T = TypeVar("T", bound=type)
#: What an argument of an input is called as an option of the first form.
OPTIONS = {
    "raw_link": "rawLink",
    "force_input": "forceInput",
    "display_mode": "display",
    "dynamic_prompts": "dynamicPrompts",
    "upload": "upload",
}
UPLOADS = {"image_upload": "image_upload", "audio_upload": "audio_upload", "video_upload": "video_upload"}


class NumberDisplay(StrEnum):
    """How editors show a number."""

    number = "number"
    slider = "slider"
    gradient_slider = "gradient_slider"


class ControlAfterGenerate(StrEnum):
    """What editors do to a value after each run."""

    fixed = "fixed"
    increment = "increment"
    decrement = "decrement"
    randomize = "randomize"


class UploadType(StrEnum):
    """What may be uploaded for a choice of files."""

    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"


class FolderType(StrEnum):
    """The folders of files."""

    input = "input"
    output = "output"
    temp = "temp"


class Input:
    """An input: its id, and what else is said of it."""

    io_type: ClassVar[str] = "*"

    def __init__(self, id: str, display_name: str | None = None, optional: bool = False, **options: Any) -> None:
        self.id = id
        self.display_name = display_name
        self.optional = optional
        self.options: dict[str, Any] = {name: value for name, value in options.items() if value is not None}

    def entries(self) -> dict[str, tuple[bool, tuple[object, dict[str, Any]]]]:
        """Name → (optional, type and options in the first form); several where one stands for several."""
        return {self.id: (self.optional, (self.type_text(), self.first_form()))}

    def type_text(self) -> str:
        """The type's name in the first form."""
        return self.io_type

    def first_form(self) -> dict[str, Any]:
        """The options as the first form calls them."""
        options = {OPTIONS.get(name, name): _plain(value) for name, value in self.options.items()}
        upload = options.pop("upload", None)
        if isinstance(upload, str):
            options[upload] = True
        if self.display_name is not None:
            options["display_name"] = self.display_name
        extra = options.pop("extra_dict", None)
        return options | (cast("dict[str, Any]", extra) if isinstance(extra, dict) else {})

    def group(self) -> dict[str, str] | None:
        """For inputs that arrive together as a dictionary: their names → the keys there."""
        return None


class WidgetInput(Input):
    """An input that editors offer a widget for."""


class Output:
    """An output."""

    io_type: ClassVar[str] = "*"

    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
        **options: Any,
    ) -> None:
        self.id = id
        self.display_name = display_name
        self.tooltip = tooltip
        self.is_output_list = is_output_list
        self.options = options

    def type_text(self) -> object:
        """The type's name in the first form."""
        return self.io_type


class ComfyType:
    """A type: `.Input` and `.Output` make an input and an output of it."""

    io_type: ClassVar[str] = "*"
    Type: ClassVar[Any] = Any
    Input: ClassVar[type[Input]] = Input
    Output: ClassVar[type[Output]] = Output


def comfytype(io_type: str, **options: Any) -> Callable[[T], T]:
    """Make a class with an `Input` or `Output` of its own a type."""

    def decorate(cls: T) -> T:
        for name, base in (("Input", Input), ("Output", Output)):
            own = vars(cls).get(name)
            setattr(cls, name, type(name, (own if isinstance(own, type) else base,), {"io_type": io_type}))
        cls.io_type = io_type  # type: ignore[attr-defined]
        return cls

    return decorate


def _type(name: str, io_type: str, input_base: type[Input] = Input) -> type[ComfyType]:
    members: dict[str, object] = {
        "io_type": io_type,
        "Input": type("Input", (input_base,), {"io_type": io_type}),
        "Output": type("Output", (Output,), {"io_type": io_type}),
        "__module__": __name__,
    }
    return type(name, (ComfyType,), members)


def Custom(io_type: str) -> type[ComfyType]:  # noqa: N802 (the interface's name)
    """A type of the pack's own."""
    return _type(io_type, io_type)


class ComboInput(WidgetInput):
    """One of several choices: a list, or an `Enum` class."""

    io_type = "COMBO"

    def __init__(self, id: str, options: Sequence[object] | type[Enum] | None = None, **more: Any) -> None:
        super().__init__(id, **more)
        values = [each.value for each in options] if isinstance(options, type) else options
        self.options["options"] = [] if values is None else values

    def first_form(self) -> dict[str, Any]:
        options = super().first_form()
        default = options.get("default")
        return options | ({"default": default.value} if isinstance(default, Enum) else {})


class MultiTypeInput(Input):
    """An input of one of several types; given an input instead of an id, that one's widget is offered."""

    def __init__(self, id: str | Input, types: Sequence[type[ComfyType]] = (), **options: Any) -> None:
        widget = id if isinstance(id, Input) else None
        super().__init__(widget.id if widget is not None else cast(str, id), **options)
        if widget is not None:
            self.options = {**widget.options, **self.options}
            self.optional = self.optional or widget.optional
        named = ([widget.type_text()] if widget is not None else []) + [each.io_type for each in types]
        self.names = list(dict.fromkeys(named))

    def type_text(self) -> str:
        return ",".join(self.names) or "*"


class Template:
    """What inputs and outputs that have the same type in a node have in common."""

    def __init__(self, template_id: str, allowed_types: object = None) -> None:
        self.template_id = template_id
        allowed = cast("Sequence[Any]", allowed_types if isinstance(allowed_types, list | tuple) else [allowed_types])
        names = [each.io_type for each in allowed if hasattr(each, "io_type")]
        self.type_text = ",".join(names) or "*"


class MatchTypeInput(Input):
    """An input whose type is that of the others of its template."""

    def __init__(self, id: str, template: Template, **options: Any) -> None:
        super().__init__(id, **options)
        self.template = template

    def type_text(self) -> str:
        return self.template.type_text


class MatchTypeOutput(Output):
    """An output whose type is that of the inputs of its template."""

    def __init__(self, template: Template, id: str | None = None, **options: Any) -> None:
        super().__init__(id, **options)
        self.template = template

    def type_text(self) -> object:
        return self.template.type_text


class TemplatePrefix:
    """Inputs called by a prefix and a number."""

    def __init__(self, input: Input, prefix: str, min: int = 1, max: int = 10) -> None:
        self.input, self.min = input, min
        self.names = [f"{prefix}{i}" for i in range(max)]


class TemplateNames:
    """Inputs called by names that are given."""

    def __init__(self, input: Input, names: Sequence[str], min: int = 1) -> None:
        self.input, self.min, self.names = input, min, list(names)


class AutogrowInput(Input):
    """As many inputs as are used, which arrive together as a dictionary."""

    def __init__(self, id: str, template: TemplatePrefix | TemplateNames, **options: Any) -> None:
        super().__init__(id, **options)
        self.template = template

    def entries(self) -> dict[str, tuple[bool, tuple[object, dict[str, Any]]]]:
        template = self.template
        entry = (template.input.type_text(), template.input.first_form())
        needed = 0 if self.optional or template.input.optional else template.min
        return {f"{self.id}.{name}": (i >= needed, entry) for i, name in enumerate(template.names)}

    def group(self) -> dict[str, str] | None:
        return {f"{self.id}.{name}": name for name in self.template.names}


class Combo(ComfyType):
    """One of several choices."""

    io_type = "COMBO"
    Input = ComboInput
    Output = type("Output", (Output,), {"io_type": "COMBO"})


class MultiType(ComfyType):
    """One of several types."""

    Input = MultiTypeInput


class MatchType(ComfyType):
    """The same type as others of the node."""

    Template = Template
    Input = MatchTypeInput
    Output = MatchTypeOutput


class Autogrow(ComfyType):
    """As many inputs as are used."""

    Type = dict[str, Any]
    TemplatePrefix = TemplatePrefix
    TemplateNames = TemplateNames
    Input = AutogrowInput


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return dict(cast("Mapping[object, object]", value)) if isinstance(value, Mapping) else value


Boolean = _type("Boolean", "BOOLEAN", WidgetInput)
Int = _type("Int", "INT", WidgetInput)
Float = _type("Float", "FLOAT", WidgetInput)
String = _type("String", "STRING", WidgetInput)
AnyType = _type("AnyType", "*")
Image = _type("Image", "IMAGE")
Mask = _type("Mask", "MASK")
Latent = _type("Latent", "LATENT")
Conditioning = _type("Conditioning", "CONDITIONING")
Sampler = _type("Sampler", "SAMPLER")
Sigmas = _type("Sigmas", "SIGMAS")
Noise = _type("Noise", "NOISE")
Guider = _type("Guider", "GUIDER")
Model = _type("Model", "MODEL")
Clip = CLIP = _type("Clip", "CLIP")
Vae = VAE = _type("Vae", "VAE")
ControlNet = _type("ControlNet", "CONTROL_NET")
ClipVision = _type("ClipVision", "CLIP_VISION")
ClipVisionOutput = _type("ClipVisionOutput", "CLIP_VISION_OUTPUT")
StyleModel = _type("StyleModel", "STYLE_MODEL")
Gligen = _type("Gligen", "GLIGEN")
UpscaleModel = _type("UpscaleModel", "UPSCALE_MODEL")
Audio = _type("Audio", "AUDIO")
Video = _type("Video", "VIDEO")
