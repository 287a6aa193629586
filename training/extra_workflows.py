"""How the extras of `tiny` are tried: as a user would, by workflows of nodegraph's own nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nodegraph import Session, Settings
from nodegraph.workflow.document import Workflow

_START = """
nodegraph: 1
params: {prompt: "", seed: 0, strength: 1.0, file: none.safetensors, picture: none.png, mask: none.png, steps: 20}
nodes:
  base: {uses: CheckpointLoaderSimple, with: {ckpt_name: tiny}}
  positive: {uses: CLIPTextEncode, with: {clip: $base.clip, text: $prompt}}
  negative: {uses: CLIPTextEncode, with: {clip: $base.clip, text: ""}}
  canvas: {uses: EmptyLatentImage, with: {width: 128, height: 128}}
"""

_END = """
  drawn: {uses: VAEDecode, with: {samples: $latent, vae: $base.vae}}
"""

_SAMPLE = "seed: $seed, steps: $steps, cfg: 4, sampler_name: euler, scheduler: normal"

PLAIN = f"""{_START}
  latent:
    uses: KSampler
    with: {{model: $base.model, positive: $positive, negative: $negative, latent_image: $canvas, {_SAMPLE}}}
{_END}"""

LORA = f"""{_START}
  styled: {{uses: LoraLoaderModelOnly, with: {{model: $base.model, lora_name: $file, strength_model: $strength}}}}
  latent:
    uses: KSampler
    with: {{model: $styled, positive: $positive, negative: $negative, latent_image: $canvas, {_SAMPLE}}}
{_END}"""

CONTROL = f"""{_START}
  shown: {{uses: LoadImage, with: {{image: $picture}}}}
  edges: {{uses: Canny, with: {{image: $shown.image}}}}
  net: {{uses: ControlNetLoader, with: {{control_net_name: $file}}}}
  steered:
    uses: ControlNetApplyAdvanced
    with: {{positive: $positive, negative: $negative, control_net: $net, image: $edges, strength: $strength}}
  latent:
    uses: KSampler
    with:
      {{model: $base.model, positive: $steered.positive, negative: $steered.negative, latent_image: $canvas, {_SAMPLE}}}
{_END}"""

INPAINT = f"""{_START}
  original: {{uses: LoadImage, with: {{image: $picture}}}}
  where: {{uses: LoadImageMask, with: {{image: $mask, channel: red}}}}
  encoded: {{uses: VAEEncode, with: {{pixels: $original.image, vae: $base.vae}}}}
  masked: {{uses: SetLatentNoiseMask, with: {{samples: $encoded, mask: $where}}}}
  latent:
    uses: KSampler
    with: {{model: $base.model, positive: $positive, negative: $negative, latent_image: $masked, {_SAMPLE}}}
{_END}
  whole: {{uses: ImageCompositeMasked, with: {{destination: $original.image, source: $drawn, mask: $where}}}}
"""


@dataclass(frozen=True, slots=True)
class Studio:
    """A session, and the folder that its workflows read pictures from."""

    session: Session
    pictures: Path

    def draw(self, workflow: Workflow, params: Mapping[str, object], node: str = "drawn") -> NDArray[np.uint8]:
        """The picture that a node gives. Ends the program if the workflow fails."""
        return to_uint8(self.values(workflow, params, [node])[node][0])

    def values(self, workflow: Workflow, params: Mapping[str, object], nodes: Sequence[str]) -> Mapping[str, Any]:
        """What nodes give. Ends the program if the workflow fails."""
        result = self.session.run(workflow, params, only=list(nodes))
        if any(node not in result.values for node in nodes):
            raise SystemExit(f"a workflow failed: {result}")
        return result.values

    def keep(self, name: str, picture: NDArray[np.uint8]) -> str:
        """Put a picture where workflows find it; its name."""
        Image.fromarray(picture).save(self.pictures / name)
        return name


def to_uint8(images: Any) -> NDArray[np.uint8]:
    """The first of a node's pictures."""
    return (images[0].clamp(0, 1) * 255).round().byte().numpy()


@contextmanager
def studio(folder: Path, models: Sequence[Path]) -> Iterator[Studio]:
    """A studio with its files below `folder`; models are looked for in `models` first, and then in the shipped ones."""
    pictures = folder / "input"
    pictures.mkdir(parents=True, exist_ok=True)
    settings = Settings(output=folder / "output", inputs=(pictures,), models=tuple(models), cache_dir=None)
    with Session(settings) as session:
        yield Studio(session, pictures)
