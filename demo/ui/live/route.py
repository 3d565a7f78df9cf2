"""POST /live: the route that answers an edit. heatmap.js draws its JSON answer; live.js is the only one that asks.

The hops of a key press, from the key to the picture:

    live.js     the DOM's `input` event → choose → ask → send
    serving/    RequestLog → AssetCache → SecurityHeaders → AllowedRoutes → ConcurrencyLimit → BodyLimits → RateLimit
    route.py    answer_request: JSON, language; a worker thread
    handlers.py LiveHandlers.answer → Form.parse → Lab.compare (prompts, engine, post-processing, similarity)
    payload.py  render_payload: the figure, the words around it, what changes in the widgets
    live.js     take → heatmap.js: draw (Plotly.react, cell_text.js) → page.js: writePieces → paint
"""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import suppress
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo.domain.errors import RequestUnreadable, Stopped
from demo.jobs.request_context import request_context
from demo.lab import Lab
from demo.serving.limits.client_address import page_of
from demo.ui.gradio.private import visitor_of
from demo.ui.kit.i18n import choose_language, translate_error
from demo.ui.live.handlers import LiveHandlers


def create_live_route(lab: Lab) -> Route:
    """The route over a lab. A request whose page has gone is cancelled before its texts run."""
    handlers = LiveHandlers(lab)

    async def answer_request(request: Request) -> Response:
        language = choose_language(request)
        try:
            body = json.loads(await request.body())
        except ValueError:
            return _json({"error": translate_error(language, RequestUnreadable())}, 400)
        page = page_of(request.scope)
        relabel = "lang" in request.query_params
        gone = threading.Event()

        def answer() -> dict[str, Any]:
            with visitor_of(request), request_context(is_cancelled=gone.is_set, asker=page):
                return handlers.answer(language, body, page, relabel)

        watching = asyncio.create_task(_set_when_gone(request, gone))
        try:
            return _json(await anyio.to_thread.run_sync(answer))
        except Stopped:
            return Response(status_code=204)  # nobody reads it
        finally:
            watching.cancel()

    return Route("/live", answer_request, methods=["POST"])


async def _set_when_gone(request: Request, gone: threading.Event) -> None:
    with suppress(asyncio.CancelledError):
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()


def _json(payload: dict[str, Any], status: int = 200) -> Response:
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), status, media_type="application/json")
