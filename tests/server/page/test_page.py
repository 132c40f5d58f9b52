"""The page in a real browser whose microphone plays a file: what a person sees and hears."""

import hashlib
import time
import wave
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browser import Person, browser, needed
from calling import Parts, serving_browsers
from room import ChatModel, Synthesizer, Transcriber, sound
from serving import parts as engines
from starlette.applications import Starlette
from starlette.testclient import TestClient

from voicebot import config
from voicebot.assistant.assembly import assemble
from voicebot.conversation.degradation import DegradationPolicy
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.engines import Segment, Speech
from voicebot.events import Passage
from voicebot.server import page
from voicebot.server.app import create

ROOT = Path(__file__).parents[3]
QUESTION = ROOT / "examples" / "question.wav"
STORY = "One two three. Four five six. Seven eight nine. Ten eleven twelve.".split()  # noqa: SIM905 - reads as the sentences it is

pytestmark = needed


@contextmanager
def visiting(parts, folder, app=None, **options):
    with serving_browsers(parts, app) as cable, browser(folder, **options) as driver:
        driver.get(f"http://{cable.host}/")
        person = Person(driver)
        person.cable = cable
        try:
            yield person
        finally:
            driver.save_screenshot(str(folder / "page.png"))
        complaints = [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]
        expected = ("WebSocket", " 401 ", "Opener-Policy", "/v1/talk - ", "/v1/documents - ")
        expected += ("/v1/audio/voices - ",)  # which the server of these tests has not
        assert not [c for c in complaints if not any(words in c for words in expected)]


def recording(folder, *parts):
    """A file of silences, by seconds, and of questions."""
    with wave.open(str(QUESTION)) as wav:
        rate, spoken = wav.getframerate(), wav.readframes(wav.getnframes())
    with wave.open(str(folder / "said.wav"), "wb") as said:
        said.setparams((1, 2, rate, 0, "NONE", ""))
        for part in parts:
            said.writeframes(spoken if part == "ask" else bytes(2 * round(part * rate)))
    return folder / "said.wav"


def test_a_spoken_question_is_understood_and_its_answer_appears_as_it_is_spoken(tmp_path):
    passage = Passage("garden.md#1", "# Trees\n\nThe old apple tree.")
    llm = ChatModel(*STORY, takes=0.0, passages=(passage,))
    parts = Parts(llm=llm, stt=Transcriber("what is the time", takes=0.0))
    with visiting(parts, tmp_path, microphone=recording(tmp_path, "ask", 60)) as person:
        assert person.state == "Ready when you are"
        person.keeps("#state", ".bot > p")
        person.press("talk")
        person.waits_for(lambda: person.sees(".you p") == ["what is the time"])
        person.waits_for(lambda: ["Speaking", "One two"] in person.kept)
        person.waits_for_state("Listening")
        assert person.sees(".bot > p") == [" ".join(STORY)]
        # The server waits for our word that all was played before it ends a turn.
        assert parts.history[1] == ("assistant", " ".join(STORY))
        assert person.sees(".times summary")[0].endswith(" s to the first sound")
        person.driver.find_element("css selector", ".times summary").click()
        assert "First sound played" in person.sees(".times")[0]
        person.driver.find_element("css selector", ".passages summary").click()
        assert "garden.md#1" in person.sees(".passages")[0]
        asked = person.driver.execute_script(
            "return performance.getEntriesByType('resource').map(entry => new URL(entry.name).host)"
        )
        assert set(asked) == {person.cable.host}
    assert (tmp_path / "page.png").stat().st_size > 5000


class Choir(Synthesizer):
    voices = ("anna", "bert", "en-gb")

    async def synthesize(self, text, *, voice=None):
        self.chunks += 1
        self.lines.append(voice)
        yield Speech(sound(0.3, 24000))


class Growing(Transcriber):
    """Understands a word more with each half second; its languages make no difference."""

    languages = ("en", "de")

    async def transcribe(self, audio, *, language=None):
        self.given.append(language)
        words = "when was the old apple tree planted in the garden".split()  # noqa: SIM905 - reads as the sentence it is
        yield Segment(" ".join(words[: int(audio.seconds / 0.5)]), 0.0, audio.seconds)


