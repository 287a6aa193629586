"""Which kind of model a weights file is, and of which family, by the names and shapes in its header.

Rules, not a guess with a fallback: what none of them knows is "unknown", and whoever asked says so. Nothing here
imports torch or reads a weight, so that a whole folder can be looked through in milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from nodes.diffusion.headers import Header

Kind = Literal[
    "checkpoint", "unet", "vae", "clip", "lora", "controlnet", "t2i_adapter", "embedding", "clip_vision", "gligen",
    "ip_adapter", "style_model", "upscaler", "unknown",
]  # fmt: skip

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
#: Where single files keep their text encoders: prefix → whose names follow.
TEXT_PREFIXES = {
    "cond_stage_model.transformer.text_model.": "transformers",
    "cond_stage_model.transformer.": "transformers",
    "cond_stage_model.model.": "open_clip",
    "conditioner.embedders.0.transformer.text_model.": "transformers",
    "conditioner.embedders.0.model.": "open_clip",
    "conditioner.embedders.1.model.": "open_clip",
}
VISION_PREFIX = "embedder.model.visual."

#: What people call them.
FAMILY_NAMES = {
    "sd1": "Stable Diffusion 1.x",
    "sd2": "Stable Diffusion 2.x",
    "sdxl": "Stable Diffusion XL",
    "sdxl_refiner": "the Stable Diffusion XL refiner",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
    "other": "a family that is not known here",
}
KIND_NAMES: dict[str, str] = {
    "checkpoint": "a checkpoint",
    "unet": "a UNet alone",
    "vae": "a VAE",
    "clip": "a text encoder",
    "lora": "a LoRA",
    "controlnet": "a ControlNet",
    "t2i_adapter": "a T2I-Adapter",
    "embedding": "a textual inversion",
    "clip_vision": "a CLIP vision model",
    "gligen": "a GLIGEN model",
    "ip_adapter": "an IP-Adapter",
    "style_model": "a style model",
    "upscaler": "an upscaling model",
    "unknown": "of no kind that is known here",
}
#: What is used to load each kind of file.
LOADERS = {
    "checkpoint": "CheckpointLoaderSimple",
    "unet": "UNETLoader",
    "vae": "VAELoader",
    "clip": "CLIPLoader",
    "lora": "LoraLoader",
    "controlnet": "ControlNetLoader",
    "t2i_adapter": "ControlNetLoader",
    "clip_vision": "CLIPVisionLoader",
    "style_model": "StyleModelLoader",
    "gligen": "GLIGENLoader",
    "ip_adapter": "IPAdapterModelLoader",
    "upscaler": "UpscaleModelLoader",
}
#: Width of a family's prompts → the family. The refiner's is 1280.
FAMILY_OF_WIDTH = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl_refiner"}


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file is. family: a key of FAMILY_NAMES. layout: whose names it uses (`ldm`, `diffusers` …).

    prefix: what stands before a UNet's names. channels: what a UNet takes (4; 8 or 9 with a picture beside the latent).
    width: of the prompts it is made for.
    """

    kind: Kind
    family: str = "other"
    layout: str = "ldm"
    prefix: str = ""
    channels: int = 0
    width: int = 0

    @property
    def words(self) -> str:
        """What the file is, for a message: "a LoRA for Stable Diffusion XL"."""
        family = FAMILY_NAMES[self.family]
        return KIND_NAMES[self.kind] + (f" for {family}" if self.family != "other" else "")


def refusal(file: object, found: Recognised, wanted: str) -> tuple[str, str]:
    """(message, remedy) for a file that is something else than `wanted` ("a LoRA")."""
    if found.kind == "unknown":
        return f"{file} is no model of a kind that is known here; {wanted} was expected", "choose another file"
    loader = LOADERS.get(found.kind) if not wanted.startswith(KIND_NAMES[found.kind]) else None
    remedy = "choose another file" if loader is None else f"load it with {loader}"
    return f"{file} is {found.words}, where {wanted} was expected", remedy


def recognise(header: Header) -> Recognised:
    """What a file is. Never fails; `unknown` is what no rule knows."""
    names = header.tensors
    for rule in _RULES:
        found = rule(header)
        if found is not None:
            return found
    return Recognised("unknown", layout="" if names else "empty")


def _any_prefix(header: Header, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in header.tensors)


def _lora(header: Header) -> Recognised | None:
    marks = (
        ".lora_down.", ".lora_up.", ".lora_A.", ".lora_B.", ".lora.down.", ".lora.up.", "_lora.down.", "_lora.up.",
        ".hada_w1", ".lokr_w", ".dora_scale", ".on_input",
    )  # fmt: skip
    hits = [name for name in header.tensors if any(mark in name for mark in marks)]
    diffs = [name for name in header.tensors if name.startswith("lora_") and name.endswith((".diff", ".diff_b"))]
    if not hits and not diffs:
        return None
    return Recognised("lora", lora_family(header.tensors))


