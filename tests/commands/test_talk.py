"""`voicebot talk`: what a person sees, and how it ends."""

import asyncio
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import wave
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from sound_server import needed, sound_server

from voicebot.audio import Audio, silence, to_pcm16
from voicebot.commands.talk import View
from voicebot.engines.espeak.engine import RATE, Espeak
from voicebot.events import (
    ClauseSpoken,
    Failed,
    Interrupted,
    Passage,
    Passages,
    SpeechEnded,
    SpeechStarted,
    Transcript,
    TurnEnded,
    Utterance,
)

QUESTION = Utterance(silence(1.0, 16000), 0.0, 1.0)
A_TURN = [
    SpeechStarted(0.0),
    SpeechEnded(QUESTION),
    Transcript("When was it built?"),
    Passages((Passage("house.txt#1", "Built in 1911."), Passage("house.txt#2", "Sold."))),
    ClauseSpoken("It was built"),
    ClauseSpoken("in 1911."),
    TurnEnded({"speaker.first": 0.4567}),
]


def loud(decibels):
    return Audio(np.full(512, 10 ** (decibels / 20), np.float32), 16000)


def shown(*happenings, tty):
    """What the view writes of events and of sound."""
    stream = io.StringIO()
    view = View(stream, tty)
    for happening in happenings:
        if isinstance(happening, Audio):
            view.level(happening)
        else:
            view.note(happening)
    view.end()
    return stream.getvalue()


def screen(written):
    """What is on the terminal's lines after all that."""
    written = re.sub(r"\x1b\[\d?m", "", written)
    return [line.rpartition("\r\x1b[K")[2] for line in written.split("\n")]


# What is shown


def test_a_turn_in_plain_lines_where_there_is_no_terminal():
    assert shown(loud(-20), *A_TURN, loud(-20), tty=False).splitlines() == [
        "you: When was it built?",
        "     from house.txt#1, house.txt#2",
        "bot: It was built",
        "bot: in 1911.",
        "     (first sound after 0.46 s)",
    ]


def test_on_a_terminal_the_same_lines_and_below_them_nothing_in_the_end():
    written = shown(loud(-20), *A_TURN, loud(-20), tty=True)
    assert screen(written) == [*shown(*A_TURN, tty=False).splitlines(), ""]


def test_every_colour_ends_in_the_line_it_began_in():
    for line in shown(*A_TURN, Failed("stt", "broke"), tty=True).split("\n"):
        assert len(re.findall(r"\x1b\[[12]m", line)) == len(re.findall(r"\x1b\[0m", line))


@pytest.mark.parametrize(
    ("decibels", "bars"), [(-90, 0), (-60, 0), (-30, 10), (-3, 19), (0, 20), (6, 20)]
)
def test_the_meter_shows_decibels(decibels, bars):
    assert f"[{'#' * bars}{'.' * (20 - bars)}] listening" in shown(loud(decibels), tty=True)


def test_no_sound_at_all_is_no_level():
    assert "#" not in shown(silence(0.032, 16000), Audio(np.zeros(0, np.float32), 1), tty=True)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (0, "listening"),
        (1, "hearing you"),
        (2, "thinking"),
        (4, "thinking"),
        (5, "speaking"),
        (7, "listening"),
    ],
)
def test_the_live_line_says_what_goes_on(events, state):
    assert f"] {state}\r" in shown(*A_TURN[:events], loud(-20), tty=True)


def test_who_interrupts_sees_that_they_are_heard():
    cut = [*A_TURN[:5], SpeechStarted(3.0), Interrupted("It was"), TurnEnded({})]
    written = shown(loud(-20), *cut, tty=True)
    assert "     (you spoke after: It was)" in screen(written)
    assert written.rpartition("]")[2].startswith(" hearing you")


def test_a_failure_is_shown():
    assert shown(Failed("stt", "too loud"), tty=False) == "     stt failed: too loud\n"


def test_a_still_line_is_not_written_again():
    assert shown(loud(-20), loud(-20), loud(-20), tty=True) == shown(loud(-20), tty=True)