def test_what_is_being_said_appears_while_it_is_being_said(tmp_path):
    parts = Parts("Fine.", stt=Growing())
    with visiting(parts, tmp_path, microphone=recording(tmp_path, "ask", 60)) as person:
        person.press("talk")
        person.waits_for(lambda: any(person.sees(".interim > span")))
        assert person.state == "Hearing you"
        early = person.sees(".interim > span")[0]
        person.waits_for(lambda: person.sees(".you p:not(.interim)"))
        (final,) = person.sees(".you p")
        assert final.startswith(early)
        assert len(final.split()) > len(early.split())


def test_a_voice_and_a_language_chosen_hold_from_the_next_answer_on_and_for_good(tmp_path):
    parts = Parts("Fine.", stt=Growing(), tts=Choir())
    with visiting(parts, tmp_path) as person:
        person.type("one")
        person.waits_for(lambda: len(person.sees(".times")) == 1)
        person.press("settings-open")
        for name in ("voice", "language"):
            select = person.driver.find_element("id", name)
            assert "server's choice" in select.text
            assert select.accessible_name
        assert "British English (en-gb)" in person.sees("#voice")[0]
        person.chooses("voice", "bert")
        person.chooses("language", "de")
        person.driver.find_element("css selector", "#settings .primary").click()
        person.type("two")
        person.waits_for(lambda: len(person.sees(".times")) == 2)
        person.driver.refresh()  # which goes on with the conversation
        person.waits_for_state("Type a question")
        person.type("three")
        person.waits_for(lambda: len(parts.tts.lines) == 3)
        person.driver.switch_to.new_window("tab")  # which begins another
        person.driver.get(f"http://{person.cable.host}/")
        person.type("four")
        person.waits_for(lambda: len(parts.tts.lines) == 4)
    assert parts.tts.lines == [None, "bert", "bert", "bert"]
    assert len(parts.begun) == 2


def test_where_there_is_nothing_to_choose_nothing_is_offered(tmp_path):
    with visiting(Parts("Fine."), tmp_path) as person:
        person.type("one")
        person.waits_for(lambda: person.sees(".times"))
        person.press("settings-open")
        assert person.sees("#voice-label, #language-label") == ["", ""]
        assert person.sees("#engines li") == ["a parrot speaks"]


def test_one_voice_is_no_choice_but_can_be_heard_before_a_call(tmp_path):
    with visiting(Parts(), tmp_path, create(engines(), config.ServerSettings())) as person:
        person.press("settings-open")
        person.waits_for(lambda: person.sees("#hear") == ["Hear its voice"])
        assert not any(person.sees("#voice, #voice-name"))
        spoken = "return performance.getEntriesByType('resource').map(entry => entry.name)"
        person.press("hear")
        person.waits_for(
            lambda: "/v1/audio/speech" in " ".join(person.driver.execute_script(spoken))
        )
        # Who pressed it with a key can press it again.
        assert person.driver.switch_to.active_element.get_attribute("id") == "hear"
        person.waits_for(
            lambda: (
                person.driver.find_element("id", "hear").get_attribute("aria-disabled") == "false"
            )
        )
        assert not any(person.sees("#notice"))


TOLD = """
  // What the button says, what a screen reader is told, and where the next button stands.
  const spoken = document.querySelector("#settings [role=status]");
  const now = () => [copy.textContent, spoken.textContent, save.offsetLeft];
  window.told = [];
  new MutationObserver(() => told.push(now())).observe(copy, { childList: true });
"""