def lora_family(names: Iterable[str] | Mapping[str, object]) -> str:
    """The family that a LoRA is for: by its second text encoder, or how deep its transformers are; else "other"."""
    deep, blocks = False, set[str]()
    for name in names:
        if name.startswith(("lora_te2_", "text_encoder_2.")):
            return "sdxl"
        if name.startswith(("double_blocks", "lora_unet_double_blocks", "transformer.")):
            return "flux"
        flat = name.replace(".", "_")
        for depth in range(2, 10):
            deep = deep or f"_transformer_blocks_{depth}_" in flat
        for block in ("input_blocks_1_1_", "down_blocks_0_attentions_", "down_blocks_2_attentions_"):
            if block in flat:
                blocks.add(block)
    if deep:
        return "sdxl"
    if blocks & {"input_blocks_1_1_", "down_blocks_0_attentions_"}:
        return "sd_1_or_2"
    return "other"


def _lora_width(header: Header) -> int:
    """The width of the prompts that a LoRA's cross-attention takes, 0 if it changes none."""
    for name, info in header.tensors.items():
        flat = name.replace(".", "_")
        if "attn2_to_k" in flat and ("lora_down" in name or "lora_A" in name or "lora.down" in name):
            return info.shape[1] if len(info.shape) > 1 else 0
        if "attn2_to_k" in flat and name.endswith("hada_w1_b"):
            return info.shape[-1]
    return 0


def _lora_by_width(header: Header) -> Recognised | None:
    found = _lora(header)
    if found is None:
        return None
    width = _lora_width(header)
    family = FAMILY_OF_WIDTH.get(width, found.family)
    return Recognised("lora", "other" if family == "sd_1_or_2" else family, width=width)


def _checkpoint(header: Header) -> Recognised | None:
    if not _any_prefix(header, UNET_PREFIX):
        return None
    if _any_prefix(header, UNET_PREFIX + "joint_blocks."):
        return Recognised("checkpoint", "sd3", prefix=UNET_PREFIX)
    if _any_prefix(header, UNET_PREFIX + "double_blocks."):
        return Recognised("checkpoint", "flux", prefix=UNET_PREFIX)
    unet = _ldm_unet(header, UNET_PREFIX)
    if unet is None:
        return Recognised("unknown")
    has_more = any(not name.startswith(UNET_PREFIX) for name in header.tensors)
    texts = [prefix for prefix in TEXT_PREFIXES if _any_prefix(header, prefix)]
    kind: Kind = "checkpoint" if has_more and (texts or _any_prefix(header, VAE_PREFIX)) else "unet"
    return Recognised(kind, unet.family, "ldm", UNET_PREFIX, unet.channels, unet.width)


def _ldm_unet(header: Header, prefix: str) -> Recognised | None:
    """A UNet in the original layout below a prefix."""
    first = header.shape(prefix + "input_blocks.0.0.weight")
    if len(first) != 4:
        return None
    width = _attention_width(header, prefix)
    return Recognised(
        "unet", _unet_family(header, prefix + "label_emb.0.0.weight", width), "ldm", prefix, first[1], width
    )


def _attention_width(header: Header, prefix: str) -> int:
    """The width of the prompts that a UNet's cross-attention takes; 0 if it has none."""
    for name, info in header.tensors.items():
        if name.startswith(prefix) and name.endswith(".attn2.to_k.weight") and len(info.shape) == 2:
            return info.shape[1]
    return 0


def _unet_family(header: Header, class_embedding: str, width: int) -> str:
    """SDXL, its refiner and unCLIP variants tell by their class embedding; 1.x and 2.x by the prompts' width."""
    return FAMILY_OF_WIDTH.get(width, "other")


def _bare_unet(header: Header) -> Recognised | None:
    if "double_blocks.0.img_attn.qkv.weight" in header.tensors:
        return Recognised("unet", "flux")
    if "joint_blocks.0.x_block.attn.qkv.weight" in header.tensors:
        return Recognised("unet", "sd3")
    return _ldm_unet(header, "")


def _diffusers_unet(header: Header) -> Recognised | None:
    first = header.shape("conv_in.weight")
    if len(first) != 4 or "time_embedding.linear_1.weight" not in header.tensors:
        return None
    if "conv_out.weight" not in header.tensors:
        return None
    width = _attention_width(header, "")
    family = _unet_family(header, "add_embedding.linear_1.weight", width)
    return Recognised("unet", family, "diffusers", "", first[1], width)


