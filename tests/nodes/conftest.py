from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nodegraph.cache.pool import LivePool
from nodegraph.context import Context
from nodegraph.sockets import Conditioning, Latent
from nodes.checkpoints import Checkpoint, CheckpointLoaderSimple
from nodes.prompt import CLIPTextEncode
from tests.helpers import context_in


class Tiny(SimpleNamespace):
    """The shipped model, loaded once: its handles, two prompts, and a context that keeps its weights."""

    checkpoint: Checkpoint
    positive: Conditioning
    negative: Conditioning
    context: Context
    pool: LivePool

    def canvas(self, size: int = 64, batch: int = 1) -> Latent:
        return {"samples": torch.zeros(batch, 4, size // 8, size // 8)}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    pool = LivePool()
    context = context_in(tmp_path_factory.mktemp("tiny"), pool)
    checkpoint = CheckpointLoaderSimple("tiny", context)
    yield Tiny(
        checkpoint=checkpoint,
        positive=CLIPTextEncode("a red star at night", checkpoint.CLIP, context),
        negative=CLIPTextEncode("", checkpoint.CLIP, context),
        context=context,
        pool=pool,
    )
    pool.clear()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A context with empty folders of its own."""
    return context_in(tmp_path)
