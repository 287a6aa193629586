"""Recipes for what single files hold: checkpoints, and UNets, text encoders and VAEs of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from nodegraph.context import NO_CONTEXT, Context, Roots
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Choices, Help, node
from nodegraph.sockets import Clip, Model, Vae
from nodes.foresight import LATENT_CHANNELS, SUPPORTED, SUPPORTED_CHECKPOINT, of_kind
from nodes.models import content_of, reading_model, unchanged, unreadable

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.diffusion.families import Recognised
    from nodes.diffusion.headers import Header
    from nodes.diffusion.single_file import TextPart

#: What messages call the files of a folder.
NOUNS = {
    "unet": "UNet",
    "clip": "text encoder",
    "loras": "LoRA",
    "controlnet": "ControlNet",
    "clip_vision": "CLIP vision model",
    "style_models": "style model",
    "gligen": "GLIGEN model",
    "ipadapter": "IP-Adapter",
    "upscale_models": "upscaling model",
}
#: Mean and deviation of the encoded pictures that an unCLIP model was trained with.
STATISTICS = ("noise_augmentor.data_mean", "noise_augmentor.data_std")
SDXL_SCALE, SD_SCALE = 0.13025, 0.18215
PIXEL_SPACE = "pixel_space"


def header_and_kind(path: Path, context: Context) -> tuple[Header, Recognised]:
    """What a file says of itself, and what it is. Raises ProblemError."""
    from nodes.diffusion.families import recognise
    from nodes.diffusion.weights import header_of

    header = reading_model(lambda: header_of(path, allow_pickle=context.allow_pickle))
    return header, recognise(header)


def refuse(path: Path, found: Recognised, wanted: str) -> ProblemError:
    """The error for a file that is something else than `wanted` ("a checkpoint"), with what to load it by."""
    from nodes.diffusion.families import refusal

    message, hint = refusal(path, found, wanted)
    return ProblemError(Problem(code="model_unreadable", message=message, hint=hint))


def checkpoint_parts(path: Path, context: Context, config: Path | None = None) -> tuple[Model, Clip, Vae]:
    """The three recipes of a checkpoint file. Raises ProblemError.

    config: a configuration of the original training code; without one, that beside the file counts, if there is any.
    """
    from nodes.diffusion.single_file import text_parts

    header, found = header_and_kind(path, context)
    noted = "nodegraph.unet_config" in header.metadata
    if found.kind == "unet" and found.prefix:
        raise ProblemError(
            Problem(
                code="model_unreadable",
                message=f"{path} has a UNet, but no text encoder and no VAE",
                hint="load it with UNETLoader, and the others with CLIPLoader or DualCLIPLoader, and VAELoader",
            )
        )
    if found.kind != "checkpoint":
        raise refuse(path, found, "a checkpoint")
    if found.family not in SUPPORTED and not noted:
        raise refuse(path, found, SUPPORTED_CHECKPOINT)
    texts = text_parts(header)
    wanted = 2 if found.family == "sdxl" else 1
    if len(texts) < wanted:
        raise ProblemError(
            Problem(
                code="model_unreadable",
                message=f"{path} has {'only one' if texts else 'no'} text encoder, where {found.words} needs {wanted}",
                hint="load its UNet with UNETLoader and its text encoders with "
                + ("DualCLIPLoader" if wanted == 2 else "CLIPLoader"),
            )
        )
    digest = context.digest(path)
    model = _model(path, digest, header, found, config)
    clip = Clip.of(*_clips(path, digest, found.family, texts[:wanted]))
    return model, clip, Vae("file", str(path), digest, "vae")


def _model(path: Path, digest: str, header: Header, found: Recognised, config: Path | None) -> Model:
    from nodes.diffusion.sidecars import prediction_of

    told = reading_model(lambda: prediction_of(path, header, config))
    scale = SDXL_SCALE if found.family in ("sdxl", "sdxl_refiner") else SD_SCALE
    options: dict[str, Any] = {"prediction": told.prediction, "latent_scale": scale, "family": found.family}
    if told.zero_terminal_snr:
        options["zsnr"] = True
    if STATISTICS[0] in header.tensors:
        options["unclip"] = True
    return Model("file", str(path), digest, "unet").with_options(**options)


def picture_statistics(model: Model, context: Context) -> tuple[Tensor, Tensor] | None:
    """Mean and deviation [1, D] of encoded pictures in the training of an unCLIP model; None for other models."""
    if not model.option("unclip", False):
        return None
    from nodes.diffusion.weights import map_files

    def read() -> tuple[Tensor, Tensor]:
        weights = map_files([Path(model.path)], allow_pickle=context.allow_pickle)
        mean, deviation = (weights[name].reshape(1, -1).float().clone() for name in STATISTICS)
        return mean, deviation

    key = f"{model.unpatched().weights}/statistics"
    return context.pool.get(key, lambda: unchanged(model, context, read), lambda pair: pair[0].nbytes * 2)


def _clips(path: Path, digest: str, family: str, texts: Sequence[TextPart]) -> list[Clip]:
    parts = ("text_encoder", "text_encoder_2")
    return [
        Clip("file", str(path), digest, part).with_options(**text_options(family, text.width))
        for part, text in zip(parts, texts, strict=False)
    ]


def text_options(family: str, width: int) -> dict[str, Any]:
    """How a family uses a text encoder of a width, as options of its handle."""
    from nodes.diffusion.text_encoders import profile_of

    profile = profile_of(family, width)
    keys = {("sdxl", 768): "te1", ("sdxl", 1280): "te2", ("sdxl_refiner", 1280): "te2"}.get((family, width), "te")
    options: dict[str, Any] = {"layer": profile.layer, "normed": profile.normed, "lora_keys": keys, "family": family}
    return options | ({"pad": profile.pad} if profile.pad is not None else {})


def lister(kind: str) -> Choices:
    """The model files of a kind, as choices."""

    def list_files(roots: Roots) -> list[str]:
        return roots.list_models(kind)

    def find(name: str, roots: Roots) -> Path | None:
        found = roots.find_model(kind, name)
        return found if found is not None and found.is_file() else None

    return Choices(list_files, find, kind=NOUNS.get(kind, f"{kind} file"), folder=kind)


def file_of(kind: str, name: str, context: Context) -> Path:
    """The model file of a kind called `name`. Raises ProblemError."""
    path = context.roots.find_model(kind, name)
    if path is None or not path.is_file():
        folders = ", ".join(str(folder) for folder in context.roots.model_folders(kind))
        raise unreadable(f"there is no file {name!r} in {folders}")
    return path


@node(
    category="advanced/loaders",
    display_name="Load Diffusion Model",
    foresee=of_kind(
        "unet_name", lister("unet").path, ("unet", "checkpoint"), "a UNet", "MODEL", latents=LATENT_CHANNELS
    ),
)
def UNETLoader(
    unet_name: Annotated[str, lister("unet")],
    weight_dtype: Annotated[
        Literal["default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"],
        Help("fp8 rounds the weights to 8 bits; sums are done in the run's number format"),
    ] = "default",
    context: Context = NO_CONTEXT,
) -> Model:
    """Load a UNet alone, in the original or in diffusers' layout, with or without the names of a checkpoint."""
    path = file_of("unet", unet_name, context)
    header, found = header_and_kind(path, context)
    if found.kind not in ("unet", "checkpoint") or (
        found.family not in SUPPORTED and "nodegraph.unet_config" not in header.metadata
    ):
        raise refuse(path, found, "a UNet of Stable Diffusion 1.x, 2.x or XL")
    model = _model(path, context.digest(path), header, found, None)
    return model if weight_dtype == "default" else model.with_options(rounding=weight_dtype.removesuffix("_fast"))


