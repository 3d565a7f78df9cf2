"""Header timeout: closes a connection that does not complete a request's head. uvicorn has no limit of its own."""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_SECONDS = 15.0  # for the head of a request: a phone on a bad line needs one or two


class HeaderTimeoutProtocol(H11Protocol):
    """HTTP/1.1 with a time limit for the head, from the start of the connection or of the next request."""

    seconds = _SECONDS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._update_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timer()

    def _update_timer(self) -> None:
        """The timer runs while a head is incomplete. Between requests uvicorn's own keep-alive timeout runs."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def set_header_timeout(server: uvicorn.Server) -> None:
    """Applies to connections that begin from now on."""
    server.config.http_protocol_class = HeaderTimeoutProtocol
