"""`/view`: files of the output, input and temp folders, as they are or as previews."""

from __future__ import annotations

from aiohttp import web

from nodegraph.server.errors import bad_request
from nodegraph.server.files import root_of, send_file
from nodegraph.server.keys import SETTINGS
from nodegraph.server.pictures import Version, parse_channel, parse_preview, send_version


async def view(request: web.Request) -> web.StreamResponse:
    """Send a file; with `preview` or `channel`, another version of the picture that it is."""
    query = request.query
    filename, subfolder = query.get("filename", ""), query.get("subfolder", "")
    if not filename:
        raise bad_request("'filename' says which file", input="filename")
    root = root_of(request.app[SETTINGS], query.get("type", "output"))
    name = f"{subfolder}/{filename}" if subfolder else filename
    preview, channel = query.get("preview"), query.get("channel")
    format_, quality = parse_preview(preview) if preview else ("png", 90)
    channels = parse_channel(channel) if channel else "rgba"
    if not preview and channels == "rgba":
        return await send_file(request, root, name)
    return await send_version(request, root, name, Version(format_, quality, channels))
