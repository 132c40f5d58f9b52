"""Which address or network counts as one client."""

from __future__ import annotations

import ipaddress


def network(address: str) -> str:
    """The address, or its network of IPv6 (/64): one client may have all of that."""
    found = parsed(address)
    if found is None or found.version == 4:
        return str(found or address)
    return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))


def parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, or None where it is not one; an IPv4 address in IPv6 form is an IPv4 address."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
