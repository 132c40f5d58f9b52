"""The drawn voice in a real Chromium: frames only while there is something to see."""

import numpy as np
from browser import needed
from calling import Parts
from room import Synthesizer
from test_page import STORY, recording, visiting

from voicebot.audio import Audio
from voicebot.engines import Speech

pytestmark = needed

COUNTED = """
  window.drawn = 0;
  const real = requestAnimationFrame;
  window.requestAnimationFrame = (draw) => real((now) => (window.drawn++, draw(now)));
"""
COUNT = "return [drawn, performance.now() / 1000]"
FLAT = """
  const canvas = document.querySelector("footer canvas");
  const { width, height } = canvas;
  return !canvas.getContext("2d").getImageData(0, 0, width, height).data.some((value) => value);
"""


class Hummer(Synthesizer):
    """Hums each word for 0.5 s."""

    async def synthesize(self, text):
        hum = 0.3 * np.sin(2 * np.pi * 220 * np.arange(12000) / 24000)
        for _ in text.split():
            yield Speech(Audio(hum.astype(np.float32), 24000))


def counting(person):
    """Loads the page again, its frames counted."""
    person.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNTED})
    person.driver.refresh()
    person.waits_for_state("Ready when you are")


def rests(person):
    """Whether no frame is drawn between two looks."""
    before = person.driver.execute_script(COUNT)
    person.waits_for(lambda: person.driver.execute_script(COUNT)[1] - before[1] > 0.5)
    return person.driver.execute_script(COUNT)[0] == before[0]


def test_a_quiet_page_draws_nothing_and_one_that_speaks_is_seen(tmp_path):
    parts = Parts(*STORY, tts=Hummer())
    with visiting(parts, tmp_path, microphone=recording(tmp_path, 60)) as person:
        counting(person)
        person.waits_for(lambda: rests(person))
        person.press("talk")
        person.waits_for_state("Listening")
        person.waits_for(lambda: rests(person))
        person.type("a story")
        person.waits_for_state("Speaking")
        before, _ = person.driver.execute_script(COUNT)
        person.waits_for(lambda: person.driver.execute_script(COUNT)[0] - before > 30)
        assert not person.driver.execute_script(FLAT)
        person.waits_for_state("Listening")
        person.waits_for(lambda: rests(person))


def test_who_wants_less_motion_sees_none(tmp_path):
    less = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    parts = Parts(*STORY, tts=Hummer())
    with visiting(parts, tmp_path, microphone=recording(tmp_path, 60)) as person:
        person.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", less)
        counting(person)
        person.press("talk")
        person.type("a story")
        person.waits_for_state("Speaking")
        assert rests(person)
        assert person.driver.execute_script(FLAT)


def test_the_microphone_is_open_only_while_the_space_bar_is_held(tmp_path):
    parts = Parts("Noon.")
    with visiting(parts, tmp_path, microphone=recording(tmp_path, 60)) as person:
        person.press("settings-open")
        person.press("hold")
        person.driver.find_element("css selector", "#settings .primary").click()
        person.press("talk")
        person.waits_for_state("Muted")
        space = {"key": " ", "code": "Space", "windowsVirtualKeyCode": 32}
        person.driver.execute_script("document.activeElement.blur()")
        for kind, state in [("rawKeyDown", "Listening"), ("keyUp", "Muted")]:
            person.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind, **space})
            person.waits_for_state(state)
        person.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "rawKeyDown", **space})
        person.waits_for_state("Listening")
        person.driver.execute_script("dispatchEvent(new Event('blur'))")
        person.waits_for_state("Muted")  # a window left in the middle of it hears nothing