ClipType = Literal[
    "stable_diffusion", "stable_cascade", "sd3", "stable_audio", "mochi", "ltxv", "pixart", "cosmos", "lumina2", "wan",
    "hidream", "chroma", "ace", "omnigen2", "qwen_image", "hunyuan_image",
]  # fmt: skip
DualClipType = Literal["sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"]
Device = Literal["default", "cpu"]
ClipFile = Annotated[str, lister("clip")]


@node(
    category="advanced/loaders",
    display_name="Load CLIP",
    foresee=of_kind("clip_name", lister("clip").path, ("clip", "checkpoint"), "a text encoder", "CLIP"),
)
def CLIPLoader(
    clip_name: ClipFile, type: ClipType = "stable_diffusion", device: Device = "default", context: Context = NO_CONTEXT
) -> Clip:
    """Load a text encoder alone: CLIP ViT-L (SD 1.x), OpenCLIP ViT-H (SD 2.x) or ViT-bigG (the SDXL refiner)."""
    if type != "stable_diffusion":
        raise _other_family(type, "stable_diffusion")
    clip, width = _text_file(clip_name, context)
    family = {768: "sd1", 1024: "sd2", 1280: "sdxl_refiner"}.get(width, "sd1")
    return _placed(clip.with_options(**text_options(family, width)), device)


