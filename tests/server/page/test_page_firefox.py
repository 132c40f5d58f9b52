"""The page in a real Firefox: what differs there is sound, its permission, and how it looks."""

import numpy as np
import pytest
from calling import Parts, serving_browsers
from firefox import needed, visiting
from room import Synthesizer, Transcriber
from test_page import QUESTION, STORY

from voicebot.audio import Audio
from voicebot.engines import Speech

pytestmark = needed


class Hummer(Synthesizer):
    """Hums each word for 0.3 s."""

    async def synthesize(self, text):
        hum = 0.5 * np.sin(2 * np.pi * 440 * np.arange(7200) / 24000)
        for _ in text.split():
            yield Speech(Audio(hum.astype(np.float32), 24000))


def test_a_spoken_question_is_understood_and_its_answer_is_heard_to_the_end(tmp_path):
    parts = Parts(*STORY, stt=Transcriber("what is the time", takes=0.0), tts=Hummer())
    with serving_browsers(parts) as cable, visiting(cable, tmp_path) as person:
        person.press("talk")
        person.waits_for_state("Listening")
        person.keeps("#state", ".bot > p")
        with person.listening() as file:
            person.asks(QUESTION)
            person.waits_for(lambda: ["Speaking", "One two"] in person.kept)
            person.waits_for_state("Listening")
        assert person.sees(".you p") == ["what is the time"]
        assert person.sees(".bot > p") == [" ".join(STORY)]
    assert parts.history[1] == ("assistant", " ".join(STORY))
    played = np.fromfile(file, "<i2")
    pieces = played[: len(played) // 240 * 240].reshape(-1, 240)  # of 10 ms
    loud = np.count_nonzero(np.abs(pieces).max(axis=1) > 1000)
    assert 0.01 * loud == pytest.approx(0.3 * len(STORY), abs=0.2)


def test_speaking_over_the_answer_cuts_it(tmp_path):
    parts = Parts(*STORY)
    with serving_browsers(parts) as cable, visiting(cable, tmp_path) as person:
        person.press("talk")
        person.type("a story")
        person.waits_for(lambda: person.sees(".bot > p"))
        person.asks(QUESTION)
        person.waits_for(lambda: any("interrupted" in text for text in person.sees(".bot > p")))
        heard = person.sees(".bot > p")[0].removesuffix(" — interrupted")
        assert " ".join(STORY).startswith(heard)
        person.waits_for(lambda: len(parts.history) >= 2)
        assert parts.history[1] == ("assistant", heard)


def test_the_microphone_can_be_muted_and_the_reply_stopped_with_a_key(tmp_path):
    parts = Parts(*STORY)
    with serving_browsers(parts) as cable, visiting(cable, tmp_path) as person:
        person.press("talk")
        person.waits_for_state("Listening")
        person.press("mute")
        assert person.state == "Muted"
        person.type("a story")
        person.asks(QUESTION)
        person.waits_for_state("Speaking")
        person.press("stop")
        person.waits_for_state("Muted")
        person.type("once more")
        person.waits_for_state("Speaking")
        person.driver.keys("\ue00c")  # Escape
        person.waits_for_state("Muted")
        assert [text for role, text in parts.history if role == "user"] == ["a story", "once more"]


def test_a_connection_cut_in_mid_reply_costs_no_word_and_neither_does_a_reload(tmp_path):
    parts = Parts(*STORY)
    with serving_browsers(parts) as cable, visiting(cable, tmp_path) as person:
        person.type("a story")
        person.waits_for(lambda: person.sees(".bot > p"))
        cable.cut()
        person.waits_for_state("Connection lost, coming back…")
        cable.mend()
        person.waits_for(lambda: person.sees(".times"))
        assert person.sees(".bot > p") == [" ".join(STORY)]
        person.driver.refresh()
        person.waits_for(lambda: person.sees(".bot > p") == [" ".join(STORY)])
        person.type("again")
        person.waits_for(lambda: len(person.sees(".times")) == 2)
        person.driver.complaints.clear()  # of the connection that was cut
    assert len(parts.begun) == 1


def test_a_refused_microphone_is_explained_and_typing_goes_on(tmp_path):
    refused = {"permissions_default_microphone": 2}
    parts = Parts("Good", "morning.")
    with serving_browsers(parts) as cable, visiting(cable, tmp_path, **refused) as person:
        person.press("talk")
        person.waits_for(lambda: "The microphone is blocked." in person.sees("#notice")[0])
        person.type("hello")
        person.waits_for(lambda: person.sees(".bot > p") == ["Good morning."])


@pytest.mark.parametrize(("size", "dark"), [((1100, 820), False), ((390, 844), True)])
def test_it_fits_its_window(tmp_path, size, dark):
    parts = Parts("Good", "morning.")
    look = {"size": size, "dark": dark}
    with serving_browsers(parts) as cable, visiting(cable, tmp_path, **look) as person:
        person.type("hello" * 30)
        person.waits_for(lambda: person.sees(".times"))
        wide, seen, paper = person.driver.evaluate(
            "[document.documentElement.scrollWidth, innerWidth,"
            " getComputedStyle(document.body).backgroundColor]"
        )
        assert wide <= seen
        assert (np.mean([int(v) for v in paper[4:-1].split(",")]) < 60) == dark