def test_that_the_conversation_was_copied_is_told_for_a_moment(tmp_path):
    with visiting(Parts("Fine."), tmp_path) as person:
        allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
        person.driver.execute_cdp_cmd("Browser.grantPermissions", allowed)
        person.type("one")
        person.waits_for(lambda: person.sees(".times"))
        person.press("settings-open")
        person.driver.execute_script(TOLD)
        person.press("copy")
        person.waits_for(lambda: len(person.driver.execute_script("return told")) == 2)
        during, afterwards = person.driver.execute_script("return told")
        copied, announced, place = during
        usual, silent, same_place = afterwards
        assert (copied, announced) == ("Copied", "Copied")
        assert (usual, silent) == ("Copy the conversation", "")
        assert place == same_place
        read = "navigator.clipboard.readText().then(arguments[0])"
        assert person.driver.execute_async_script(read) == "You: one\n\nvoicebot: Fine.\n"


class Hurried(Parts):
    """Gives up what nobody hears before every turn."""

    def conversation(self, speaker, emit):
        conversation = super().conversation(speaker, emit)
        policy = DegradationPolicy(LatencySettings())
        policy.preemptive = {"single_decode", "fewer_passages"}
        conversation.fallbacks = Fallbacks(policy, PrerenderedSpeech([]))
        return conversation


def test_an_answer_that_gave_something_up_says_so_on_one_line(tmp_path):
    with visiting(Hurried("Noon."), tmp_path) as person:
        person.type("what is the time")
        person.waits_for(lambda: person.sees(".times"))
        (line,) = person.sees(".degraded")
        assert line.startswith("Short of time: it ")
        assert "it read less" in line


class Patient(Parts):
    """Says that it is late."""

    def conversation(self, speaker, emit):
        conversation = super().conversation(speaker, emit)
        budget = LatencySettings()
        conversation.fallbacks = Fallbacks(
            DegradationPolicy(budget), PrerenderedSpeech([budget.filler])
        )
        return conversation


def test_what_fills_the_wait_for_an_answer_comes_after_the_question(tmp_path):
    parts = Patient("Noon.", stt=Transcriber("what is the time", takes=3.0))
    with visiting(parts, tmp_path, microphone=recording(tmp_path, "ask", 60)) as person:
        person.press("talk")
        person.waits_for(lambda: person.sees(".times"))
        question, answer = person.sees("#transcript > li")
        assert question.endswith("what is the time")
        assert "Let me see. Noon." in answer
        person.driver.find_element("css selector", ".times summary").click()
        assert "Late: said so" in person.sees(".times")[0]


def test_speaking_over_the_answer_cuts_it(tmp_path):
    parts = Parts(*STORY)
    said = recording(tmp_path, "ask", 0.8, "ask", 60)
    with visiting(parts, tmp_path, microphone=said) as person:
        person.press("talk")
        person.waits_for(lambda: any("interrupted" in text for text in person.sees(".bot > p")))
        assert person.state == "Hearing you"
        assert person.sees(".dots"), "what interrupts is on its way"
        heard = person.sees(".bot > p")[0].removesuffix(" — interrupted")
        assert heard
        assert " ".join(STORY).startswith(heard)
        person.waits_for(lambda: len(parts.history) >= 2)
        assert parts.history[1] == ("assistant", heard)


class HearsUntilSpoken:
    """Understands a question, and no word of what is said once it is being answered."""

    answered = False

    async def transcribe(self, audio):
        if not self.answered:
            yield Segment("tell me a story", 0.0, audio.seconds)


def test_an_answer_that_a_noise_stopped_goes_on_where_it_was(tmp_path):
    stt = HearsUntilSpoken()
    parts = Parts(*STORY, stt=stt)
    said = recording(tmp_path, "ask", 0.8, "ask", 60)
    with visiting(parts, tmp_path, microphone=said) as person:
        person.press("talk")
        person.waits_for_state("Speaking")
        stt.answered = True
        person.waits_for(lambda: any(text.endswith("…") for text in person.sees(".bot > p")))
        person.waits_for(lambda: len(person.sees(".bot > p")) == 2)
        person.waits_for(
            lambda: " ".join(person.sees(".bot > p")).replace(" … ", " ") == " ".join(STORY)
        )


def test_a_reply_can_be_stopped_with_a_key(tmp_path):
    parts = Parts(*STORY)
    with visiting(parts, tmp_path) as person:
        person.type("a story")
        person.waits_for_state("Speaking")
        person.driver.find_element("tag name", "body").send_keys("\ue00c")  # Escape
        person.waits_for_state("Type a question")
        assert len(parts.history[-1][1].split()) < len(STORY)


