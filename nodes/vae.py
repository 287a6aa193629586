"""The autoencoder: latents into pictures and back, and what models that are shown a picture want of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, cast

from nodegraph.context import NO_CONTEXT, Context
from nodegraph.errors import Problem, ProblemError
from nodegraph.node import Help, Range, node
from nodegraph.sockets import Conditioning, Image, Latent, Mask, Vae
from nodes.foresight import BOTH, decoding, latents, with_picture
from nodes.models import module_of

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

Overlap = Annotated[
    int, Range(0, 4096, step=32), Help("in pixels: how far tiles overlap at least, to be blended; half a tile at most")
]
TemporalSize = Annotated[int, Range(8, 4096, step=4), Help("for video models; without effect on pictures")]
TemporalOverlap = Annotated[int, Range(4, 4096, step=4), Help("for video models; without effect on pictures")]


@node(category="latent", display_name="VAE Decode", foresee=decoding)
def VAEDecode(samples: Latent, vae: Vae, context: Context = NO_CONTEXT) -> Image:
    """Decode latents into pictures.

    If there is not enough memory for a whole picture, it is decoded in tiles.
    """
    from nodes.diffusion.autoencoder import SPARING_OVERLAP, cell_size, decode, decode_tiled, within_memory

    module = _decoder(samples, vae, context)
    latents = samples["samples"]
    count, height, width = len(latents), *(side * cell_size(module) for side in latents.shape[-2:])

    def attempt(i: int, tile: int | None) -> Tensor:  # one at a time: memory grows with the largest picture only
        context.progress(i, count)
        one = latents[i : i + 1]
        if tile is None:
            return decode(module, one)
        report = _part_of(context, i, count)
        return decode_tiled(module, one, tile, min(SPARING_OVERLAP, tile // 4), report)

    def run() -> Tensor:
        return within_memory(count, max(height, width), attempt, _short_of_memory(context, "decode", width, height))

    return Image(_finite(run))


@node(category="latent", display_name="VAE Encode", foresee=latents(vae="vae"))
def VAEEncode(pixels: Image, vae: Vae, context: Context = NO_CONTEXT) -> Latent:
    """Encode pictures into latents (the mean of what the VAE gives); sizes are cut to multiples of 8 in the middle.

    If there is not enough memory for a whole picture, it is encoded in tiles.
    """
    module = _autoencoder(vae, context)
    return {"samples": encoded(module, cropped(pixels, module), context)}


@node(category="latent", display_name="VAE Decode (Tiled)", foresee=decoding)
def VAEDecodeTiled(
    samples: Latent,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, step=32), Help("in pixels: smaller tiles need less memory")] = 512,
    overlap: Overlap = 64,
    temporal_size: TemporalSize = 64,
    temporal_overlap: TemporalOverlap = 8,
    context: Context = NO_CONTEXT,
) -> Image:
    """Decode latents into pictures tile by tile, with little memory; tiles are blended where they overlap.

    Each tile is decoded without knowing the others, so that colours may differ a little from a picture decoded whole.
    """
    from nodes.diffusion.autoencoder import decode_tiled

    module = _decoder(samples, vae, context)
    return Image(_finite(lambda: decode_tiled(module, samples["samples"], tile_size, overlap, context.progress)))


@node(category="latent", display_name="VAE Encode (Tiled)", foresee=latents(vae="vae"))
def VAEEncodeTiled(
    pixels: Image,
    vae: Vae,
    tile_size: Annotated[int, Range(64, 4096, step=64), Help("in pixels: smaller tiles need less memory")] = 512,
    overlap: Overlap = 64,
    temporal_size: TemporalSize = 64,
    temporal_overlap: TemporalOverlap = 8,
    context: Context = NO_CONTEXT,
) -> Latent:
    """Encode pictures into latents tile by tile, with little memory; tiles are blended where they overlap.

    Sizes are cut to multiples of 8 in the middle.
    """
    from nodes.diffusion.autoencoder import encode_tiled

    module = _autoencoder(vae, context)
    picture = cropped(pixels, module)
    return {"samples": _finite(lambda: encode_tiled(module, picture, tile_size, overlap, context.progress))}


@node(category="latent/inpaint", display_name="VAE Encode (for Inpainting)", foresee=latents(vae="vae", masked=True))
def VAEEncodeForInpaint(
    pixels: Image,
    vae: Vae,
    mask: Annotated[Mask, Help("1 where to draw anew")],
    grow_mask_by: Annotated[
        int,
        Range(0, 64, step=1),
        Help("in pixels: how much wider than the mask is drawn, half of it on each side, so that no seam shows"),
    ] = 6,
    context: Context = NO_CONTEXT,
) -> Latent:
    """Encode pictures whose masked parts are to be drawn anew, by any model, at a denoise of 1.

    What the mask covers is blanked out in grey before it is encoded; the latent gets the mask, grown a little, as its
    noise mask.
    """
    from nodes.diffusion.autoencoder import blank_out, grow_mask

    module = _autoencoder(vae, context)
    picture, fitted = _cropped_together(pixels, mask, module)
    latent = encoded(module, blank_out(picture, fitted), context)
    return {"samples": latent, "noise_mask": grow_mask(fitted, grow_mask_by)}


class Guided(NamedTuple):
    """Prompts that a picture was added to, and a latent to begin with."""

    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node(
    category="conditioning/inpaint",
    foresee=with_picture(*BOTH, latent="latent"),
)
def InpaintModelConditioning(
    positive: Conditioning,
    negative: Conditioning,
    vae: Vae,
    pixels: Image,
    mask: Annotated[Mask, Help("1 where to draw anew")],
    noise_mask: Annotated[bool, Help("keep everything outside of the mask exactly as it is")] = True,
    context: Context = NO_CONTEXT,
) -> Guided:
    """Show an inpainting model the picture without its masked parts, and the mask.

    The latent holds the whole picture, so that a denoise below 1 keeps something of what is masked.
    """
    from nodes.diffusion.autoencoder import blank_out

    module = _autoencoder(vae, context)
    picture, fitted = _cropped_together(pixels, mask, module)
    shown = encoded(module, blank_out(picture, fitted), context)
    latent: Latent = {"samples": encoded(module, picture, context)}
    if noise_mask:
        latent["noise_mask"] = fitted
    options = {"concat_latent_image": shown, "concat_mask": fitted}
    return Guided(_with(positive, **options), _with(negative, **options), latent)


@node(
    category="conditioning/instructpix2pix",
    foresee=with_picture(*BOTH, latent="latent"),
)
def InstructPixToPixConditioning(
    positive: Conditioning, negative: Conditioning, vae: Vae, pixels: Image, context: Context = NO_CONTEXT
) -> Guided:
    """Show a model that edits by instruction (InstructPix2Pix) the picture to edit; the latent is empty.

    Both prompts show it. Guide such a model with DualCFGGuider, whose third prompt shows no picture.
    """
    import torch

    module = _autoencoder(vae, context)
    shown = encoded(module, cropped(pixels, module), context)
    wanted, unwanted = (_with(prompt, concat_latent_image=shown) for prompt in (positive, negative))
    return Guided(wanted, unwanted, {"samples": torch.zeros_like(shown)})


@node(category="conditioning/upscale_diffusion")
def SD_4XUpscale_Conditioning(
    images: Image,
    positive: Conditioning,
    negative: Conditioning,
    scale_ratio: Annotated[float, Range(0.0, 10.0, step=0.01), Help("how much larger the picture gets")] = 4.0,
    noise_augmentation: Annotated[float, Range(0.0, 1.0, step=0.001), Help("how much is left to the model")] = 0.0,
) -> Guided:
    """Show Stable Diffusion's upscaler the picture to enlarge, which it sees at a quarter of the size it draws.

    The latent is empty; a cell of it stands for 4 × 4 pixels.
    """
    import torch

    from nodes.diffusion.autoencoder import rgb
    from nodes.diffusion.resize import resize

    height, width = (max(1, round(side * scale_ratio) // 4) for side in images.shape[1:3])
    shown = resize(rgb(images).movedim(-1, 1) * 2 - 1, width, height, "bilinear", crop=True)
    options: dict[str, object] = {"concat_image": shown, "noise_augmentation": noise_augmentation}
    latent: Latent = {"samples": torch.zeros(len(images), 4, height, width)}
    return Guided(_with(positive, **options), _with(negative, **options), latent)


# --- what they share


def encoded(module: Any, picture: Tensor, context: Context) -> Tensor:
    """Raw latents [B, C, h, w] of pictures that are cropped already, one at a time; in tiles if memory is short."""
    from nodes.diffusion.autoencoder import SPARING_OVERLAP, encode, encode_tiled, within_memory

    count, height, width = picture.shape[:3]

    def attempt(i: int, tile: int | None) -> Tensor:
        context.progress(i, count)
        one = picture[i : i + 1]
        if tile is None:
            return encode(module, one)
        report = _part_of(context, i, count)
        return encode_tiled(module, one, tile, min(SPARING_OVERLAP, tile // 4), report)

    def run() -> Tensor:
        return within_memory(count, max(height, width), attempt, _short_of_memory(context, "encode", width, height))

    return _finite(run)


def cropped(pixels: Image, module: Any, name: str = "pixels") -> Tensor:
    """Pictures cut to whole cells of the autoencoder's latents, evenly on both sides. Raises ProblemError."""
    from nodes.diffusion.autoencoder import cell_size, crop_to_multiple

    cell = cell_size(module)
    if min(pixels.shape[1:3]) < cell:
        raise bad_value(name, f"a picture of {pixels.shape[2]} × {pixels.shape[1]} pixels is too small to encode")
    return crop_to_multiple(pixels, cell)


