"""The page without a mouse, and as a screen reader finds it: in a real Chromium."""

import pytest
from browser import needed
from calling import Parts
from serving import EMBEDDED
from test_page import STORY, recording, visiting

from voicebot import config
from voicebot.assistant.assembly import assemble
from voicebot.server.app import create

pytestmark = [needed, pytest.mark.timeout(120)]

KEYS = {
    "Tab": ("Tab", 9, None),
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, None),
    " ": ("Space", 32, " "),
}
SEEN = """
  // The element that has the focus, and whether its outline or that of what holds it is seen.
  const one = document.activeElement;
  const rings = [one, one.closest("#typing")].filter(Boolean);
  const ring = rings.some((each) => parseFloat(getComputedStyle(each).outlineWidth) > 1
    && getComputedStyle(each).outlineStyle !== "none");
  return [one.id || one.className || one.tagName, ring];
"""


class Keyboard:
    def __init__(self, person):
        self.person, self.driver = person, person.driver

    def press(self, key):
        self.hold(key)
        self.release(key)

    def hold(self, key):
        self._send("rawKeyDown" if KEYS[key][2] is None else "keyDown", key)

    def release(self, key):
        self._send("keyUp", key)

    def _send(self, kind, key):
        code, number, text = KEYS[key]
        told = {"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number}
        if text and kind == "keyDown":
            told["text"] = text
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", told)

    def write(self, text):
        self.driver.execute_cdp_cmd("Input.insertText", {"text": text})

    @property
    def at(self):
        """What has the focus, which can be seen."""
        name, is_seen = self.driver.execute_script(SEEN)
        # Between the last and the first element the browser's own buttons have their turn.
        assert is_seen or name == "BODY", f"{name} has the focus, and nobody sees it"
        return name

    def tab_to(self, name):
        for _ in range(20):
            self.press("Tab")
            if self.at == name:
                return
        raise AssertionError(f"no way to {name}")


def test_a_whole_conversation_needs_no_mouse_and_the_focus_is_never_lost(tmp_path):
    parts = Parts(*STORY)
    with visiting(parts, tmp_path, microphone=recording(tmp_path, 60)) as person:
        keyboard = Keyboard(person)
        keyboard.tab_to("talk")
        keyboard.press("Enter")
        person.waits_for_state("Listening")
        assert keyboard.at == "talk"
        keyboard.tab_to("line")
        keyboard.write("a story")
        keyboard.press("Enter")
        person.waits_for_state("Speaking")
        keyboard.press("Escape")
        person.waits_for_state("Listening")
        assert keyboard.at == "line"
        keyboard.write("another")
        keyboard.press("Enter")
        person.waits_for_state("Speaking")
        keyboard.tab_to("settings-open")
        keyboard.tab_to("stop")
        keyboard.press("Enter")
        person.waits_for_state("Listening")
        assert keyboard.at == "stop", "what was stopped with it"
        keyboard.tab_to("settings-open")
        keyboard.press("Enter")
        assert keyboard.at == "microphone"
        keyboard.press("Escape")
        assert keyboard.at == "settings-open"
        keyboard.tab_to("mute")
        keyboard.press(" ")
        person.waits_for_state("Muted")
        keyboard.tab_to("talk")
        keyboard.press(" ")
        person.waits_for_state("Ready when you are")
        assert keyboard.at == "talk"
    assert [text for role, text in parts.history if role == "user"] == ["a story", "another"]


def test_a_call_that_the_server_ends_leaves_the_focus_where_another_begins(tmp_path):
    parts = Parts(*STORY)
    with visiting(parts, tmp_path, microphone=recording(tmp_path, 60)) as person:
        keyboard = Keyboard(person)
        person.press("talk")
        person.waits_for_state("Listening")
        keyboard.tab_to("mute")
        person.driver.execute_script(
            "const other = new WebSocket(new URL('v1/talk', document.baseURI), 'talk');"
            "const { token } = JSON.parse(Object.values(sessionStorage)[0]);"
            "const again = { type: 'resume', token, number: 0, turn: 0, received: 0 };"
            "other.onopen = () => other.send(JSON.stringify(again));"
        )
        person.waits_for(lambda: "The conversation has ended" in person.sees("#notice")[0])
        assert keyboard.at == "talk"


def test_push_to_talk_is_one_key_from_the_first_press_on(tmp_path):
    parts = Parts("Noon.")
    with visiting(parts, tmp_path, microphone=recording(tmp_path, 60)) as person:
        keyboard = Keyboard(person)
        person.press("settings-open")
        person.press("hold")
        keyboard.press("Escape")
        keyboard.tab_to("talk")
        keyboard.press("Enter")
        person.waits_for_state("Muted")
        assert keyboard.at == "mute"
        assert person.sees("#mute") == ["Hold"]
        for _ in range(2):
            keyboard.hold(" ")
            person.waits_for_state("Listening")
            keyboard.release(" ")
            person.waits_for_state("Muted")


def test_an_example_question_is_asked_and_answered_with_keys(tmp_path):
    (tmp_path / "v.toml").write_text(EMBEDDED)
    with (
        assemble(config.read(tmp_path / "v.toml"), tmp_path) as parts,
        visiting(parts, tmp_path, create(parts, config.ServerSettings())) as person,
    ):
        keyboard = Keyboard(person)
        person.waits_for(lambda: any(person.sees(".question")))
        question = person.sees(".question")[0]
        keyboard.tab_to("question")
        keyboard.press("Enter")
        person.waits_for(lambda: any(person.sees(".bot > p")), seconds=60)
        assert person.sees(".you p") == [question]
        assert keyboard.at == "transcript", "where the answer is read"


def spoken(driver, *roles):
    """What a screen reader comes by, in its order: roles and names."""
    tree = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    nodes = {node["nodeId"]: node for node in tree}

    def told(node):
        if not node["ignored"]:
            yield node["role"]["value"], node.get("name", {}).get("value", "")
        for child in node.get("childIds", ()):
            if child in nodes:
                yield from told(nodes[child])

    return [each for each in told(tree[0]) if each[0] in roles]


def test_a_screen_reader_reads_the_state_then_the_conversation_then_what_to_press(tmp_path):
    with visiting(Parts("Noon."), tmp_path, microphone=recording(tmp_path, 60)) as person:
        person.driver.execute_cdp_cmd("Accessibility.enable", {})
        roles = ("heading", "button", "textbox", "list", "meter", "status", "main")
        assert spoken(person.driver, *roles) == [
            ("heading", "voicebot"),
            ("status", ""),
            ("button", "Settings"),
            ("main", ""),
            ("heading", "Ask it out loud"),
            ("list", "Conversation"),
            ("button", "Start talking"),
            ("meter", "Microphone level"),
            ("textbox", "Type a question"),
            ("button", "Send"),
        ]
        person.press("talk")
        person.waits_for_state("Listening")
        person.type("what is the time")
        person.waits_for(lambda: person.sees(".times"))
        assert spoken(person.driver, "heading", "button") == [
            ("heading", "voicebot"),
            ("button", "Settings"),
            ("button", "Mute"),
            ("button", "End"),
            ("button", "Stop"),
            ("button", "Send"),
        ]
        words = " ".join(name for _, name in spoken(person.driver, "StaticText"))
        assert "You: what is the time voicebot: Noon." in " ".join(words.split())
