"""Which addresses a call may use: loopback and the local network, unless the settings say more."""

from __future__ import annotations

import ipaddress

SHARED = ipaddress.ip_network("100.64.0.0/10")
"""Addresses of carriers and of private networks over the internet, such as Tailscale's."""


def is_near(address: str) -> bool:
    """Whether an address is on this machine or its local network; a name never is."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.is_unspecified or ip.is_multicast or ip.is_reserved:
        return False
    return ip.is_loopback or ip.is_private or ip in SHARED
