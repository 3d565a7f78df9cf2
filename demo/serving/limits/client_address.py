"""Client address: which address, and which session of the page, a request comes from. Keeps nothing."""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import Scope

_SESSION = re.compile(rb'(?<!\\)"session_hash"\s*:\s*"([\w-]{1,64})"')
_TAIL = 1024  # bytes: the page's client writes what was typed first, and its session last


def address_of(scope: Scope, behind_proxy: bool) -> str:
    """Whose line it is: an IPv4 address, or an IPv6 network of /64, which is what one line gets.

    behind_proxy: the proxy before the page is believed. It writes the address that it saw at the end of
    X-Forwarded-For, and its own inner machines may add theirs: so the last public one counts. What stands before it
    may have been made up by whoever asks.
    """
    seen = (scope.get("client") or ("", 0))[0]
    if behind_proxy:
        said = [part.strip() for part in ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")]
        known = [address for address in map(_parse, said) if address is not None]
        chosen = next((address for address in reversed(known) if address.is_global), known[-1] if known else None)
        if chosen is not None:
            seen = str(chosen)
    address = _parse(seen)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or seen)


def session_of(body: bytes) -> str:
    """The session that a question of the page names; "" where there is none."""
    found = _SESSION.findall(body[-_TAIL:])
    return found[-1].decode() if found else ""


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
