"""What the page keeps over a reload, and what it says where it cannot talk: in a real Chromium."""

import hashlib
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
from browser import Person, browser, needed
from calling import Parts
from room import Synthesizer, sound
from serving import EMBEDDED
from serving import parts as engines
from starlette.applications import Starlette
from test_page import STORY, visiting

from voicebot import config
from voicebot.engines import Speech
from voicebot.server.admission import AdmissionControl
from voicebot.server.app import create
from voicebot.server.errors import HANDLERS
from voicebot.server.talk import websocket as talk_socket

pytestmark = needed


def ask(person, text):
    before = len(person.sees(".times"))
    person.type(text)
    person.waits_for(lambda: len(person.sees(".times")) > before)


def shown(person):
    return person.sees(".you p"), person.sees(".bot > p")


def test_a_conversation_that_is_over_is_still_to_be_read_after_a_reload(tmp_path):
    parts = Parts("Good", "morning.")
    app = Starlette(routes=talk_socket.routes(parts, AdmissionControl(), window=0.0))
    with visiting(parts, tmp_path, app) as person:
        ask(person, "hello")
        for _ in range(2):
            person.driver.refresh()
            person.waits_for_state("Ready when you are")
            assert shown(person) == (["hello"], ["Good morning."])
        ask(person, "hello again")
        assert person.sees(".begun") == ["A new conversation"]
        person.driver.refresh()
        person.waits_for_state("Ready when you are")
        assert shown(person) == (["hello", "hello again"], ["Good morning."] * 2)
        assert person.sees(".begun") == ["A new conversation"]
        assert not any(person.sees("#welcome"))
    assert len(parts.begun) == 2


def test_more_than_the_server_keeps_can_be_gone_on_with_after_a_reload(tmp_path):
    parts = Parts("Yes.")
    with visiting(parts, tmp_path) as person:
        for at in range(3):
            ask(person, f"question {at}")
        # As if the first had been said long ago: only the page knows of it still.
        session = parts.begun[0].emit.__self__
        while len(session._log) > 2:
            session._log.popleft()
        person.driver.refresh()
        person.waits_for_state("Type a question")
        assert shown(person) == ([f"question {at}" for at in range(3)], ["Yes."] * 3)
        ask(person, "and one more")
    assert len(parts.begun) == 1


@pytest.fixture
def locked(tmp_path):
    """A person before the page of a server that wants a key, and the key."""
    key, keys, parts = "vb-a-secret", tmp_path / "keys.toml", Parts("Good", "morning.")
    keys.write_text(f"[me]\nhash = '{hashlib.sha256(key.encode()).hexdigest()}'\n")
    settings = config.ServerSettings(keys=str(keys))
    with visiting(parts, tmp_path, create(engines(), settings)) as person:
        yield person, key


def unlock(person, key, *, keep):
    person.waits_for(lambda: any(person.sees("#lock")))
    if keep:
        person.press("key-keep")
    person.driver.find_element("id", "key").send_keys(key + "\n")


def test_a_key_is_asked_for_once_in_a_tab_and_kept_for_good_when_told_to(locked):
    person, key = locked
    for keep in (False, True):
        person.driver.switch_to.new_window("tab")
        person.driver.get(f"http://{person.cable.host}/")
        person.type("hello")
        unlock(person, key, keep=keep)
        person.type("hello")
        person.waits_for(lambda: person.sees(".times"))
        person.driver.refresh()
        person.waits_for_state("Type a question")
        assert not any(person.sees("#lock"))
    person.driver.switch_to.new_window("tab")
    person.driver.get(f"http://{person.cable.host}/")
    ask(person, "hello")
    person.press("settings-open")
    person.press("key-forget")
    person.driver.find_element("css selector", "#settings .primary").click()
    person.driver.switch_to.new_window("tab")
    person.driver.get(f"http://{person.cable.host}/")
    person.type("hello")
    person.waits_for(lambda: "lets in who has a key" in person.sees("#key-hint")[0])


def test_a_lost_connection_is_not_taken_for_a_wrong_key(locked):
    person, key = locked
    person.type("hello")
    unlock(person, key, keep=False)
    ask(person, "hello")
    person.cable.cut()
    person.waits_for_state("Connection lost, coming back…")
    person.cable.mend()
    person.waits_for_state("Type a question")
    assert not any(person.sees("#lock"))


