"""Under which addresses this machine is reached in its own network. Asks the machine only, nobody outside."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

import psutil

_MADE_BY_SOFTWARE = tuple("docker br- veth virbr vmnet vbox vethernet cni flannel tun tap utun wg".split())


def network_addresses() -> list[str]:
    """IPv4 addresses of the interfaces that are up, the likeliest first: those of a home or school network, and behind
    them what containers, virtual machines and tunnels have made."""
    try:
        state, interfaces = psutil.net_if_stats(), psutil.net_if_addrs()
    except OSError:  # a sandbox that hides them
        return []
    found = {
        address.address: name
        for name, addresses in interfaces.items()
        for address in addresses
        if address.family == socket.AF_INET and name in state and state[name].isup
    }
    outside = {text: name for text, name in found.items() if _reachable(IPv4Address(text))}
    return sorted(outside, key=lambda text: _unlikeliness(outside[text], IPv4Address(text)))


def _reachable(address: IPv4Address) -> bool:
    return not (address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast)


def _unlikeliness(interface: str, address: IPv4Address) -> tuple:
    return interface.lower().startswith(_MADE_BY_SOFTWARE), not address.is_private, interface, address
