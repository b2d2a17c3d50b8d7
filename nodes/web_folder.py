"""The files of the nodes' page, where ComfyUI cannot serve them: aiohttp's static routes match no
folder whose name has to be quoted in an address, such as one with a space."""

from __future__ import annotations

import re
from pathlib import Path

from aiohttp import web

_WEB = Path(__file__).resolve().parent.parent / "web"


def pattern(name: str) -> str:
    """Return the route of this pack's files alone, for such a name."""
    # aiohttp leaves "%" quoted where it unquotes the rest.
    names = "|".join(map(re.escape, dict.fromkeys((name, name.replace("%", "%25")))))
    return f"/extensions/{{folder:{names}}}/{{file:.+}}"


async def serve(request: web.Request) -> web.StreamResponse:
    """Answer with a file of our web folder."""
    file = (_WEB / request.match_info["file"]).resolve()
    if not (file.is_relative_to(_WEB) and file.is_file()):
        return web.Response(status=404)
    return web.FileResponse(file)
