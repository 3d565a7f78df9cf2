"""Allow-list of routes, and the CSRF check. Only the addresses that the page and programs need are served.

Gradio serves much more than this page uses: a file proxy, a proxy to other hosts, a code editor, dashboards. The CSRF
check is that of Fetch Metadata (W3C): `Sec-Fetch-Site` must be same-origin or none. Browsers omit it over plain HTTP;
there `Origin` (RFC 6454) must name the requested host.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

_ALLOWED = re.compile(
    r"/"
    r"|/(config|theme\.css|favicon\.ico|manifest\.json|robots\.txt)/?"
    r"|/(assets|static|svelte)/[^\\]+"
    r"|/gradio_api/(info|openapi\.json|app_id|startup-events|theme\.css|upload|upload_progress|reset|cancel)/?"
    r"|/gradio_api/queue/(join|data|status)"
    r"|/gradio_api/heartbeat/[\w-]{1,64}"
    r"|/gradio_api/(run|api)/\w{1,64}/?"
    r"|/gradio_api/call/(v2/)?\w{1,64}(/[\w-]{1,64})?/?"
    # A file that the page offers, by its path on this disk; never by the URL of another host.
    r"|/gradio_api/file=(?!//)(?!\w+:/)(?!.*\\)(?!.*\.\.).+"
)
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
_METHODS = {*_SAFE_METHODS, "POST"}
_SAME_SITE = {"same-origin", "none"}


class AllowedRoutes:
    """404 for other addresses, 405 for other methods, 403 for a cross-site request. routes: our own, all allowed."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute] = (), behind_proxy: bool = False):
        self.app = app
        self.routes = routes
        self.behind_proxy = behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there is none here
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        if not any(route.matches(scope)[0] is not Match.NONE for route in self.routes):
            if scope["method"] not in _METHODS:
                return await PlainTextResponse("Method not allowed", 405)(scope, receive, send)
            if not _ALLOWED.fullmatch(scope["path"]):
                return await PlainTextResponse("Not found", 404)(scope, receive, send)
        if scope["method"] not in _SAFE_METHODS and self._is_cross_site(Headers(scope=scope)):
            return await PlainTextResponse("Asked for by another site", 403)(scope, receive, send)
        return await self.app(scope, receive, send)

    def _is_cross_site(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site not in _SAME_SITE
        origin = headers.get("origin")
        if origin is None:
            return False  # not a browser
        hosts = {headers.get("host", "")}
        if self.behind_proxy:
            hosts.add(headers.get("x-forwarded-host", ""))
        try:
            return urlsplit(origin).netloc not in hosts
        except ValueError:
            return True
