"""The routes below /rmbg/ of ComfyUI's server: who asks is looked at, and JSON goes both ways."""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

from ..config.settings import read_settings
from ..core.errors import RmbgError
from ..core.report import JsonValue
from .comfy_host import listening_at
from .page_answers import ANSWERS, CHANGES, BadRequest
from .route_guard import Refused, check_change, check_request


async def answer(request: web.Request) -> web.Response:
    """Answer a question of the node's own page; the work is done in a thread, and may block."""
    name = request.match_info["name"]
    if name not in ANSWERS:
        return _said(404, "There is no such question.")
    refused = check_request(request.headers, request.content_length)
    if refused is None and name in CHANGES:
        refused = _check_change(request)
    if refused is not None:
        return _said(refused.status, refused.words)
    try:
        asked: JsonValue = json.loads(await request.read())
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        return _said(400, "A JSON object is wanted.")
    try:
        return web.json_response(await asyncio.to_thread(ANSWERS[name], asked))
    except BadRequest as error:
        return _said(400, str(error))
    except RmbgError as error:  # the user's to read, and no mistake of the page
        return _said(200, str(error))


def _check_change(request: web.Request) -> Refused | None:
    try:
        allowed = read_settings().remote_setup
    except RmbgError as error:
        return Refused(200, str(error))
    return check_change(request.headers, listening_at(), allowed=allowed)


def _said(status: int, words: str) -> web.Response:
    """An answer that is only a sentence. It never holds a key."""
    return web.json_response({"error": words}, status=status)
