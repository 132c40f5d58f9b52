"""`voicebot talk --url`: a conversation on a server, with the microphone and loudspeaker here."""

import asyncio
import re
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from calling import Cable, Parts, serving, serving_browsers
from room import Speaker, Synthesizer, sound, user
from sound_server import needed, sound_server
from test_talk import Terminal

from voicebot.audio import Audio
from voicebot.client import converse, is_near
from voicebot.engines import Speech
from voicebot.errors import ConfigError, MissingDependency
from voicebot.events import ClauseSpoken, Degraded, Interrupted, Transcript, TurnEnded

STORY = "One two three. Four five six. Seven eight nine. Ten eleven twelve.".split()  # noqa: SIM905 - reads as the sentences it is
QUESTION = Path(__file__).parents[1] / "examples" / "question.wav"


async def humming(*script):
    """What `user` says, as a tone: Opus takes a steady level for no sound at all."""
    tone = np.sin(np.arange(320) * 2 * np.pi / 80).astype(np.float32)  # 20 ms at 200 Hz
    async for audio in user(*script):
        yield Audio(audio.samples * tone, audio.rate)


class Caller:
    """Somebody who says `script` to a server, and what reaches them."""

    def __init__(self):
        self.events, self.speaker = [], Speaker()
        self._more = asyncio.Event()

    def note(self, event):
        self.events.append(event)
        self._more.set()

    def all(self, kind):
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, kind, count=1):
        while len(self.all(kind)) < count:
            self._more.clear()
            async with asyncio.timeout(100):
                await self._more.wait()

    @asynccontextmanager
    async def calling(self, url, *script, **wishes):
        talking = asyncio.create_task(
            converse(url, self.speaker, humming(*script), self.note, **wishes)
        )
        try:
            yield
        finally:
            talking.cancel()
            with suppress(asyncio.CancelledError):
                await talking


@pytest.mark.parametrize("url", ["{}", "http://{}", "ws://{}/", "ws://{}/v1/talk"])
def test_a_question_is_answered_from_a_server(url):
    async def script():
        parts, caller = Parts("Good", "morning."), Caller()
        async with (
            serving(parts) as host,
            caller.calling(url.format(host), ("speak", 1.0), ("wait", 30)),
        ):
            await caller.until(TurnEnded)
        return parts, caller

    parts, caller = asyncio.run(script())
    assert caller.all(Transcript) == [Transcript("hello there")]
    assert caller.all(ClauseSpoken) == [ClauseSpoken("Good morning.")]
    assert parts.history == [("user", "hello there"), ("assistant", "Good morning.")]


def test_what_the_server_is_made_of_is_told_once():
    """Whether it records stands there, too."""

    async def script():
        caller, cable, told = Caller(), Cable(), []
        async with (
            serving(Parts(*STORY)) as host,
            await cable.lay(host),
            caller.calling(cable.host, ("speak", 0.5), ("wait", 30), tell=told.append),
        ):
            await caller.until(ClauseSpoken)
            cable.cut()
            cable.mend()
            await caller.until(TurnEnded)
        return told

    assert asyncio.run(script()) == ["a parrot speaks"]


def test_what_is_given_up_to_be_in_time_is_told_here():
    class Hurried(Parts):
        def conversation(self, speaker, emit):
            conversation = super().conversation(speaker, emit)
            conversation.fallbacks.policy.preemptive.add("short_clause")
            return conversation

    async def script():
        caller = Caller()
        said = ("speak", 1.0), ("wait", 30)
        async with serving(Hurried("Good", "morning.")) as host, caller.calling(host, *said):
            await caller.until(TurnEnded)
        return caller

    assert asyncio.run(script()).all(Degraded) == [Degraded("short_clause", preemptive=True)]


def test_speaking_over_the_reply_silences_the_loudspeaker_here():
    async def script():
        parts, caller = Parts(*STORY), Caller()
        said = ("speak", 0.5), ("wait", 2.0), ("speak", 0.5), ("wait", 30)
        async with serving(parts) as host, caller.calling(host, *said):
            await caller.until(Interrupted)
        return parts, caller

    parts, caller = asyncio.run(script())
    (cut,) = caller.all(Interrupted)
    assert " ".join(STORY).startswith(cut.heard)
    assert parts.history[1] == ("assistant", cut.heard)
    assert "quiet" in [what for what, _ in caller.speaker.log]


