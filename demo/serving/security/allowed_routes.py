"""AllowedRoutes: which addresses are open, and to whom. All that the page and its programs do not need stays shut.

Gradio serves much more than this page uses: a file proxy, a proxy to other hosts, a code editor, dashboards.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.serving.refusal import close_socket

_OPEN = re.compile(
    r"/"
    r"|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?"
    r"|/(assets|static|svelte)/[^\\]+"
    r"|/gradio_api/(info|openapi\.json|app_id|startup-events|theme\.css|upload|upload_progress|reset|cancel)/?"
    r"|/gradio_api/queue/(join|data|status)"
    r"|/gradio_api/heartbeat/[\w-]{1,64}"
    r"|/gradio_api/(run|api)/\w{1,64}/?"
    r"|/gradio_api/call/(v2/)?\w{1,64}(/[\w-]{1,64})?/?"
    # A file that was made to be fetched, by its place on this disk; never by an address of another host.
    r"|/gradio_api/file=(?!//)(?!\w+:/)(?!.*\\)(?!.*\.\.).+"
)
_ASKING = {"GET", "HEAD", "OPTIONS"}
_METHODS = {*_ASKING, "POST"}
_HERE = {"same-origin", "none"}


class AllowedRoutes:
    """404 for what is shut, 403 for what another site asks through somebody's browser. routes: our own, all open."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute] = (), behind_proxy: bool = False):
        self.app = app
        self.routes = routes
        self.behind_proxy = behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await close_socket(receive, send)
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if not self._ours(scope):
            if scope["method"] not in _METHODS:
                return await PlainTextResponse("Method not allowed", 405)(scope, receive, send)
            if not _OPEN.fullmatch(scope["path"]):
                return await PlainTextResponse("Not found", 404)(scope, receive, send)
        if scope["method"] not in _ASKING and self._foreign(Headers(scope=scope)):
            return await PlainTextResponse("Asked for by another site", 403)(scope, receive, send)
        return await self.app(scope, receive, send)

    def _ours(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self.routes)

    def _foreign(self, headers: Headers) -> bool:
        """Whether a page of another site asks. Browsers say so themselves; over plain HTTP by the Origin alone."""
        said = headers.get("sec-fetch-site")
        if said is not None:
            return said not in _HERE
        origin = headers.get("origin")
        if origin is None:
            return False  # a program
        hosts = {headers.get("host", "")}
        if self.behind_proxy:
            hosts.add(headers.get("x-forwarded-host", ""))
        try:
            return urlsplit(origin).netloc not in hosts
        except ValueError:
            return True
