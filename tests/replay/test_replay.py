"""A recorded conversation, held again: what is the same, and what is told of what is not."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from recorded_room import AS_IN_THE_ROOM, LONG, differing, record, recorded
from room import ChatModel, Room, Synthesizer, Transcriber, sound, user

from voicebot.config import AssistantSettings, Config, RecordSettings
from voicebot.conversation import EndpointingSettings, StopReply, Typed
from voicebot.conversation.degradation import DegradationPolicy
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.engines import Delta, Speech
from voicebot.errors import EngineError, InputError
from voicebot.events import Degraded, Passage
from voicebot.recording.recorder import Recorder
from voicebot.replay.read import found, read
from voicebot.replay.run import replay, run

QUESTION = ("wait", 0.5), ("speak", 1.0), ("wait", 3.0)


class Stumbling(ChatModel):
    """Fails in the middle of its answer."""

    async def reply(self, messages):
        yield Delta("It is ")
        raise EngineError("llm", "out of memory")


# What is the same


@pytest.mark.parametrize(
    ("script", "room"),
    [
        (QUESTION, {}),
        ((*QUESTION, *QUESTION), {"stt": Transcriber("what time is it", "and now")}),
        ((("speak", 1.0), ("wait", 1.0), ("speak", 1.0), ("wait", 2.0)), {"words": LONG}),
        ((("speak", 1.0), ("wait", 0.3), ("speak", 1.0), ("wait", 3.0)), {}),
        ((Typed("what time is it"), ("wait", 3.0)), {}),
        ((*QUESTION[:2], ("wait", 1.2), StopReply(), ("wait", 2.0)), {"words": LONG}),
        ((("speak", 0.05), ("wait", 1.0)), {}),
        (QUESTION, {"stt": Transcriber("")}),
        (QUESTION, {"llm": ChatModel("Noon.", passages=(Passage("day.md#1", "Noon is 12."),))}),
        (QUESTION, {"llm": Stumbling()}),
        (QUESTION, {"tts": Synthesizer(fails=True)}),
        (QUESTION, {"tts": Synthesizer(hangs=True)}),
        (QUESTION, {"tts": Synthesizer(times=True), "words": LONG}),
    ],
    ids=[
        "a question", "two questions", "an interruption", "a pause", "a typed question", "a hush",
        "a cough", "nothing understood", "passages", "a model that fails", "a voice that fails",
        "a voice that hangs", "a voice that tells its words",
    ],
)  # fmt: skip
def test_nothing_differs(tmp_path, script, room):
    session = recorded(tmp_path, *script, **room)
    assert session.events or script[0] == ("speak", 0.05)
    assert differing(session) == []


def test_what_was_read_along_with_is_again(tmp_path):
    room = Room("Yes.")
    room.conversation.interim = True
    record(tmp_path, room, ("speak", 3.0), ("wait", 2.0))
    session = read(*found(tmp_path))
    assert "interim_transcript" in [told["event"] for _, told in session.events]
    assert differing(session) == []


def rescue():
    """A budget of which every degradation is taken, and a conversation's reserve for it."""
    budget = LatencySettings()
    return budget, Fallbacks(
        DegradationPolicy(budget), PrerenderedSpeech(budget.sentences), Synthesizer()
    )


@pytest.mark.parametrize(
    ("room", "degradation"),
    [
        ({"llm": ChatModel("Noon.", takes=3.0)}, "filler"),
        ({"tts": Synthesizer(fails=True)}, "fallback_voice"),
        ({"llm": Stumbling()}, "apology"),
    ],
)
def test_so_is_what_helped_in_need(tmp_path, room, degradation):
    budget, fallbacks = rescue()
    room = Room("It", "is", "noon.", **room, fallbacks=fallbacks)
    record(tmp_path, room, *QUESTION, ("wait", 3.0))
    assert degradation in [event.degradation for event in room.all(Degraded)]
    assert differing(read(*found(tmp_path)), Config(latency=budget)) == []


