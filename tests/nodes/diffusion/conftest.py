from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from nodes.diffusion.sigmas import ModelSigmas


@pytest.fixture(scope="session")
def reference() -> Mapping[str, Tensor]:
    """Numbers of ComfyUI's, by the keys in data/README.md."""
    with np.load(Path(__file__).parent / "data" / "reference.npz") as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


@pytest.fixture(scope="session")
def sd_sigmas() -> ModelSigmas:
    return ModelSigmas.stable_diffusion()


@pytest.fixture(autouse=True)
def _global_generator_untouched() -> object:
    """No function of the library may draw from, or seed, torch's global generator."""
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before)
