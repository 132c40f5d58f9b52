"""A long recording is cut where nobody speaks longest, and nothing of it is lost."""

import numpy as np
import pytest

from voicebot.conversation.endpointing import EndpointingSettings
from voicebot.transcription.cutting import LONGEST_S, SHORTEST_S, Cutter

RATE, WINDOW = 16000, 512
SECOND = RATE / WINDOW


def cut(*parts):
    """The pieces of a recording of (seconds, chance of speech) each; every sample is its place."""
    cutter = Cutter(RATE, WINDOW, EndpointingSettings())
    chances = [chance for seconds, chance in parts for _ in range(round(seconds * SECOND))]
    pieces = []
    for at, chance in enumerate(chances):
        window = np.arange(at * WINDOW, (at + 1) * WINDOW, dtype=np.float32)
        if piece := cutter.feed(window, chance):
            pieces.append(piece)
    if last := cutter.finish():
        pieces.append(last)
    for piece in pieces:
        assert piece.audio.samples[0] == round(piece.start * RATE)
        assert piece.end - piece.start == pytest.approx(piece.audio.seconds)
    return pieces


def spans(pieces):
    return [(round(piece.start, 1), round(piece.end, 1)) for piece in pieces]


def test_speech_keeps_some_silence_around_it():
    assert spans(cut((5, 0), (3, 1), (5, 0))) == [(4.7, 8.5)]


def test_pauses_that_people_make_in_a_sentence_stay_in_one_piece():
    assert spans(cut((3, 1), (0.5, 0), (3, 1), (1.5, 0), (3, 1))) == [(0.0, 11.0)]


def test_a_long_silence_ends_a_piece():
    assert spans(cut((3, 1), (4, 0), (3, 1))) == [(0.0, 3.5), (6.7, 10.0)]


def test_long_speech_is_cut_in_its_longest_pause():
    pieces = cut((10, 1), (1.2, 0), (6, 1), (0.4, 0), (4, 1), (0.8, 0), (10, 1))
    assert spans(pieces) == [(0.0, 22.0), (22.0, 32.4)]


def test_no_piece_of_long_speech_is_short():
    pieces = cut((5, 1), (1.5, 0), (60, 1))
    assert all(piece.audio.seconds >= SHORTEST_S for piece in pieces[:-1])


def test_without_any_pause_speech_is_cut_where_it_is_least_sure():
    pieces = cut((20, 0.9), (0.1, 0.5), (20, 0.9))
    assert spans(pieces) == [(0.0, 20.0), (20.0, 40.1)]


def test_of_long_speech_nothing_is_lost_or_said_twice():
    pieces = cut(*[(7.3, 0.9), (0.3, 0.1)] * 20)
    samples = np.concatenate([piece.audio.samples for piece in pieces])
    assert (np.diff(samples) == 1).all()
    assert len(samples) > 150 * RATE
    assert max(piece.audio.seconds for piece in pieces) <= LONGEST_S


@pytest.mark.parametrize("sound", [[], [(9, 0)], [(1, 0), (0.03, 1), (9, 0)]])
def test_where_nobody_speaks_there_is_no_piece(sound):
    assert cut(*sound) == []


def test_hours_of_silence_take_no_memory():
    cutter = Cutter(RATE, WINDOW, EndpointingSettings())
    for _ in range(2000):
        cutter.feed(np.zeros(WINDOW, np.float32), 0.0)
    assert len(cutter._windows) < 20