def _controlnet(header: Header) -> Recognised | None:
    for prefix in ("control_model.", ""):
        if f"{prefix}input_hint_block.0.weight" in header.tensors or f"{prefix}zero_convs.0.0.weight" in header.tensors:
            width = _attention_width(header, prefix)
            return Recognised("controlnet", FAMILY_OF_WIDTH.get(width, "other"), "ldm", prefix, width=width)
    if "controlnet_cond_embedding.conv_in.weight" in header.tensors:
        width = _attention_width(header, "")
        return Recognised("controlnet", FAMILY_OF_WIDTH.get(width, "other"), "diffusers", width=width)
    return None


def _adapters(header: Header) -> Recognised | None:
    names = header.tensors
    if any(name.startswith(("image_proj.", "ip_adapter.")) for name in names):
        width = next((i.shape[1] for n, i in names.items() if n.endswith("to_k_ip.weight")), 0)
        return Recognised("ip_adapter", FAMILY_OF_WIDTH.get(width, "other"), width=width)
    if any(name.removeprefix("adapter.").startswith(("body.0.", "total_downscale")) for name in names) and any(
        "conv_in" in name for name in names
    ):
        return Recognised("t2i_adapter")
    if "style_embedding" in names:
        return Recognised("style_model")
    if any(name.startswith("position_net.") for name in names) or any(".fuser." in name for name in names):
        return Recognised("gligen", "sd1")
    return None


def _vae(header: Header) -> Recognised | None:
    for prefix in ("", VAE_PREFIX, "vae."):
        if f"{prefix}decoder.conv_in.weight" in header.tensors:
            diffusers = _any_prefix(header, f"{prefix}decoder.up_blocks.") or _any_prefix(
                header, f"{prefix}encoder.down_blocks."
            )
            return Recognised("vae", "other", "diffusers" if diffusers else "ldm", prefix)
    if any(name.startswith(("decoder.layers.", "taesd_decoder.")) for name in header.tensors):
        return Recognised("vae", "other", "taesd")
    if header.shape("1.weight")[1:] == (4, 3, 3) or header.shape("1.weight")[1:] == (16, 3, 3):
        return Recognised("vae", "other", "taesd_decoder")
    return None


def _text_encoder(header: Header) -> Recognised | None:
    for prefix in ("text_model.", "", "transformer.text_model.", "clip_l.transformer.text_model."):
        width = header.shape(f"{prefix}embeddings.token_embedding.weight")
        if width and f"{prefix}encoder.layers.0.self_attn.q_proj.weight" in header.tensors:
            return Recognised("clip", _text_family(width[1]), "transformers", prefix, width=width[1])
    for prefix in ("", "model.", "clip_g.transformer.", "transformer."):
        if f"{prefix}transformer.resblocks.0.attn.in_proj_weight" in header.tensors:
            width = header.shape(f"{prefix}token_embedding.weight")
            if width:
                return Recognised("clip", _text_family(width[1]), "open_clip", prefix, width=width[1])
    return None


def _text_family(width: int) -> str:
    return {768: "sd1", 1024: "sd2", 1280: "sdxl"}.get(width, "other")


def _vision(header: Header) -> Recognised | None:
    if "vision_model.embeddings.patch_embedding.weight" in header.tensors and not any(
        name.startswith("text_model.") for name in header.tensors
    ):
        return Recognised("clip_vision", layout="transformers")
    if "visual.conv1.weight" in header.tensors and "token_embedding.weight" not in header.tensors:
        return Recognised("clip_vision", layout="open_clip")
    return None


def _embedding(header: Header) -> Recognised | None:
    names = header.tensors
    if set(names) <= {"transformers", "clip_g"} and names:
        return Recognised("embedding", "sdxl", width=0)
    alone = next(iter(names.values())).shape if len(names) == 1 else ()
    shape = header.shape("emb_params") or alone
    width = [0, *shape][-1]
    if len(shape) in (1, 2) and (width in FAMILY_OF_WIDTH or "emb_params" in names):
        return Recognised("embedding", FAMILY_OF_WIDTH.get(width, "other"), width=width)
    return None


def _upscaler(header: Header) -> Recognised | None:
    marks = ("model.0.weight", "conv_first.weight", "body.0.weight", "model.1.sub.0.RDB1.conv1.0.weight")
    return Recognised("upscaler") if any(mark in header.tensors for mark in marks) else None


#: In this order: what holds more comes before what it may hold.
_RULES: tuple[Callable[[Header], Recognised | None], ...] = (
    _lora_by_width, _controlnet, _adapters, _checkpoint, _bare_unet, _diffusers_unet, _vision, _text_encoder, _vae,
    _embedding, _upscaler,
)  # fmt: skip
