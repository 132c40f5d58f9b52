"""At which addresses other machines reach this one, so that a phone can be pointed at it."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from typing import TextIO

from ..errors import MissingDependency
from ..standard_streams import writes

ANYWHERE = {socket.AF_INET: ("192.0.2.1", 9), socket.AF_INET6: ("2001:db8::1", 9)}
"""Addresses of documentation (RFC 5737, RFC 3849). To connect a UDP socket sends nothing: it only
says by which of our addresses a packet would leave."""


def own_addresses() -> list[str]:
    """This machine's addresses that others reach, the likeliest first."""
    found = []
    for family, far in ANYWHERE.items():
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(far)
            found.append(str(probe.getsockname()[0]))
    with suppress(OSError):
        found += [str(about[4][0]) for about in socket.getaddrinfo(socket.gethostname(), None)]
    return [address for address in dict.fromkeys(found) if _is_reached(address)]


def addresses(host: str) -> list[str]:
    """Of a server that listens at `host`, an address: those at which other machines find it."""
    try:
        listened = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return []
    if not listened.is_unspecified:
        return [host] if _is_reached(host) else []
    # One that listens at :: is reached at IPv4's addresses, too.
    own = own_addresses()
    return own if listened.version == 6 else [each for each in own if ":" not in each]


def url(address: str, port: int, *, is_safe: bool) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"http{'s' if is_safe else ''}://{host}:{port}"


def _is_reached(address: str) -> bool:
    if "%" in address:  # of one link, which no address in a browser can name
        return False
    found = ipaddress.ip_address(address)
    return not (found.is_loopback or found.is_link_local or found.is_unspecified)


def draw(text: str, out: TextIO) -> None:
    """Draw `text` as a QR code on a terminal, dark on light whatever its colours are.

    Raises:
        MissingDependency: the package that makes such codes is not installed.
    """
    try:
        import segno
    except ImportError:
        raise MissingDependency("--qr needs segno; voicebot install phone") from None
    code = segno.make(text, error="l", micro=False)
    if not writes(out, "█▀▄"):
        code.terminal(out)
        return
    rows = [[bool(module) for module in row] for row in code.matrix_iter(border=2)]
    rows += [[False] * len(rows[0])] * (len(rows) % 2)
    for above, below in zip(rows[::2], rows[1::2], strict=True):
        line = "".join(" ▄▀█"[2 * (not a) + (not b)] for a, b in zip(above, below, strict=True))
        out.write(f"\033[97;40m{line}\033[0m\n")
    out.flush()
