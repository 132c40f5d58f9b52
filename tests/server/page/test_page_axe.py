"""axe-core finds nothing on the page: light, dark, on a phone, whatever a call goes through."""

from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest
from browser import needed
from calling import Parts
from room import Transcriber
from test_page import STORY, recording, visiting

from voicebot.errors import EngineError
from voicebot.events import Passage

AXE = Path(__file__).parents[1] / "javascript" / "node_modules" / "axe-core" / "axe.min.js"
LOOKS = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"size": (390, 844)},
    "contrast": {"media": {"prefers-contrast": "more"}},
    "forced": {"dark": True, "media": {"forced-colors": "active"}},
}

pytestmark = [
    needed,
    pytest.mark.skipif(not AXE.exists(), reason="needs npm ci in tests/server/javascript"),
]


def still(driver, media):
    """A browser whose user wants no motion, and this."""
    wishes = {"prefers-reduced-motion": "reduce"} | media
    features = [{"name": name, "value": value} for name, value in wishes.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@contextmanager
def looking(parts, folder, *, media=MappingProxyType({}), **look):
    with visiting(parts, folder, **look) as person:
        person.media = dict(media)
        yield person


def findings(person):
    """What axe-core has against the page as it stands, once nothing fades in any more."""
    driver = person.driver
    # Colours halfway through a transition would be taken for the page's own.
    still(driver, person.media)
    driver.execute_script(AXE.read_text())
    found = driver.execute_async_script("axe.run().then(found => arguments[0](found.violations))")
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_found_from_the_first_look_to_the_end_of_a_call(tmp_path, look):
    passage = Passage("garden.md#1", "# Trees\n\nThe old apple tree.")
    parts = Parts(*STORY, stt=Transcriber("what is the time", takes=0.0))
    parts.llm.passages = (passage,)
    said = recording(tmp_path, 60)
    with looking(parts, tmp_path, microphone=said, **LOOKS[look]) as person:
        assert findings(person) == []
        person.press("talk")
        person.waits_for_state("Listening")
        assert findings(person) == []
        person.type("a story")
        person.waits_for(lambda: person.sees(".bot > p"))
        assert findings(person) == []
        person.waits_for(lambda: person.sees(".times"))
        for more in (".times summary", ".passages summary"):
            person.driver.find_element("css selector", more).click()
        assert findings(person) == []
        person.press("mute")
        assert findings(person) == []
        person.press("settings-open")
        assert findings(person) == []


class Lost(Transcriber):
    """Understands nothing any more."""

    async def transcribe(self, audio):
        raise EngineError("stt", "the model is gone")
        yield


@pytest.mark.parametrize("look", LOOKS)
def test_nothing_is_found_where_something_fails(tmp_path, look):
    parts = Parts(stt=Lost())
    said = recording(tmp_path, "ask", 60)
    with looking(parts, tmp_path, microphone=said, **LOOKS[look]) as person:
        person.press("talk")
        person.waits_for(lambda: person.sees(".failure"))
        assert findings(person) == []
        person.cable.cut()
        person.waits_for_state("Connection lost, coming back…")
        assert findings(person) == []
        person.cable.mend()