class Slow(Synthesizer):
    """Takes longer to be heard than anybody here waits."""

    async def synthesize(self, text):
        yield Speech(sound(40.0, 24000))


def test_where_nothing_sounds_the_answer_is_read_without_waiting_for_its_speech(tmp_path):
    parts = Parts(*STORY, tts=Slow())
    with visiting(parts, tmp_path) as person:
        port = person.cable.host.split(":")[1]
        person.driver.get(f"http://elsewhere.test:{port}/")  # neither https nor localhost
        for _ in range(2):
            ask(person, "a story")
        assert person.sees(".bot > p") == [" ".join(STORY)] * 2
        assert [role for role, _ in parts.history] == ["user", "assistant"] * 2


def test_a_page_that_is_refused_says_why(tmp_path):
    with visiting(Parts(), tmp_path, create(engines(), config.ServerSettings())) as person:
        port = person.cable.host.split(":")[1]
        person.driver.get(f"http://elsewhere.test:{port}/")
        person.type("hello")
        person.waits_for(lambda: "The server refuses" in person.sees("#notice")[0])
        (notice,) = person.sees("#notice")
        assert notice.startswith(f"The server refuses: this server is not 'elsewhere.test:{port}'")
        assert person.state == "Ready when you are"


def test_a_server_without_a_place_says_so_and_is_asked_again(tmp_path):
    parts, admission = Parts("Good", "morning."), AdmissionControl()
    routes = talk_socket.routes(parts, admission, sessions=1)
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    with visiting(parts, tmp_path, app) as person:
        with admission.session():
            person.type("hello")
            person.waits_for(lambda: "conversations are taken" in person.sees("#notice")[0])
        person.waits_for_state("Type a question")
        assert not any(person.sees("#notice"))


@contextmanager
def served(folder, port):
    """A whole server in a process of its own, on `port`."""
    settings = folder / "voicebot.toml"
    settings.write_text(f"{EMBEDDED}[server]\nport = {port}\n")
    command = [sys.executable, "-m", "voicebot", "serve", "--config", str(settings)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_a_server_that_was_restarted_is_found_again_and_that_it_forgot_is_said(tmp_path):
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    with browser(tmp_path) as driver:
        person = Person(driver)
        with served(tmp_path, port):
            reaches(port)
            driver.get(f"http://localhost:{port}/")
            person.type("Where is the rain barrel?")
            person.waits_for(lambda: any(person.sees(".bot > p")), seconds=60)
        person.waits_for_state("Connection lost, coming back…")
        with served(tmp_path, port):
            person.waits_for(lambda: "started anew" in person.sees("#notice")[0], seconds=60)
            person.waits_for_state("Type a question")
            person.type("When was the house built?")
            person.waits_for(lambda: "1894" in "".join(person.sees(".bot > p")), seconds=60)
        assert person.sees(".begun") == ["A new conversation"]


def reaches(port):
    """Waits until somebody answers at `port`."""
    end = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < end
            time.sleep(0.1)


def test_two_tabs_are_two_conversations_and_a_copied_tab_takes_over(tmp_path):
    parts = Parts("Good", "morning.")
    with visiting(parts, tmp_path) as person:
        ask(person, "one")
        first = person.driver.current_window_handle
        person.driver.switch_to.new_window("tab")
        person.driver.get(f"http://{person.cable.host}/")
        ask(person, "two")
        assert shown(person) == (["two"], ["Good morning."])
        person.driver.switch_to.window(first)
        ask(person, "three")
        assert shown(person) == (["one", "three"], ["Good morning."] * 2)
        assert len(parts.begun) == 2
        # "Duplicate tab" copies what a tab remembers, as opening a window of its own does.
        before = set(person.driver.window_handles)
        person.driver.execute_script("document.body.onclick = () => open(location.href)")
        person.driver.find_element("css selector", "h1").click()
        person.waits_for(lambda: set(person.driver.window_handles) > before)
        (copy,) = set(person.driver.window_handles) - before
        person.driver.switch_to.window(copy)
        person.waits_for(lambda: shown(person) == (["one", "three"], ["Good morning."] * 2))
        person.driver.switch_to.window(first)
        person.waits_for(lambda: "The conversation has ended" in person.sees("#notice")[0])
    assert len(parts.begun) == 2
