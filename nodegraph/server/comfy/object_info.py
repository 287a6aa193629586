"""`/object_info`: what node types there are, as clients know them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from aiohttp import hdrs, web

from nodegraph.jobs.model import Json
from nodegraph.server.files import matches
from nodegraph.server.keys import SERVICE


async def get_object_info(request: web.Request) -> web.Response:
    """All node types. Whoever has them already is told that nothing has changed."""
    catalogue = await request.app[SERVICE].catalogue()
    headers = {hdrs.ETAG: f'"{catalogue["digest"]}"'}
    if matches(request.headers.get(hdrs.IF_NONE_MATCH), headers[hdrs.ETAG]):
        return web.Response(status=304, headers=headers)
    return web.json_response(catalogue["object_info"], headers=headers)


async def get_object_info_of(request: web.Request) -> web.Response:
    """One node type; an empty object if there is none of this name."""
    catalogue = await request.app[SERVICE].catalogue()
    types, name = cast(Json, catalogue["object_info"]), request.match_info["name"]
    return web.json_response({name: types[name]} if name in types else {})


def web_folders(catalogue: Json) -> Mapping[str, str]:
    """The folders of packs' files for the browser."""
    return cast("Mapping[str, str]", catalogue.get("web") or {})
