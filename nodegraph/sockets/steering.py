"""What steers a sampling: samplers, noise, guiders, controls, operations on latents. Plain data, all with a digest.

The functions that do what these describe live with the nodes. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nodegraph.sockets.codecs import digest as digest_of
from nodegraph.sockets.handles import ControlNet, Model, Scalar, Vae
from nodegraph.sockets.types import socket
from nodegraph.sockets.values import Conditioning

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler by its name, with options of its own (eta, order …)."""

    name: str
    options: tuple[tuple[str, Scalar], ...] = ()

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.name, self.options)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise that a sampling begins with: that of a seed, or none (None)."""

    seed: int | None

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(("noise", self.seed)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class LatentOperation:
    """A change of a latent: `tonemap_reinhard`, `sharpen` …, with its settings."""

    kind: str
    settings: tuple[tuple[str, Scalar], ...] = ()

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.kind, self.settings)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Guider:
    """How conditionings guide a model: the kind (`cfg`, `basic`, `dual_cfg`, `perp_neg`), prompts by role, scales."""

    kind: str
    model: Model
    conditionings: tuple[tuple[str, Conditioning], ...]
    settings: tuple[tuple[str, Scalar], ...] = ()

    @property
    def digest(self) -> str:
        parts = [(role, digest_of(conditioning).hex()) for role, conditioning in self.conditionings]
        return hashlib.sha256(repr((self.kind, self.model.digest, parts, self.settings)).encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """A ControlNet at work: what it is shown, how strongly it steers, and in which part of the sampling.

    A conditioning holds a tuple of these under `control`; their effects add up. hint: pictures [B, H, W, C], 0 … 1.
    start_percent, end_percent: 0 is pure noise, 1 the finished picture. extra: what some networks want besides.
    """

    net: ControlNet
    hint: Tensor
    strength: float = 1.0
    start_percent: float = 0.0
    end_percent: float = 1.0
    vae: Vae | None = None
    extra: tuple[tuple[str, Tensor], ...] = field(default=())

    @property
    def digest(self) -> str:
        tensors = [(name, digest_of(tensor).hex()) for name, tensor in (("hint", self.hint), *self.extra)]
        numbers = (self.strength, self.start_percent, self.end_percent)
        vae = None if self.vae is None else self.vae.digest
        return hashlib.sha256(repr((self.net.digest, tensors, numbers, vae)).encode()).hexdigest()


socket(Sampler, "SAMPLER", colour="#ecb4b4", description="a way from noise to picture")
socket(Noise, "NOISE", colour="#b0b0b0", description="the noise to begin with")
socket(LatentOperation, "LATENT_OPERATION", colour="#ff9cf9", description="a change of latents")
socket(Guider, "GUIDER", colour="#66ffff", description="a model and what guides it")
