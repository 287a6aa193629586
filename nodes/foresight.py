"""What a check can tell of models before anything loads: their families, by headers and configurations alone.

Facts that flow along links: `family`, `width` (of prompts), `channels` (that a UNet takes), `latents` (channels of
latents), `masked` (a latent told where to paint), `picture` (a conditioning that brings a picture to edit), `controls`
(families that ControlNets are for), and `what` (the words for a message). A fact that is missing is not known, and
nothing follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nodegraph.context import Roots
from nodegraph.errors import Problem, did_you_mean
from nodegraph.node import Facts, Foresee, Foreseen, Sight
from nodes.diffusion.families import FAMILY_NAMES, FAMILY_OF_WIDTH, Recognised, recognise, refusal
from nodes.diffusion.headers import Header, PickledModel, UnreadableModel, is_pickle, read_header

Find = Callable[[str, Roots], Path | None]

LATENT_CHANNELS = 4
#: What may stand before the names of a VAE's weights.
VAES = ("", "first_stage_model.", "vae.")
#: The prompts that nodes with two of them take and give, by input and output.
BOTH = (("positive", "positive"), ("negative", "negative"))
SUPPORTED = ("sd1", "sd2", "sdxl", "sdxl_refiner")
SUPPORTED_CHECKPOINT = "a checkpoint of Stable Diffusion 1.x, 2.x or XL"

PICKLE_HINT = "take its safetensors file; if you trust this one, allow it with --allow-pickle (weights only)"


def unreadable(name: str, message: str, hint: str | None = None) -> Problem:
    """A model that an input names, and that cannot be used."""
    return Problem("model_unreadable", message, input=name, hint=hint or "check the file, or choose another one")


def look_at(
    sight: Sight, name: str, find: Find | None, *, pickles: bool = True
) -> tuple[Path, Header, Recognised] | Problem | None:
    """The file that an input names, and what it is; a problem with it; None if nothing can be known of it yet, as of
    a pickle that may be read. pickles: whether the node reads any where they are allowed."""
    given = sight.values.get(name)
    path = find(given, sight.roots) if isinstance(given, str) and find is not None else None
    if path is None or not path.is_file():
        return None
    try:
        if pickles and sight.roots.allow_pickle and is_pickle(path):
            return None
        header = read_header(path)
    except PickledModel as error:
        return unreadable(name, str(error), PICKLE_HINT if pickles else None)
    except UnreadableModel as error:
        return unreadable(name, str(error))
    except OSError:
        return None
    return path, header, recognise(header)


def of_kind(
    name: str,
    find: Find | None,
    kinds: Sequence[str],
    wanted: str,
    output: str,
    *,
    pickles: bool = True,
    **more: object,
) -> Foresee:
    """A look ahead for loaders of one file: it must be of one of `kinds`; the output tells its family and width, and
    `more`."""

    def foresee(sight: Sight) -> Foreseen:
        found = look_at(sight, name, find, pickles=pickles)
        if found is None:
            return Foreseen()
        if isinstance(found, Problem):
            return Foreseen(problems=[found])
        path, header, what = found
        if what.kind not in kinds:
            return Foreseen(problems=[wrong_kind(name, path, what, wanted)])
        channels = next(filter(None, (header.shape(f"{prefix}decoder.conv_in.weight") for prefix in VAES)), ())
        seen = {"latents": channels[1]} if output == "VAE" and len(channels) == 4 else {}
        return Foreseen({output: {**facts_of(what), **seen, **more}})

    return foresee


def wrong_kind(name: str, path: Path, what: Recognised, wanted: str) -> Problem:
    """A file of another kind than its input takes."""
    return unreadable(name, *refusal(path.name, what, wanted))


def facts_of(what: Recognised) -> Facts:
    """What a file tells of the model in it."""
    facts: dict[str, object] = {"what": what.words}
    if what.family in SUPPORTED:
        facts["family"] = what.family
    if what.width:
        facts["width"] = what.width
    if what.channels:
        facts["channels"] = what.channels
    return facts


def checkpoint(find: Find, name: str = "ckpt_name") -> Foresee:
    """A look ahead for loaders of checkpoints, files or folders."""

    def foresee(sight: Sight) -> Foreseen:
        given = sight.values.get(name)
        path = find(given, sight.roots) if isinstance(given, str) else None
        if path is not None and path.is_dir():
            return _folder(path, name)
        found = look_at(sight, name, find)
        if found is None:
            return Foreseen()
        if isinstance(found, Problem):
            return Foreseen(problems=[found])
        path, header, what = found
        noted = "nodegraph.unet_config" in header.metadata
        if what.kind != "checkpoint":
            return Foreseen(problems=[wrong_kind(name, path, what, "a checkpoint")])
        if what.family not in SUPPORTED and not noted:
            return Foreseen(problems=[wrong_kind(name, path, what, SUPPORTED_CHECKPOINT)])
        facts = facts_of(what)
        model = {**facts, "latents": LATENT_CHANNELS}
        return Foreseen({"MODEL": model, "CLIP": facts, "VAE": {"latents": LATENT_CHANNELS}})

    return foresee


def _folder(folder: Path, name: str) -> Foreseen:
    from nodes.diffusion.folders import check_folder, parts_of, read_json

    try:
        check_folder(folder)
        unet, vae = read_json(folder / "unet" / "config.json"), read_json(folder / "vae" / "config.json")
        texts = [read_json(folder / part / "config.json") for part in parts_of(folder) if part.startswith("text")]
    except UnreadableModel as error:
        return Foreseen(problems=[unreadable(name, str(error))])
    width = unet.get("cross_attention_dim")
    latents = vae.get("latent_channels", LATENT_CHANNELS)
    model: dict[str, Any] = {"channels": unet.get("in_channels", 4), "latents": latents, "what": str(folder.name)}
    clip: dict[str, Any] = {"width": sum(text.get("hidden_size", 512) for text in texts)}
    if isinstance(width, int):
        model["width"] = width
        if width in FAMILY_OF_WIDTH:
            model["family"] = clip["family"] = FAMILY_OF_WIDTH[width]
    return Foreseen({"MODEL": model, "CLIP": clip, "VAE": {"latents": latents}})


def encoded(sight: Sight) -> Foreseen:
    """A prompt is as wide as its text encoder makes it; textual inversions that are not there are left out of it."""
    width, family = sight.fact("clip", "width"), sight.fact("clip", "family")
    known = {key: value for key, value in (("width", width), ("family", family)) if value is not None}
    return Foreseen({"CONDITIONING": known} if known else {}, _missing_inversions(sight))


def _missing_inversions(sight: Sight) -> list[Problem]:
    """Warnings of textual inversions that prompts ask for and that no folder has: they are left out."""
    from nodes.diffusion.prompt_text import mentions
    from nodes.embeddings import KIND, all_embeddings, find_embedding

    prompts = {name: value for name, value in sight.values.items() if isinstance(value, str)}
    missing = [
        (name, each)
        for name, text in prompts.items()
        for each in mentions(text)
        if find_embedding(each, sight.roots) is None and find_embedding(each.rstrip(","), sight.roots) is None
    ]
    if not missing:
        return []
    folders = " or ".join(str(folder) for folder in sight.roots.model_folders(KIND))
    there = [path.stem for path in all_embeddings(sight.roots)]
    return [
        Problem(
            "not_a_choice",
            f"there is no textual inversion '{each.rstrip(',')}' in {folders}; the prompt goes on without it",
            input=name,
            got=each,
            hint=did_you_mean(each, there) or "put its file there, or take the word out",
            severity="warning",
        )
        for name, each in missing
    ]


def lora(find: Find, *models: str) -> Foresee:
    """A LoRA must be for the family of the models that it is laid over."""

    def foresee(sight: Sight) -> Foreseen:
        found = look_at(sight, "lora_name", find)
        if found is None:
            return Foreseen()
        if isinstance(found, Problem):
            return Foreseen(problems=[found])
        path, _, what = found
        if what.kind != "lora":
            return Foreseen(problems=[wrong_kind("lora_name", path, what, "a LoRA")])
        family = next((known for name in models if (known := sight.fact(name, "family")) is not None), None)
        if family is None or what.family == "other" or what.family == family or not isinstance(family, str):
            return Foreseen()
        message = f"{path.name} is {what.words}, and the model is {FAMILY_NAMES.get(family, family)}"
        hint = "choose a LoRA for the model, or a model for the LoRA"
        return Foreseen(problems=[Problem("bad_value", message, input="lora_name", hint=hint)])

    return foresee


def sampling(model: str, prompts: Sequence[str], latent: str = "latent_image") -> Foresee:
    """What is sampled must fit together: the widths of prompts, the channels of latents, and what is to be edited."""

    def foresee(sight: Sight) -> Foreseen:
        problems = [
            problem
            for name in prompts
            for problem in (
                _width(sight, model, name),
                _controls(sight, model, name),
                _picture(sight, model, name, latent),
            )
            if problem is not None
        ]
        wanted, given = sight.fact(model, "latents"), sight.fact(latent, "latents")
        if wanted is not None and given is not None and wanted != given:
            message = f"the model draws latents of {wanted} channels, and these have {given}"
            problems.append(Problem("bad_value", message, input=latent, hint="take the latent of the model's own VAE"))
        return Foreseen(problems=problems)

    return foresee


def _width(sight: Sight, model: str, name: str) -> Problem | None:
    wanted, given = sight.fact(model, "width"), sight.fact(name, "width")
    if wanted is None or given is None or wanted == given:
        return None
    message = f"the model takes prompts of width {wanted}, and this one has {given}"
    owner = sight.fact(name, "family")
    if isinstance(owner, str):
        message += f" (its text encoder is that of {FAMILY_NAMES.get(owner, owner)})"
    return Problem("bad_value", message, input=name, hint="encode the prompt with the text encoder of the model")


def _controls(sight: Sight, model: str, name: str) -> Problem | None:
    family, controls = sight.fact(model, "family"), sight.fact(name, "controls")
    wrong = [each for each in controls if each != family] if isinstance(controls, tuple) and family else []
    if not wrong:
        return None
    made, is_for = FAMILY_NAMES.get(str(wrong[0]), wrong[0]), FAMILY_NAMES.get(str(family), family)
    message = f"the ControlNet of this conditioning is for {made}, and the model is {is_for}"
    return Problem("bad_value", message, input=name, hint="choose a ControlNet for the model's family")


def _picture(sight: Sight, model: str, name: str, latent: str) -> Problem | None:
    """A model for inpainting has nothing to paint in if neither prompt nor latent brings a mask."""
    known = sight.fact(name, "width") is not None and sight.fact(latent, "latents") is not None
    if sight.fact(model, "channels") != 9 or not known or sight.fact(name, "picture") or sight.fact(latent, "masked"):
        return None
    message = "the model paints inside a mask (its UNet takes 9 channels), and neither prompt nor latent brings one"
    return Problem("bad_value", message, input=name, hint="put InpaintModelConditioning in between")


def with_picture(*outputs: tuple[str, str], latent: str) -> Foresee:
    """Conditionings (input, output) that bring a picture to edit, and the output of its latent."""

    def foresee(sight: Sight) -> Foreseen:
        found: dict[str, Mapping[str, object]] = {}
        for given, output in outputs:
            found[output] = {**sight.links.get(given, {}), "picture": True}
        channels = sight.fact("vae", "latents")
        return Foreseen(found | {latent: {"masked": True, **({} if channels is None else {"latents": channels})}})

    return foresee


def steered(*outputs: tuple[str, str]) -> Foresee:
    """Conditionings (input, output) that a ControlNet is added to."""

    def foresee(sight: Sight) -> Foreseen:
        family = sight.fact("control_net", "family")
        found: dict[str, Mapping[str, object]] = {}
        for given, output in outputs:
            before = sight.links.get(given, {})
            controls = before.get("controls", ())
            if family is not None and isinstance(controls, tuple):
                found[output] = {**before, "controls": (*controls, family)}
        return Foreseen(found)

    return foresee


def masked(sight: Sight) -> Foreseen:
    """A latent that is told where to paint."""
    return Foreseen({"LATENT": {**sight.links.get("samples", {}), "masked": True}})


def latents(output: str = "LATENT", vae: str | None = None, *, masked: bool = False) -> Foresee:
    """Latents of as many channels as a VAE makes them, or of Stable Diffusion's four."""

    def foresee(sight: Sight) -> Foreseen:
        channels = sight.fact(vae, "latents") if vae is not None else LATENT_CHANNELS
        told: dict[str, object] = {"masked": True} if masked else {}
        return Foreseen({output: told if channels is None else {**told, "latents": channels}})

    return foresee


def decoding(sight: Sight) -> Foreseen:
    """Latents must have the channels that the VAE decodes."""
    wanted, given = sight.fact("vae", "latents"), sight.fact("samples", "latents")
    if wanted is None or given is None or wanted == given:
        return Foreseen()
    message = f"the VAE decodes latents of {wanted} channels, and these have {given}"
    return Foreseen(
        problems=[Problem("bad_value", message, input="samples", hint="take the VAE of the latent's model")]
    )