def test_a_model_cannot_command_the_terminal():
    written = shown(ClauseSpoken("\x1b[2Jgone\r\n\x07 \x9b5A"), tty=True)
    assert written == "\r\x1b[Kbot:  [2Jgone     5A\n"


# How it ends


def talk(*arguments, environment=None):
    command = [sys.executable, "-m", "voicebot", "talk", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this machine has sound devices")
def test_without_any_device_one_line_says_so(tmp_path):
    nothing = {**os.environ, "HOME": str(tmp_path), "PULSE_SERVER": "unix:/nowhere"}
    for arguments in ([], ["--devices"]):
        told = talk(*arguments, environment=nothing)
        assert told.returncode == 4
        assert re.fullmatch(r"voicebot: no (microphone|PortAudio|sounddevice).*\n", told.stderr)


@needed
def test_a_name_no_device_has_is_a_wrong_setting(tmp_path):
    with sound_server(tmp_path) as server:
        told = talk("--input", "kazoo", environment=server.environment)
    assert told.returncode == 2
    assert "no microphone is called 'kazoo'; there is" in told.stderr
    assert told.stderr.count("\n") == 1


@needed
def test_devices_are_listed_with_the_system_s_choice_marked(tmp_path):
    with sound_server(tmp_path) as server:
        told = talk("--devices", environment=server.environment)
    assert told.returncode == 0
    assert re.search(r"^ +\d+ room \(microphone, loudspeaker\)$", told.stdout, re.M)
    assert re.search(r"^ +\d+ default \(microphone\*, loudspeaker\*\)$", told.stdout, re.M)


class Terminal:
    """`voicebot talk` in a terminal, as a person has it before them."""

    def __init__(self, arguments, environment):
        self.written = ""
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "voicebot", *arguments]
            os.execve(sys.executable, command, {**environment, "TERM": "xterm"})

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait_for(self, pattern):
        while not re.search(pattern, self.written):
            assert self._read(), self.written

    def type(self, keys):
        os.write(self._screen, keys.encode())

    def control_c(self):
        os.write(self._screen, b"\x03")

    def exit_code(self):
        while self._read():
            pass
        os.close(self._screen)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self):
        ready, _, _ = select.select([self._screen], [], [], 100)
        assert ready, self.written
        try:
            more = os.read(self._screen, 65536)
        except OSError:  # Linux's way of saying that nobody has the terminal any more
            return False
        self.written += more.decode(errors="replace")
        return bool(more)


@pytest.fixture
def question(tmp_path):
    """A spoken question, as a file."""

    async def speak(espeak):
        return [speech.audio async for speech in espeak.synthesize("one two three four five")]

    with closing(Espeak(speed=0.8)) as espeak, wave.open(str(tmp_path / "q.wav"), "wb") as wav:
        wav.setparams((1, 2, RATE, 0, "NONE", ""))
        for audio in [silence(0.5, RATE), *asyncio.run(speak(espeak)), silence(0.5, RATE)]:
            wav.writeframes(to_pcm16(audio))
    return tmp_path / "q.wav"


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "voicebot.toml"
    path.write_text(f"{EARS_AND_WITS}[tts]\nengine = 'espeak'\n")
    return path


# Chosen, since for what is chosen nothing better is offered.
EARS_AND_WITS = "[stt]\nengine = 'pocketsphinx'\n[llm]\nengine = 'extractive'\n"


def talking(settings):
    return ["--config", str(settings), "talk", "--input", "ear", "--output", "room"]


@needed
def test_a_spoken_question_is_answered_aloud_until_control_c(tmp_path, question, settings):
    with (
        sound_server(tmp_path) as server,
        Terminal(talking(settings), server.environment) as terminal,
    ):
        terminal.wait_for(r"\] listening")
        with server.say(question):
            terminal.wait_for(r"you: .*(three|four|five)")
            terminal.wait_for(r"bot: ")
            terminal.wait_for(r"\] speaking")
        terminal.control_c()
        assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.written
    assert screen(terminal.written.replace("\r\n", "\n"))[-1] == ""


