"""Client address: which address, and which session of the page, a request comes from. Keeps nothing."""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import Scope

_SESSION = re.compile(rb'(?<!\\)"session_hash"\s*:\s*"([\w-]{1,64})"')
_TAIL = 1024  # bytes: the page's client writes what was typed first, and its session last


def address_of(scope: Scope, behind_proxy: bool) -> str:
    """The client's IPv4 address, or its IPv6 network of /64, which is what one line gets.

    behind_proxy: trust X-Forwarded-For. The proxy appends the address that it saw, and machines behind it may append
    theirs: so the last public one counts. The client may have made up those before it.
    """
    client = (scope.get("client") or ("", 0))[0]
    address = _parse(client)
    if behind_proxy:
        forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        valid = [parsed for parsed in map(_parse, forwarded) if parsed is not None]
        address = next((parsed for parsed in reversed(valid) if parsed.is_global), valid[-1] if valid else address)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address or client)


def session_of(body: bytes) -> str:
    """The session that a question of the page names; "" where there is none."""
    found = _SESSION.findall(body[-_TAIL:])
    return found[-1].decode() if found else ""


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip().split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