def test_a_connection_cut_in_mid_reply_costs_no_word(tmp_path):
    parts = Parts(*STORY)
    with visiting(parts, tmp_path) as person:
        person.type("a story")
        person.waits_for(lambda: person.sees(".bot > p"))
        person.cable.cut()
        person.waits_for_state("Connection lost, coming back…")
        person.cable.mend()
        person.waits_for(lambda: person.sees(".times"))
        assert person.sees(".bot > p") == [" ".join(STORY)]
        assert person.sees(".you p") == ["a story"]
        assert parts.history == [("user", "a story"), ("assistant", " ".join(STORY))]
        assert len(parts.begun) == 1


def test_a_page_loaded_again_still_shows_and_goes_on_with_the_conversation(tmp_path):
    parts = Parts("Good", "morning.")
    with visiting(parts, tmp_path) as person:
        person.type("hello")
        person.waits_for(lambda: person.sees(".times"))
        person.driver.refresh()
        person.waits_for(lambda: person.sees(".bot > p") == ["Good morning."])
        person.type("hello again")
        person.waits_for(lambda: len(person.sees(".times")) == 2)
        assert [text for role, text in parts.history if role == "user"] == ["hello", "hello again"]


def test_another_conversation_on_the_page_starts_from_nothing(tmp_path):
    parts = Parts(*STORY)
    with visiting(parts, tmp_path, microphone=recording(tmp_path, 60)) as person:
        for count, typed in enumerate(("a story", "another"), 1):
            person.press("talk")
            person.waits_for_state("Listening")
            person.type(typed)
            person.waits_for(lambda: person.sees(".bot > p") == count * [" ".join(STORY)])  # noqa: B023 - it is asked at once
            person.waits_for_state("Listening")
            person.press("talk")
            person.waits_for_state("Ready when you are")
        told = [text.split("\n")[-1] for text in person.sees("#transcript > li > p:first-of-type")]
        assert told == ["a story", " ".join(STORY), "another", " ".join(STORY)]
        assert person.sees(".begun") == ["A new conversation"]
    assert [begun.history[0].text for begun in parts.begun] == ["a story", "another"]


def test_where_a_browser_gives_no_sound_it_says_so_and_the_answer_is_read(tmp_path):
    with visiting(Parts("Good", "morning."), tmp_path) as person:
        port = person.cable.host.split(":")[1]
        person.driver.get(f"http://elsewhere.test:{port}/")  # neither https nor localhost
        person.type("hello")
        person.waits_for(lambda: person.sees(".bot > p") == ["Good morning."])
        assert "only to https pages" in person.sees("#notice")[0]


def test_a_refused_microphone_is_explained_and_typing_goes_on(tmp_path):
    with visiting(Parts("Good", "morning."), tmp_path) as person:
        denied = {"permission": {"name": "microphone"}, "setting": "denied"}
        person.driver.execute_cdp_cmd("Browser.setPermission", denied)
        person.press("talk")
        person.waits_for(lambda: "The microphone is blocked." in person.sees("#notice")[0])
        person.type("hello")
        person.waits_for(lambda: person.sees(".bot > p") == ["Good morning."])


def test_a_muted_microphone_is_not_heard_until_it_is_unmuted(tmp_path):
    parts = Parts("Fine.")
    said = recording(tmp_path, 1.0, "ask", 1.0, "ask", 60)
    with visiting(parts, tmp_path, microphone=said) as person:
        person.press("talk")
        person.waits_for_state("Listening")
        person.press("mute")
        assert person.state == "Muted"
        assert person.driver.find_element("id", "mute").get_attribute("aria-pressed") == "true"
        time.sleep(5)  # as long as the question takes: nothing on the page tells that it is over
        assert not person.sees(".you p")
        person.press("mute")
        person.waits_for(lambda: person.sees(".you p") == ["hello there"])