@needed
def test_what_is_typed_while_it_listens_is_answered_and_stays_in_sight(tmp_path, settings):
    with (
        sound_server(tmp_path) as server,
        Terminal(talking(settings), server.environment) as terminal,
    ):
        terminal.wait_for(r"\] listening")
        terminal.type("Is anybody")
        terminal.wait_for(r"#*\.*\] listening > Is anybody")
        terminal.type(" there?\r")
        terminal.wait_for(r"you: Is anybody there\?")
        terminal.wait_for(r"bot: ")
        terminal.type("\r")  # enough
        terminal.wait_for(r"(?s)first sound after.*\] listening")
        terminal.control_c()
        assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.written


@needed
def test_the_engines_have_worked_once_before_anybody_speaks(tmp_path, settings):
    settings.write_text(
        "[stt]\nengine = 'pocketsphinx'\n[llm]\nengine = 'asked:Asked'\n"
        "[tts]\nengine = 'espeak'\n[assistant]\ninstructions = 'Be brief.'\n"
    )
    (tmp_path / "asked.py").write_text(ASKED)
    with sound_server(tmp_path) as server:
        environment = {**server.environment, "PYTHONPATH": str(tmp_path)}
        with Terminal(talking(settings), environment) as terminal:
            terminal.wait_for("'Be brief.', 'Hello there.'")
            terminal.control_c()
            assert terminal.exit_code() == 130


@needed
def test_muted_it_does_not_hear_its_own_loudspeaker(tmp_path, question, settings):
    with (
        sound_server(tmp_path, ear="room") as server,
        Terminal([*talking(settings), "--mute"], server.environment) as terminal,
    ):
        terminal.wait_for(r"\] listening")
        with server.say(question, to="room"):
            terminal.wait_for(r"bot: .*\n(.|\n)*\] listening")
        terminal.control_c()
        assert terminal.exit_code() == 130
    assert len(re.findall("you: ", terminal.written)) == 1
    assert "you spoke after" not in terminal.written


@needed
def test_a_sound_server_that_ends_midway_ends_the_talk_with_a_word(tmp_path, settings):
    with (
        sound_server(tmp_path) as server,
        Terminal(talking(settings), server.environment) as terminal,
    ):
        terminal.wait_for(r"\] listening")
        server.unplug()
        assert terminal.exit_code() == 4
    assert re.search(r"voicebot: the microphone 'ear' is gone\r\n$", terminal.written)
    assert "Traceback" not in terminal.written


@needed
def test_a_sound_server_that_ends_in_mid_answer_ends_the_talk_with_a_word(
    tmp_path, question, settings
):
    with (
        sound_server(tmp_path) as server,
        Terminal(talking(settings), server.environment) as terminal,
    ):
        terminal.wait_for(r"\] listening")
        with server.say(question):
            terminal.wait_for(r"\] speaking")
            server.unplug()
        assert terminal.exit_code() == 4
    assert re.search(r"voicebot: the (microphone|loudspeaker) '\w+' is gone\r\n$", terminal.written)
    assert "Traceback" not in terminal.written


@needed
@pytest.mark.parametrize("moment", ["loading", r"\] listening"])
def test_control_c_ends_it_at_any_moment(tmp_path, settings, moment):
    if moment == "loading":
        settings.write_text(f"{EARS_AND_WITS}[tts]\nengine = 'slow:Slow'\n")
        (tmp_path / "slow.py").write_text(SLOW)
    with sound_server(tmp_path) as server:
        environment = {**server.environment, "PYTHONPATH": str(tmp_path)}
        with Terminal(talking(settings), environment) as terminal:
            terminal.wait_for(moment)
            terminal.control_c()
            assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.written


SLOW = """
import sys, threading

class Slow:
    def __init__(self):
        if "probe_child" not in sys.argv[0]:
            print("loading", flush=True)
            threading.Event().wait()

    async def synthesize(self, text):
        return
        yield
"""

ASKED = """
from voicebot.engines import Delta

class Asked:
    async def reply(self, messages):
        print([message.text for message in messages], flush=True)
        yield Delta("Yes.", finish="stop")
"""
