"""Allow-list of hosts, against DNS rebinding: another site's name that resolves to this machine gets no answer.

An address as the Host is nobody's name, and so always allowed. X-Forwarded-Host, of which Gradio makes the page's own
address, counts behind a proxy only.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from demo.domain.errors import HostNotAllowed
from demo.serving.refusal import refuse

_PORT = re.compile(r":\d*$")
_FORWARDED = "x-forwarded-host"


class AllowedHosts:
    """421 for a Host that is neither an address, nor this machine's name, nor in `names`; names None: any is answered.

    behind_proxy: whether X-Forwarded-Host counts; else it is replaced by the Host.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str] | None = None, behind_proxy: bool = False):
        self.app = app
        self.names = None if names is None else {name.lower().rstrip(".") for name in names} | own_names()
        self.behind_proxy = behind_proxy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = MutableHeaders(scope=scope)
        host = headers.get("host", "")
        del headers["x-gradio-server"]
        if _FORWARDED in headers and not self.behind_proxy:
            headers[_FORWARDED] = host  # not deleted: that a proxy has sent it must stay visible
        for named in (host, headers.get(_FORWARDED, "").partition(",")[0].strip()):
            if not self._is_allowed(named):
                return await refuse(scope, HostNotAllowed(host=named[:80]), 421)(scope, receive, send)
        return await self.app(scope, receive, send)

    def _is_allowed(self, host: str) -> bool:
        name = _PORT.sub("", host).lower().strip("[]").rstrip(".")
        if self.names is None or not name or name in self.names or name.endswith(".localhost"):
            return True
        try:
            return bool(ip_address(name.split("%")[0]))
        except ValueError:
            return False


def own_names() -> set[str]:
    """The names of this machine, in its own network too. Asks nobody."""
    name = socket.gethostname().lower()
    return {"localhost", name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}
