"""Client address: which address, and which open page behind it, a request comes from. Keeps nothing."""

from __future__ import annotations

import ipaddress
import os
import re

from starlette.datastructures import Headers
from starlette.types import Scope

PAGE_HEADER = "x-page-id"  # static/retry_429.js sends it with every request of a page
_PAGE = re.compile(r"[\w-]{1,64}")


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


def ignore_forwarded_addresses() -> None:
    """Keep uvicorn, which by default believes this machine's own X-Forwarded-For, from it: `address_of` alone reads it.

    For servers that are made from now on.
    """
    os.environ["FORWARDED_ALLOW_IPS"] = ""


def page_of(scope: Scope) -> str:
    """The id that an open page sends with its requests; "" for programs, which share what one page may."""
    page = Headers(scope=scope).get(PAGE_HEADER, "")
    return page if _PAGE.fullmatch(page) else ""


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip().split("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
