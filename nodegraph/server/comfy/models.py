"""`/models`, `/embeddings` and `/view_metadata`: which files of models there are."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Final, cast

from aiohttp import web

from nodegraph.context import MODEL_SUFFIXES, Roots
from nodegraph.resources import models_folder
from nodegraph.server.errors import not_found
from nodegraph.server.keys import SETTINGS
from nodegraph.server.settings import ServerSettings

KINDS: Final = (
    "checkpoints",
    "clip",
    "clip_vision",
    "controlnet",
    "diffusers",
    "diffusion_models",
    "embeddings",
    "ipadapter",
    "loras",
    "style_models",
    "text_encoders",
    "unet",
    "upscale_models",
    "vae",
    "vae_approx",
)
MAX_HEADER: Final = 25_000_000


def roots_of(settings: ServerSettings) -> Roots:
    """The folders of models that the server shows, those that come with nodegraph last."""
    models = tuple(dict.fromkeys((*settings.models, models_folder())))
    return Roots(models=models, extra_models=settings.extra_models)


def kinds_of(roots: Roots) -> list[str]:
    """The kinds of models: those that nodes know, and the folders that somebody made."""
    made = [path.name for root in roots.models if root.is_dir() for path in root.iterdir() if path.is_dir()]
    named = [*KINDS, *made, *(kind for kind, _ in roots.extra_models)]
    return sorted({name for name in named if not name.startswith(".")})


async def get_models(request: web.Request) -> web.Response:
    """The kinds of models."""
    return web.json_response(await asyncio.to_thread(kinds_of, roots_of(request.app[SETTINGS])))


async def get_models_of(request: web.Request) -> web.Response:
    """The files of a kind."""
    roots, kind = await _known(request)
    return web.json_response(await asyncio.to_thread(roots.list_models, kind))


async def get_embeddings(request: web.Request) -> web.Response:
    """The names of textual inversions, as prompts may have them."""
    names = await asyncio.to_thread(roots_of(request.app[SETTINGS]).list_models, "embeddings")
    return web.json_response(sorted({name.rsplit(".", 1)[0] for name in names}))


async def get_folders(request: web.Request) -> web.Response:
    """The kinds of models with their folders."""
    roots = roots_of(request.app[SETTINGS])
    kinds = await asyncio.to_thread(kinds_of, roots)
    return web.json_response(
        [{"name": kind, "folders": [str(path) for path in roots.model_folders(kind)]} for kind in kinds]
    )


async def get_files(request: web.Request) -> web.Response:
    """The files of a kind, with the folder that each lies in and its size."""
    roots, kind = await _known(request)

    def listed() -> list[dict[str, object]]:
        found: list[dict[str, object]] = []
        for i, folder in enumerate(roots.model_folders(kind)):
            for name in roots.list_files((folder,), MODEL_SUFFIXES):
                status = (folder / name).stat()
                facts: dict[str, object] = {"name": name, "pathIndex": i, "size": status.st_size}
                found.append(facts | {"modified": status.st_mtime, "created": status.st_ctime})
        return found

    return web.json_response(await asyncio.to_thread(listed))


async def get_metadata(request: web.Request) -> web.Response:
    """What a safetensors file says about itself."""
    roots, kind = await _known(request)
    name = request.query.get("filename", "")
    path = await asyncio.to_thread(roots.find_model, kind, name) if name.endswith((".safetensors", ".sft")) else None
    found = await asyncio.to_thread(metadata_of, path) if path is not None and path.is_file() else None
    if found is None:
        raise not_found("metadata")
    return web.json_response(found)


def metadata_of(path: Path) -> dict[str, object] | None:
    """The texts in the header of a safetensors file; None if it has none, or is none."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(MAX_HEADER, path.stat().st_size):
                return None
            header = json.loads(stream.read(length))
    except (OSError, ValueError, RecursionError):
        return None
    found = cast("dict[str, object]", header).get("__metadata__") if isinstance(header, dict) else None
    return cast("dict[str, object]", found) if isinstance(found, dict) else None


async def _known(request: web.Request) -> tuple[Roots, str]:
    """The folders, and the kind that the address names. Raises ProblemError."""
    roots, kind = roots_of(request.app[SETTINGS]), request.match_info["folder"]
    if kind not in await asyncio.to_thread(kinds_of, roots):
        raise not_found("kind of model")
    return roots, kind
