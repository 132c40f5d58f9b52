"""Long frames of a client's, cut."""

import random

import pytest
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from voicebot.server.websocket_fragments import FRAGMENT_BYTES, Fragmenter

LONGEST = 10 * FRAGMENT_BYTES
LUCK = random.Random(1)


def masked(opcode, data, fin=True):
    return Frame(opcode, data, fin).serialize(mask=True)


def cut(sent, at_once=8192):
    """What is passed on of it."""
    cutter = Fragmenter(LONGEST)
    return b"".join(cutter.feed(sent[at : at + at_once]) for at in range(0, len(sent), at_once))


def parsed(data):
    """The frames in it."""
    reader, frames = StreamReader(), []
    reader.feed_data(data)
    while reader.buffer:
        frame = Frame.parse(reader.read_exact, mask=True, max_size=LONGEST)
        with pytest.raises(StopIteration) as end:
            next(frame)
        frames.append(end.value.value)
    return frames


def test_short_frames_are_left_as_they_are():
    sent = [
        masked(Opcode.TEXT, b""),
        masked(Opcode.TEXT, b"x" * 125),
        masked(Opcode.BINARY, b"x" * 126, fin=False),
        masked(Opcode.CONT, b"x" * FRAGMENT_BYTES),
        masked(Opcode.PING, b"?"),
        b"\x81\x01x",  # unmasked, which the parser is to refuse
    ]
    for at_once in (1, 7, 10**6):
        assert cut(b"".join(sent), at_once) == b"".join(sent)


@pytest.mark.parametrize(
    "length", [FRAGMENT_BYTES + 1, 2 * FRAGMENT_BYTES, 2 * FRAGMENT_BYTES + 200, LONGEST]
)
@pytest.mark.parametrize("at_once", [1000, 8192, 10**6])
def test_a_long_frame_becomes_fragments_of_the_same_message(length, at_once):
    data = LUCK.randbytes(length)
    frames = parsed(cut(masked(Opcode.BINARY, data), at_once))
    assert b"".join(frame.data for frame in frames) == data
    assert max(len(frame.data) for frame in frames) == FRAGMENT_BYTES
    kinds = [frame.opcode for frame in frames]
    assert kinds == [Opcode.BINARY, *[Opcode.CONT] * (len(frames) - 1)]
    assert [frame.fin for frame in frames] == [*[False] * (len(frames) - 1), True]


def test_what_a_client_has_cut_itself_goes_on_where_it_went_on():
    first, second = LUCK.randbytes(FRAGMENT_BYTES + 5), LUCK.randbytes(FRAGMENT_BYTES + 5)
    sent = masked(Opcode.TEXT, first, fin=False) + masked(Opcode.PING, b"?")
    frames = parsed(cut(sent + masked(Opcode.CONT, second) + masked(Opcode.TEXT, b"next")))
    assert [(frame.opcode, len(frame.data), frame.fin) for frame in frames] == [
        (Opcode.TEXT, FRAGMENT_BYTES, False), (Opcode.CONT, 5, False), (Opcode.PING, 1, True),
        (Opcode.CONT, FRAGMENT_BYTES, False), (Opcode.CONT, 5, True), (Opcode.TEXT, 4, True),
    ]  # fmt: skip


def test_a_fragment_is_passed_on_when_it_is_there():
    cutter = Fragmenter(LONGEST)
    sent = masked(Opcode.TEXT, bytes(LONGEST))
    assert cutter.feed(sent[:FRAGMENT_BYTES]) == b""
    (frame,) = parsed(cutter.feed(sent[FRAGMENT_BYTES : FRAGMENT_BYTES + 100]))
    assert len(frame.data) == FRAGMENT_BYTES


def test_a_frame_that_is_too_long_is_refused_at_its_head():
    with pytest.raises(PayloadTooBig):
        parsed(cut(masked(Opcode.TEXT, bytes(LONGEST + 1))[:20]))


def test_a_long_frame_without_a_mask_is_still_without_one():
    with pytest.raises(ProtocolError, match="masking"):
        parsed(cut(Frame(Opcode.TEXT, bytes(2 * FRAGMENT_BYTES)).serialize(mask=False)))


def test_a_long_ping_is_refused_at_its_first_fragment():
    with pytest.raises(ProtocolError):
        parsed(cut(masked(Opcode.BINARY, bytes(3 * FRAGMENT_BYTES)).replace(b"\x82", b"\x89", 1)))
