"""Begin where the shipped weights ended (`python -m training.resume`): checkpoints made of a model folder.

For a machine that has no `training/work/` of its own: the autoencoder is taken as it is, so latents fit, and the
UNet and the text encoder train on with a fresh optimiser and a fresh schedule of the learning rate. The tokenizer
gets the words that it lacks, and the embedding a new row for each. Existing checkpoints are left alone.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from training.common import MODEL, WORK, save_state
from training.tokenizer import FOLDER, extend_files, load_tokenizer
from training.unet import STATE, begin
from training.vae import FINAL


def weights(folder: Path, part: str) -> dict[str, torch.Tensor]:
    """The weights of a part of the model folder, in fp32."""
    path = next((folder / part).glob("*.safetensors"))
    return {name: tensor.float() for name, tensor in load_file(path).items()}


def grown(state: dict[str, torch.Tensor], fresh: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The text encoder's weights, with the untrained rows of `fresh` for tokens that they do not know yet."""
    (name,) = (key for key in state if key.endswith("token_embedding.weight"))
    return state | {name: torch.cat([state[name], fresh[name][len(state[name]) :]])}


def main() -> None:
    """Write the checkpoints that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=0, help="samples that the weights have seen")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    FOLDER.mkdir(exist_ok=True)
    for name in ("vocab.json", "merges.txt"):
        if not STATE.exists():
            shutil.copyfile(MODEL / "tokenizer" / name, FOLDER / name)
    if not STATE.exists():
        print(f"resume: {extend_files(FOLDER)} tokens")
    if not FINAL.exists():
        save_state(FINAL, {"vae": weights(MODEL, "vae")})
    if not STATE.exists():
        training = begin(load_tokenizer())
        training.models["unet"].load_state_dict(weights(MODEL, "unet"))
        text = training.models["text"]
        text.load_state_dict(grown(weights(MODEL, "text_encoder"), text.state_dict()))
        training.average = {k: v.detach().clone() for k, v in training.models.state_dict().items()}
        training.step = args.samples // 32
        training.save()
    print(f"resume: checkpoints in {WORK}")


if __name__ == "__main__":
    main()
