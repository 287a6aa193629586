"""Text encoders as Stable Diffusion's families use them: which layer, which padding, and CLIP's own tokenizer."""

from __future__ import annotations

import functools
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodes.diffusion.headers import UnreadableModel

VOCABULARY = Path(__file__).parent / "data" / "clip_bpe.txt.gz"
CLIP_WORDS = 49408
MERGES = 49152 - 256 - 2  # of the file's lines, which has more than CLIP uses
START, END = "<|startoftext|>", "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class TextProfile:
    """How a family uses a text encoder.

    layer: whose output guides the UNet, -1 the last, -2 the one before. normed: whether an earlier layer's output goes
    through the final norm. pad: the token that fills chunks up. rounded: whether weights stored in fp32 are rounded to
    fp16, as ComfyUI loads text encoders.
    """

    layer: int = -1
    normed: bool = True
    pad: int | None = None


#: By family and width. In SD 2 (OpenCLIP ViT-H, 1024) and SDXL (CLIP ViT-L, 768, and OpenCLIP ViT-bigG, 1280) the last
#: layer but one counts; SDXL leaves out its norm. OpenCLIP's models were trained on prompts filled up with zeros.
PROFILES = {
    ("sd1", 768): TextProfile(),
    ("sd2", 1024): TextProfile(-2, True, 0),
    ("sdxl", 768): TextProfile(-2, False),
    ("sdxl", 1280): TextProfile(-2, False, 0),
    ("sdxl_refiner", 1280): TextProfile(-2, False, 0),
}


def profile_of(family: str, width: int) -> TextProfile:
    """How a family uses a text encoder of a width; one of an unknown width is used as SD 1's."""
    return PROFILES.get((family, width), TextProfile())


@functools.cache
def _byte_letters() -> dict[int, str]:
    """A printable letter for each byte, as GPT-2 and CLIP write bytes (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's 49,408 tokens and its merges (Radford et al. 2021), from the file that OpenAI published."""
    with gzip.open(VOCABULARY, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : MERGES + 1]
    merges = [(left, right) for left, right in (line.split() for line in lines)]
    letters = list(_byte_letters().values())
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge) for merge in merges), START, END]
    return {token: number for number, token in enumerate(tokens)}, merges


def noted_tokenizer(text: str) -> Any:
    """The tokenizer that a file's writer noted in its metadata, as the library `tokenizers` writes it.

    Raises UnreadableModel.
    """
    try:
        model = json.loads(text)["model"]
        vocabulary = {str(word): int(number) for word, number in model["vocab"].items()}
        merges = [(str(left), str(right)) for left, right in model["merges"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UnreadableModel("the tokenizer in the file's metadata makes no sense") from error
    return clip_tokenizer(vocabulary, merges)


def clip_tokenizer(vocabulary: dict[str, int] | None = None, merges: list[tuple[str, str]] | None = None) -> Any:
    """CLIP's tokenizer, as all families of Stable Diffusion use it; or one like it with other words."""
    from transformers import CLIPTokenizer

    from nodes.diffusion.loading import quiet_libraries

    quiet_libraries()
    if vocabulary is None:
        vocabulary, merges = clip_vocabulary()
    make: Any = CLIPTokenizer  # which takes pairs, although it says otherwise
    return make(
        vocab=vocabulary,
        merges=merges,
        unk_token=END,
        bos_token=START,
        eos_token=END,
        pad_token=END,
        model_max_length=77,
    )