def test_what_was_made_before_the_conversation_is_there_at_once(tmp_path):
    budget, fallbacks = rescue()
    tts = Synthesizer()
    Room().live(fallbacks.prerendered.make(tts))
    room = Room("Noon.", llm=ChatModel("Noon.", takes=3.0), tts=tts, fallbacks=fallbacks)
    record(tmp_path, room, *QUESTION, ("wait", 3.0))
    assert room.all(Degraded)[0].degradation == "filler"
    assert differing(read(*found(tmp_path)), Config(latency=budget)) == []


def test_what_was_given_up_in_advance_is_again(tmp_path):
    budget, fallbacks = rescue()
    fallbacks.policy.preemptive.add("short_clause")
    record(tmp_path, room := Room(*LONG, fallbacks=fallbacks), *QUESTION)
    first = room.all(Degraded)[0]
    assert (first.degradation, first.preemptive) == ("short_clause", True)
    assert differing(read(*found(tmp_path)), Config(latency=budget)) == []


def test_what_was_being_said_when_the_user_hung_up_is_not_finished(tmp_path):
    room = Room("Yes.")

    async def hang_up():
        async with asyncio.timeout(1.0):
            await room.conversation.run(user(("speak", 2.0)))

    recorder = Recorder(RecordSettings(str(tmp_path)))
    recorder.record(room.conversation)
    with pytest.raises(TimeoutError):
        room.live(hang_up())
    recorder.close()
    session = read(*found(tmp_path))
    assert [told["event"] for _, told in session.events] == ["speech_started"]
    assert differing(session) == []


def test_a_failure_is_again_of_its_kind(tmp_path):
    class Refused(EngineError):
        kind = "refused"

    class Proud(ChatModel):
        async def reply(self, messages):
            raise Refused("llm", "not today")
            yield

    session = recorded(tmp_path, *QUESTION, llm=Proud())
    kinds = [told["kind"] for _, told in replay(session, AS_IN_THE_ROOM) if "kind" in told]
    assert kinds == ["refused"]


# What is told of what differs


def test_another_setting_shows_in_what_it_changes(tmp_path, capsys):
    recorded(tmp_path, *QUESTION)
    config = replace(
        AS_IN_THE_ROOM, turn_detection=EndpointingSettings(silence_duration_ms=900), latency=WAITING
    )
    assert replayed(tmp_path, config) == 1
    shown = capsys.readouterr().out.splitlines()
    assert "[turn_detection] silence_duration_ms was 480, is 900" in shown
    assert "~    2.40  speech ended (at 2.00, now 2.40)" in shown
    assert shown[-1].endswith(" differences")


WAITING = LatencySettings(degradations="", end_of_turn_ms=900, first_audio_ms=1300)


def replayed(path, config=AS_IN_THE_ROOM, **how):
    how = {"engines": "recorded", "tolerance": 0.001, "as_lines": False} | how
    return run(config, path, path=str(path), **how)


def test_two_replays_print_the_same(tmp_path, capsys):
    recorded(tmp_path, *QUESTION, words=LONG)
    config = replace(AS_IN_THE_ROOM, turn_detection=EndpointingSettings(silence_duration_ms=200))
    replayed(tmp_path, config)
    once = capsys.readouterr().out
    replayed(tmp_path, config)
    assert capsys.readouterr().out == once != ""


def test_what_is_within_the_tolerance_is_not_told(tmp_path):
    session = recorded(tmp_path, *QUESTION)
    config = replace(AS_IN_THE_ROOM, turn_detection=EndpointingSettings(silence_duration_ms=400))
    assert differing(session, config, tolerance=0.05) != []
    assert differing(session, config, tolerance=0.1) == []


def test_words_that_were_never_recognised_are_not_made_up(tmp_path):
    session = recorded(tmp_path, ("speak", 2.0), ("wait", 0.7), ("speak", 2.0), ("wait", 3.0))
    config = replace(
        AS_IN_THE_ROOM, turn_detection=EndpointingSettings(silence_duration_ms=900), latency=WAITING
    )
    told = differing(session, config)
    assert any("failed: stt: no " in line and line.startswith("+") for line in told)


MORE = " ".join(f"{LONG[1]} {n} shines for as long as you ask." for n in range(9)).split()