def test_everything_has_a_name_and_the_keyboard_reaches_it(tmp_path):
    with visiting(Parts(), tmp_path) as person:
        for tag in ("button", "input", "select", "meter"):
            for element in person.driver.find_elements("tag name", tag):
                if element.is_displayed():
                    assert element.accessible_name, element.get_attribute("outerHTML")
        reached = []
        for _ in range(6):
            person.driver.switch_to.active_element.send_keys("\ue004")  # Tab
            reached.append(person.driver.switch_to.active_element.get_attribute("id"))
        assert {"settings-open", "transcript", "talk", "line"} <= set(reached)


def test_what_it_is_doing_is_not_read_aloud_into_the_microphone(tmp_path):
    with visiting(Parts(), tmp_path, microphone=recording(tmp_path, 60)) as person:
        state = person.driver.find_element("id", "state")
        assert state.get_attribute("role") == "status"
        person.press("talk")
        person.waits_for_state("Listening")
        assert state.get_attribute("aria-live") == "off"
        person.press("talk")
        assert state.get_attribute("aria-live") == "polite"


@pytest.mark.parametrize(
    ("size", "dark"),
    [((1100, 820), False), ((360, 800), True), ((320, 480), False), ((320, 256), True)],
)
def test_it_fits_its_window(tmp_path, size, dark):
    long = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"
    microphone = recording(tmp_path, 60)
    with visiting(Parts(long), tmp_path, size=size, dark=dark, microphone=microphone) as person:
        for turn in range(1, 4):
            person.type(f"{long} " * 20)
            person.waits_for(lambda turn=turn: len(person.sees(".times")) == turn)
            if turn == 2:
                person.press("talk")
                person.waits_for_state("Listening")
            wide, hidden, least = person.driver.execute_script(
                "const list = document.getElementById('transcript');"
                "const over = (box) => box.scrollWidth - box.clientWidth;"
                "const boxes = [...document.querySelectorAll('html, footer, #controls')];"
                "return [boxes.map(over),"
                " list.scrollHeight - list.scrollTop - list.clientHeight, list.clientHeight]"
            )
            assert wide == [0, 0, 0]
            assert hidden < 1, "the newest is in view"
            assert least > 150, "there is room to read"
        paper = person.driver.execute_script(
            "return getComputedStyle(document.body).backgroundColor"
        )
        brightness = np.mean([int(v) for v in paper[4:-1].split(",")])
        assert (brightness < 60) == dark


def test_the_whole_server_with_embedded_engines_answers_a_person_who_has_the_key(tmp_path):
    settings = config.read(ROOT / "voicebot.toml")
    key, keys = "vb-a-secret", tmp_path / "keys.toml"
    keys.write_text(f"[me]\nhash = '{hashlib.sha256(key.encode()).hexdigest()}'\n")
    with (
        assemble(settings, tmp_path) as parts,
        visiting(
            parts,
            tmp_path,
            create(parts, config.ServerSettings(keys=str(keys))),
            microphone=recording(tmp_path, 4.0, "ask", 60),
        ) as person,
    ):
        person.press("talk")
        for typed, says in [("wrong", "lets in who has a key"), (key, "not known here")]:
            person.waits_for(lambda says=says: says in person.sees("#key-hint")[0])
            field = person.driver.find_element("id", "key")
            field.clear()
            field.send_keys(typed + "\n")
        person.waits_for(lambda: person.sees(".times"))
        assert "apple tree" in person.sees(".you p")[0]
        assert "1931" in person.sees(".bot > p")[0]


def test_the_page_may_load_nothing_from_elsewhere_and_nothing_may_frame_it():
    client = TestClient(Starlette(routes=page.routes()))
    for path in ["/", *(f"/page/{name}" for name in page.FILES)]:
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert b"https://" not in answer.content
    assert "javascript" in client.get("/page/app.js").headers["content-type"]


@pytest.mark.parametrize("path", ["/page/", "/page/__init__.py", "/page/..%2fsession.py", "/x"])
def test_there_is_nothing_outside_the_page(path):
    assert TestClient(Starlette(routes=page.routes())).get(path).status_code == 404
