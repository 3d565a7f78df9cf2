"""Headers: what a browser may do with the page. Proven by a visit of every tab without a single complaint.

Inline scripts run by their digest alone, so that nothing that somebody typed can ever be one: no <script>, no
onerror=, no javascript:. Two directives must be loose. `unsafe-eval`: Gradio makes functions of the text of every
listener's `js` and of every component's template. `unsafe-inline` for styles: Svelte and Plotly write style attributes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

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
    """Writes them on every answer, and a content security policy on every page.

    scripts: those that the page adds to its head by itself. embedded: in a frame of huggingface.co, as a Space is.
    """

    def __init__(self, app: ASGIApp, scripts: Sequence[str] = (), embedded: bool = False):
        self.app = app
        self.embedded = embedded
        self._added = [_digest(script.encode()) for script in scripts]
        self._ancestors = "'self' https://huggingface.co" if embedded else "'self'"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        held: list[Message] = []  # a page's answer, until all of it is known

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
                # Not in a frame of another site, which must not be cut off; over plain HTTP browsers complain of it.
                if not self.embedded and _is_encrypted(scope):
                    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
                if scope["path"].startswith(_FILES):
                    headers["Content-Security-Policy"] = _FILE_POLICY
                elif headers.get("content-type", "").startswith("text/html"):
                    held.append(message)
                    return
                await send(message)
            elif held:
                held.append(message)
                if not message.get("more_body"):
                    page = b"".join(part.get("body", b"") for part in held[1:])
                    headers = MutableHeaders(scope=held[0])
                    headers["Content-Security-Policy"] = self._policy(page)
                    headers.setdefault("Cache-Control", "no-cache, private")
                    for part in held:
                        await send(part)
            else:
                await send(message)

        await self.app(scope, receive, guarded)

    def _policy(self, page: bytes) -> str:
        """What this very page may do: it was put together by the server alone, and holds nobody's text."""
        scripts = [*map(_digest, _SCRIPT.findall(page)), *self._added]
        told = {"scripts": " ".join(dict.fromkeys(scripts)), "ancestors": self._ancestors}
        return "; ".join(directive.format(**told) for directive in _DIRECTIVES)


def _is_encrypted(scope: Scope) -> bool:
    return scope["scheme"] == "https" or Headers(scope=scope).get("x-forwarded-proto", "").startswith("https")


def _digest(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