def test_an_answer_that_was_cut_short_is_not_made_up_either(tmp_path):
    script = ("speak", 1.0), ("wait", 1.0), ("speak", 0.3), ("wait", 3.0)
    session = recorded(tmp_path, *script, words=MORE)
    assert "interrupted" in [told["event"] for _, told in session.events]
    deaf = replace(AS_IN_THE_ROOM, turn_detection=EndpointingSettings(min_speech_ms=500))
    assert any("the recording has no more of it" in line for line in differing(session, deaf))


def test_programs_get_an_object_for_each_recording(tmp_path, capsys):
    record(tmp_path, Room("Yes."), *QUESTION)
    record(tmp_path, Room("No.", tts=Synthesizer(fails=True)), *QUESTION)
    patient = replace(AS_IN_THE_ROOM, assistant=AssistantSettings(engine_timeout_s=5))
    assert replayed(tmp_path, patient, as_lines=True) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["recording"] < second["recording"]
    assert first["settings"] == {"[assistant] engine_timeout_s": {"recorded": 30.0, "now": 5}}
    assert first["differences"] == second["differences"] == []


# What is no recording


def story(*lines):
    return "".join(json.dumps({"at": 0, **line}) + "\n" for line in lines)


SESSION = {"session": 1, "rate": 16000, "window": 512, "interim": False, "second_voice": False,
           "preemptive": [], "settings": {}}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is nothing in it"),
        ("hello\n", "line 1 is not a valid recording entry"),
        ("\x00\udcff\n", "line 0 is not a valid recording entry"),
        (story({**SESSION, "session": 7}), "recorded as version 7, and this is 1"),
        (story({**SESSION, "rate": 0}), "line 1 is not a valid recording entry"),
        (story(SESSION, {"at": -1, "hush": True}), "line 2 is not a valid recording entry"),
        (story(SESSION, {"news": 1}), "line 2 is not a valid recording entry"),
        (story(SESSION, {"gave": 1, "item": {}}), "line 2 is not a valid recording entry"),
        (
            story(SESSION, {"event": {"event": "passages", "passages": [1]}}),
            "line 2 is not a valid",
        ),
        (story(SESSION, {"windows": [[0, None]]}), "line 2 is not a valid recording entry"),
    ],
)
def test_rubbish_is_told_in_one_line(tmp_path, text, says):
    file = tmp_path / "session.jsonl"
    file.write_text(text, "utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=f"{file}: {says}"):
        replayed(file)


def test_a_line_that_was_never_finished_is_left_out(tmp_path):
    session = recorded(tmp_path, *QUESTION)
    text = session.path.read_text()
    session.path.write_text(text[: text.rindex("{")] + '{"at": 3.1, "ov')
    assert differing(read(session.path)) == []


NO_PAUSES = "[speech]\ncomma_ms = 0\nstop_ms = 0\nparagraph_ms = 0\n"


def test_from_the_command_line(tmp_path):
    def voicebot(*arguments):
        command = [sys.executable, "-m", "voicebot", "replay", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    (tmp_path / "voicebot.toml").write_text('[latency]\ndegradations = ""\n' + NO_PAUSES)
    (tmp_path / "kept").mkdir()
    nothing = voicebot("kept")
    assert (nothing.returncode, nothing.stdout) == (5, "")
    assert nothing.stderr == "voicebot: kept: there is no recording in it\n"
    session = recorded(tmp_path / "kept", *QUESTION)
    done = voicebot("kept")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{session.name}: 4.5 s, 6 events\nnothing differs\n"
    assert voicebot(str(session.path), "--tolerance", "-1").returncode == 2


def test_a_voice_that_was_known_to_be_slow_says_the_same_pieces_again(tmp_path):
    class Slow(Synthesizer):
        async def synthesize(self, text):
            await asyncio.sleep(0.7 * 0.3 * len(text.split()))
            yield Speech(sound(0.3 * len(text.split()), 24000))

    tail = "Then the clouds come and it rains until the roads are rivers again."
    tts = Slow()
    room = Room(*LONG, *tail.split(), tts=tts)
    for _ in range(9):
        room.conversation.fallbacks.paces.of(tts).learn("It is noon and it is warm.", 2.1, 1.9)
    record(tmp_path, room, ("speak", 1.0), ("wait", 20.0))
    assert differing(read(*found(tmp_path))) == []