def _cropped_together(pixels: Image, mask: Mask, module: Any) -> tuple[Tensor, Tensor]:
    """Pictures cut to whole cells, and the mask [B, 1, H, W] that belongs to what is left of them."""
    from nodes.diffusion.autoencoder import cell_size, crop_to_multiple, picture_mask

    picture = cropped(pixels, module)
    fitted = picture_mask(mask, pixels)
    return picture, crop_to_multiple(fitted.movedim(1, -1), cell_size(module)).movedim(-1, 1)


def _autoencoder(vae: Vae, context: Context) -> Any:
    return cast(Any, module_of(vae, context))


def _decoder(samples: Latent, vae: Vae, context: Context) -> Any:
    """The module that decodes these latents. Raises ProblemError for latents of another kind."""
    from nodes.diffusion.autoencoder import latent_channels

    module = _autoencoder(vae, context)
    channels, wanted = samples["samples"].shape[1], latent_channels(module)
    if channels != wanted:
        raise bad_value("samples", f"this VAE decodes latents of {wanted} channels, not {channels}")
    return module


def _with(conditioning: Conditioning, **options: object) -> Conditioning:
    """The same prompts with options set."""
    return Conditioning([(tensor, {**known, **options}) for tensor, known in conditioning])


def _finite(run: Callable[[], T]) -> T:
    """What `run` gives; values that are not numbers are told as a problem."""
    from nodes.diffusion.autoencoder import NonFinite

    try:
        return run()
    except NonFinite as error:
        hint = "the input or the VAE overflowed; try --dtype fp32"
        raise ProblemError(Problem(code="not_finite", message=str(error), hint=hint)) from error


def _part_of(context: Context, i: int, count: int) -> Callable[[int, int], None]:
    """Reports the progress within the i-th of several pictures."""
    return lambda done, total: context.progress(i + done / total, count)


def _short_of_memory(context: Context, what: str, width: int, height: int) -> Callable[[int], None]:
    def notice(tile: int) -> None:
        context.warn(
            f"there is not enough memory to {what} {width} × {height} pixels at once; "
            f"going on in tiles of {tile} × {tile}, which may show in smooth areas"
        )

    return notice


def bad_value(name: str, message: str) -> ProblemError:
    """The error for an input that does not fit."""
    return ProblemError(Problem(code="bad_value", message=message, input=name))
