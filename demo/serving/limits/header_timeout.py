"""Connections: a client that never finishes saying what it wants is hung up on. uvicorn has no limit of its own."""

from __future__ import annotations

import asyncio

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

_SECONDS = 15.0  # for the head of a request: a phone on a bad line needs one or two


class HeaderTimeoutProtocol(H11Protocol):
    """HTTP/1.1 with a time limit for the head of a request, from when the connection, or the next request, began."""

    seconds = _SECONDS
    _hang_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _watch(self) -> None:
        """The time runs while a head is not whole. Between requests it is uvicorn's own that runs."""
        if self.conn.their_state is not h11.IDLE:
            self._forget()
        elif self._hang_up is None:
            self._hang_up = self.loop.call_later(self.seconds, self.transport.close)

    def _forget(self) -> None:
        if self._hang_up is not None:
            self._hang_up.cancel()
            self._hang_up = None


def set_header_timeout(server: uvicorn.Server) -> None:
    """Connections that come from now on are watched."""
    server.config.http_protocol_class = HeaderTimeoutProtocol