@node(category="advanced/loaders", display_name="DualCLIPLoader")
def DualCLIPLoader(
    clip_name1: ClipFile,
    clip_name2: ClipFile,
    type: DualClipType = "sdxl",
    device: Device = "default",
    context: Context = NO_CONTEXT,
) -> Clip:
    """Load the two text encoders of SDXL, CLIP ViT-L and OpenCLIP ViT-bigG, in either order."""
    if type != "sdxl":
        raise _other_family(type, "sdxl")
    pairs = sorted((_text_file(name, context) for name in (clip_name1, clip_name2)), key=lambda pair: pair[1])
    if [width for _, width in pairs] != [768, 1280]:
        widths = " and ".join(str(width) for _, width in pairs)
        raise unreadable(f"SDXL takes text encoders of widths 768 and 1280; these have {widths}")
    return _placed(Clip.of(*(clip.with_options(**text_options("sdxl", width)) for clip, width in pairs)), device)


def _text_file(name: str, context: Context) -> tuple[Clip, int]:
    from nodes.diffusion.single_file import text_parts

    path = file_of("clip", name, context)
    header, found = header_and_kind(path, context)
    texts = text_parts(header)
    if not texts:
        raise refuse(path, found, "a text encoder")
    return Clip("file", str(path), context.digest(path), "text_encoder"), texts[0].width


def _placed(clip: Clip, device: str) -> Clip:
    return clip.with_options(device="cpu") if device == "cpu" else clip


def _other_family(got: str, expected: str) -> ProblemError:
    return ProblemError(
        Problem(
            code="bad_value",
            message=f"text encoders of the type {got} are not supported",
            input="type",
            got=got,
            expected=expected,
            hint=f"use {expected}",
        )
    )


def list_vaes(roots: Roots) -> list[str]:
    """VAE files, small stand-ins for VAEs (TAESD) of which both halves are there, and no VAE at all."""
    approximate = set(roots.list_models("vae_approx"))
    halves = {name.removesuffix(".safetensors") for name in approximate}
    tiny = [name for name in TAESD if {f"{name}_encoder", f"{name}_decoder"} <= halves]
    return [*roots.list_models("vae"), *tiny, PIXEL_SPACE]


def find_vae(name: str, roots: Roots) -> Path | None:
    """The file of a VAE, or None; of TAESD, the folder of its two files, since either may change."""
    if name in TAESD:
        decoder = roots.find_model("vae_approx", f"{name}_decoder.safetensors")
        return decoder.parent if decoder is not None else None
    found = roots.find_model("vae", name)
    return found if found is not None and found.is_file() else None


#: TAESD's names → the scale of the latents it was trained on.
TAESD = {"taesd": SD_SCALE, "taesdxl": SDXL_SCALE}


@node(
    category="loaders",
    display_name="Load VAE",
    foresee=of_kind("vae_name", find_vae, ("vae", "checkpoint"), "a VAE", "VAE"),
)
def VAELoader(
    vae_name: Annotated[str, Choices(list_vaes, find_vae, kind="VAE", folder="vae")], context: Context = NO_CONTEXT
) -> Vae:
    """Load a VAE alone, in the original or in diffusers' layout.

    `taesd` and `taesdxl` are small stand-ins, if their encoder and decoder lie in `vae_approx`; `pixel_space` leaves
    pictures as they are, for models that work on pixels.
    """
    if vae_name == PIXEL_SPACE:
        return Vae("pixel_space", "", PIXEL_SPACE, "vae")
    path = find_vae(vae_name, context.roots)
    if path is None:
        raise unreadable(f"there is no VAE '{vae_name}'")
    if vae_name in TAESD:
        decoder = path / f"{vae_name}_decoder.safetensors"
        digest = content_of(decoder, "taesd", "vae", context)
        return Vae("taesd", str(decoder), digest, "vae").with_options(latent_scale=TAESD[vae_name])
    _, found = header_and_kind(path, context)
    if found.kind not in ("vae", "checkpoint"):
        raise refuse(path, found, "a VAE")
    return Vae("file", str(path), context.digest(path), "vae")