@pytest.mark.parametrize("opus", [False, True])
def test_a_connection_that_breaks_in_mid_reply_costs_no_word(opus):
    async def script():
        parts, caller, cable = Parts(*STORY), Caller(), Cable()
        async with (
            serving(parts) as host,
            await cable.lay(host),
            caller.calling(cable.host, ("speak", 0.5), ("wait", 30), opus=opus),
        ):
            await caller.until(ClauseSpoken, 2)
            cable.cut()
            await asyncio.sleep(0.5)
            cable.mend()
            await caller.until(TurnEnded)
        return parts, caller

    parts, caller = asyncio.run(script())
    assert " ".join(said.text for said in caller.all(ClauseSpoken)) == " ".join(STORY)
    assert parts.history == [("user", "hello there"), ("assistant", " ".join(STORY))]
    assert len(parts.begun) == 1


def test_what_is_said_and_heard_can_go_through_opus():
    async def script():
        parts, caller = Parts("Good", "morning."), Caller()
        async with (
            serving(parts) as host,
            caller.calling(host, ("speak", 1.0), ("wait", 30), opus=True),
        ):
            await caller.until(TurnEnded)
        return parts, caller

    parts, caller = asyncio.run(script())
    assert parts.history == [("user", "hello there"), ("assistant", "Good morning.")]
    assert caller.speaker.log[0][0] == "sound"


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("localhost:8124", True),
        ("ws://127.0.0.1:8124", True),
        ("http://[::1]:8124/", True),
        ("ws://192.168.1.7:8124", False),
        ("wss://voice.example", False),
    ],
)
def test_sound_that_stays_on_the_machine_need_not_be_made_small(url, near):
    assert is_near(url) == near


def test_a_voice_is_chosen_on_the_server():
    class Choir(Synthesizer):
        voices = ("anna", "bert")

        async def synthesize(self, text, *, voice=None):
            self.lines.append(voice)
            yield Speech(sound(0.1, 24000))

    async def script():
        parts, caller = Parts("Good", "morning.", tts=Choir()), Caller()
        said = ("speak", 0.5), ("wait", 30)
        async with serving(parts) as host, caller.calling(host, *said, voice="bert"):
            await caller.until(TurnEnded)
        async with serving(parts) as host:
            with pytest.raises(ExceptionGroup) as caught:
                await converse(host, Speaker(), user(*said), print, voice="carl")
        return parts, caught

    parts, caught = asyncio.run(script())
    assert parts.tts.lines == ["bert"]
    assert caught.group_contains(ConfigError, match="no voice 'carl'; there is anna, bert")


@pytest.mark.parametrize("url", ["", "ftp://here", "ws://", "ws:///v1/talk"])
def test_an_address_that_is_none_is_a_wrong_setting(url):
    with pytest.raises(ConfigError, match="--url should look like ws://localhost:8124"):
        asyncio.run(converse(url, Speaker(), user(), print))


def test_where_no_server_is_one_line_says_so():
    async def script():
        await converse("ws://127.0.0.1:9", Speaker(), user(), print)

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(script())
    assert caught.group_contains(
        MissingDependency, match=r"no voicebot answers at ws://127\.0\.0\.1:9/v1/talk"
    )


@needed
def test_a_spoken_question_goes_to_the_server_and_its_answer_comes_back_until_control_c(tmp_path):
    with (
        sound_server(tmp_path) as sounds,
        serving_browsers(Parts("Good", "morning.")) as cable,
        Terminal(
            ["talk", "--url", cable.host, "--input", "ear", "--output", "room"],
            sounds.environment,
        ) as terminal,
    ):
        terminal.wait_for(r"\] listening")
        with sounds.say(QUESTION):
            terminal.wait_for(r"you: hello there")
            terminal.wait_for(r"bot: Good morning\.")
            terminal.wait_for(r"first sound after")
        terminal.control_c()
        assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.written


@needed
def test_where_no_server_is_the_command_ends_with_a_word(tmp_path):
    with sound_server(tmp_path) as sounds:
        command = ["talk", "--url", "ws://127.0.0.1:9", "--input", "ear", "--output", "room"]
        told = subprocess.run(
            [sys.executable, "-m", "voicebot", *command],
            env=sounds.environment, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert told.returncode == 4
    assert re.fullmatch(r"voicebot: no voicebot answers at .*\n", told.stderr)
