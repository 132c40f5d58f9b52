"""A client's long websocket frames, cut into fragments before anybody reads them.

The parser below us waits for the end of a frame and then copies the whole of it several times in
one go: where it is 20 MB, everybody waits. Fragments mean the same, as if the client had made them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

FRAGMENT_BYTES = 1 << 15
"""Bytes of a fragment: 0.3 s of sound, as Realtime sends it. More keeps others waiting for longer.
As a multiple of 4 it leaves the mask as it is."""

_FINAL, _MASKED, _LENGTH = 0x80, 0x80, 0x7F
_USUAL = _MASKED | 126
_MORE = {126: 2, 127: 8}
"""Bytes of the length itself, where it is not in the 7 bits it is expected in."""


class Fragmenter:
    """What comes over one connection.

    longest: bytes of a frame that is cut; the parser refuses a longer one at its head. May change.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self._came = bytearray()
        self._unchanged = 0  # bytes of a frame that stays as it is, still to be passed on
        self._left = 0  # bytes of a frame that is cut, still to be passed on
        self._first, self._mask = 0, b""  # of the next fragment

    def feed(self, data: bytes) -> bytes:
        """The frames in other bytes, as far as they have come."""
        if not self._came and not self._left and self._is_short(data):
            return data
        self._came += data
        return b"".join(self._cut())

    def _is_short(self, data: bytes) -> bool:
        """Whether nothing in it is to be cut, as is usual; then it is passed on."""
        at, end = self._unchanged, len(data)
        while at < end:
            # What a microphone sends is measured here, in half the time.
            if end - at > 3 and data[at + 1] == _USUAL:
                head, length = 8, data[at + 2] << 8 | data[at + 3]
            elif measured := _measure(data, at):
                head, length = measured
            else:
                return False
            if FRAGMENT_BYTES < length <= self.longest:
                return False
            at += head + length
        self._unchanged = at - end
        return True

    def _cut(self) -> Iterator[bytes]:
        while self._came:
            if self._unchanged:
                size = min(self._unchanged, len(self._came))
                self._unchanged -= size
                yield self._taken(size)
            elif self._left:
                size = min(self._left, FRAGMENT_BYTES)
                if len(self._came) < size:
                    return
                yield self._head(size)
                yield self._taken(size)
            elif measured := _measure(self._came, 0):
                self._begin(*measured)
            else:
                return

    def _begin(self, head: int, length: int) -> None:
        if not FRAGMENT_BYTES < length <= self.longest:
            self._unchanged = head + length
            return
        self._first, self._left = self._came[0], length
        # Without a mask it is refused, as are its fragments.
        self._mask = bytes(self._came[head - 4 : head]) if self._came[1] & _MASKED else b""
        del self._came[:head]

    def _head(self, size: int) -> bytes:
        self._left -= size
        first = self._first if not self._left else self._first & ~_FINAL
        self._first &= _FINAL  # what follows is a continuation
        second = _MASKED if self._mask else 0
        if size < 126:
            return struct.pack("!BB", first, second | size) + self._mask
        return struct.pack("!BBH", first, second | 126, size) + self._mask

    def _taken(self, size: int) -> bytes:
        data = bytes(self._came[:size])
        del self._came[:size]
        return data


def _measure(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Bytes of the head of the frame that begins there, and of what follows; None if the head has
    not come whole.
    """
    if len(data) < at + 2:
        return None
    second = data[at + 1]
    length = second & _LENGTH
    more = _MORE.get(length, 0)
    head = 2 + more + (4 if second & _MASKED else 0)
    if len(data) < at + head:
        return None
    return head, int.from_bytes(data[at + 2 : at + 2 + more]) if more else length
