"""Security headers, a content security policy (CSP) among them. A visit of every tab must violate none of it.

Inline scripts run by their digest alone, so no text that a person typed can run: no <script>, no onerror=, no
javascript:. Two directives must be loose. `unsafe-eval`: Gradio compiles the text of every listener's `js` and of every
component's template. `unsafe-inline` for styles: Svelte and Plotly write style attributes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), browsing-topics=()",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_DIRECTIVES = (
    "default-src 'self'",
    "script-src 'self' 'unsafe-eval' {scripts}",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "media-src 'self' data: blob:",
    "worker-src 'self' blob:",
    "object-src 'none'",
    "frame-src 'none'",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors {ancestors}",
)
_FILES = "/gradio_api/file="
_FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"  # a file runs nothing


class SecurityHeaders:
    """Adds the headers to every response, and a policy to every page and file.

    scripts: those that the page adds to its head by itself. embedded: in a frame of huggingface.co, as a Space is.
    rewrite: what is done to a page before, for its scope.
    """

    def __init__(
        self,
        app: ASGIApp,
        scripts: Sequence[str] = (),
        embedded: bool = False,
        rewrite: Callable[[bytes, Scope], bytes] = lambda page, scope: page,
    ):
        self.app = app
        self.rewrite = rewrite
        self.embedded = embedded
        self._added = [_digest(script.encode()) for script in scripts]
        self._ancestors = "'self' https://huggingface.co" if embedded else "'self'"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        page: list[Message] = []  # the messages of an HTML response, held back until it is complete

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                self._add_headers(headers, scope)
                if not scope["path"].startswith(_FILES) and headers.get("content-type", "").startswith("text/html"):
                    page.append(message)
                    return
            elif page:
                page.append(message)
                if message.get("more_body"):
                    return
                headers = MutableHeaders(scope=page[0])
                body = self.rewrite(b"".join(part.get("body", b"") for part in page[1:]), scope)
                headers["Content-Security-Policy"] = self._policy(body)
                headers.setdefault("Cache-Control", "no-cache, private")
                if "content-length" in headers and scope["method"] != "HEAD":
                    headers["Content-Length"] = str(len(body))
                await send(page[0])
                return await send({"type": "http.response.body", "body": body})
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _add_headers(self, headers: MutableHeaders, scope: Scope) -> None:
        for name, value in _ALWAYS.items():
            headers.setdefault(name, value)
        # Not in another site's frame, where it would cut the page off; over plain HTTP browsers complain about it.
        if not self.embedded and _is_encrypted(scope):
            headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        if scope["path"].startswith(_FILES):
            headers["Content-Security-Policy"] = _FILE_POLICY

    def _policy(self, page: bytes) -> str:
        """The policy of this page, by its scripts: the server alone wrote it, and it holds no person's text."""
        scripts = " ".join(dict.fromkeys([*map(_digest, _SCRIPT.findall(page)), *self._added]))
        return "; ".join(_DIRECTIVES).format(scripts=scripts, ancestors=self._ancestors)


def _is_encrypted(scope: Scope) -> bool:
    return scope["scheme"] == "https" or Headers(scope=scope).get("x-forwarded-proto", "").startswith("https")


def _digest(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
