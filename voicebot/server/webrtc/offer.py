"""What a client offers in SDP, read before anything acts on it."""

from __future__ import annotations

from .addresses import is_near

MAX_OFFER_BYTES = 64 * 2**10
"""Bytes of an offer; a browser's with sound and a data channel has 3 kB."""
MAX_OFFER_LINES = 1000
"""Of an offer, some 5 ms to read; a browser's has 100, and 300 with pictures."""
SECTIONS = 4
"""Kinds of media it may have; each costs sockets until the call is made."""
CANDIDATES = 16
"""Addresses that are tried of those an offer names."""


class BadOffer(ValueError):
    """It is no offer that could be answered, and why."""


def usable(text: str, *, far: bool) -> str:
    """The offer with only the addresses in it that we are to try.

    far: also those that are not on this machine or its local network.

    Raises:
        BadOffer: it holds no sound that could be answered, or is no SDP.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    if lines[0].strip() != "v=0":
        raise BadOffer("the body is no SDP: its first line should be v=0")
    if not any(line.startswith("m=audio ") for line in lines):
        raise BadOffer("the offer has no audio; add a track or an audio transceiver before it")
    media = [line.split()[0] for line in lines if line.startswith("m=")]
    if len(lines) > MAX_OFFER_LINES or len(media) > SECTIONS or media.count("m=application") > 1:
        raise BadOffer(
            f"the offer is too long: at most {MAX_OFFER_LINES} lines, "
            f"{SECTIONS} sections m= and one of data"
        )
    for needed in ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:"):
        if not any(line.startswith(needed) for line in lines):
            raise BadOffer(f"the offer has no line {needed}; there is no call without ICE and DTLS")
    kept, tried = [], 0
    for line in lines:
        if line.startswith("a=candidate:"):
            parts = line.split()
            if tried >= CANDIDATES or len(parts) < 8 or not (far or is_near(parts[4])):
                continue
            tried += 1
        kept.append(line)
    return "\r\n".join(kept) + "\r\n"
