"""Realtime sessions that are recorded, and held again: what is the same, and what is not."""

import base64
import json

import numpy as np
import pytest
import room
from realtime_client import ASK, Client, item
from recorded_room import AS_IN_THE_ROOM, differing
from scripted import WEATHER, Scripted
from serving import parts

from voicebot.audio import Audio, join, to_pcm16
from voicebot.audio.recordings import decode
from voicebot.config import Config, RecordSettings
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.engines import Segment
from voicebot.errors import InputError
from voicebot.recording.recorder import Recorder
from voicebot.replay.read import found, read
from voicebot.replay.realtime import unlike
from voicebot.replay.run import replay, run
from voicebot.server.auth.rate_limits import Limits

STORY = " ".join(f"One two three. Four five six. Seven eight {n}." for n in range(9)).split()
MANUAL = {"audio": {"input": {"turn_detection": None}}}
TELEPHONE = {
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}},
        "output": {"format": {"type": "audio/pcmu"}},
    }
}
PCM = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}
SLOWER = {
    "instructions": "Be long.",
    "audio": {"input": {"turn_detection": {"silence_duration_ms": 900}}, "output": {"speed": 1.2}},
}
CLEAR, COMMIT = ("input_audio_buffer.clear", {}), ("input_audio_buffer.commit", {})
RESPOND, CANCEL = ("response.create", {}), ("response.cancel", {})
TRUNCATE = (
    "conversation.item.truncate",
    {"item_id": "", "content_index": 0, "audio_end_ms": 650},
)
TOOLS = {"tools": [{"type": "function", **WEATHER}]}
RAIN = {"type": "function_call_output", "call_id": "call_1", "output": "Rain all day."}


def spoken_item(seconds=1.0, level=0.5):
    data = to_pcm16(Audio(np.full(round(24000 * seconds), level, np.float32), 24000))
    content = [{"type": "input_audio", "audio": base64.b64encode(data).decode()}]
    return {"type": "message", "role": "user", "content": content}


BROKEN = spoken_item(1.0)
BROKEN["content"] += [{"type": "input_audio", "audio": "AAA?"}]


def create(value):
    return "conversation.item.create", {"item": value}


def update(session):
    return "session.update", {"session": session}


ASIDE = (
    "response.create",
    {
        "response": {
            "instructions": "Rhyme.",
            "conversation": "none",
            "output_modalities": ["text"],
        }
    },
)
ABOUT_THIS = "response.create", {"response": {"input": [spoken_item()]}}


def record(folder, *script, **client):
    recorder = Recorder(RecordSettings(str(folder), failed_only=client.pop("failed_only", False)))
    try:
        return Client(recorder=recorder, **client).does(*script)
    finally:
        recorder.close()


def recorded(folder, *script, **client):
    """The one recording there is, once a client has done so."""
    record(folder, *script, **{"llm": room.ChatModel("It", "is", "noon.")} | client)
    (story,) = found(folder)
    return read(story)


def kinds(session):
    return [told["event"] for _, told in session.events]


# What is the same


ANSWERED = {"clause_spoken", "turn_ended"}
SPOKEN = {"speech_started", "speech_ended", "transcript", *ANSWERED}


@pytest.mark.parametrize(
    ("script", "client", "happens"),
    [
        pytest.param((*ASK, ("wait", 1.0), *ASK, ("wait", 1.0)), {}, SPOKEN, id="two questions"),
        pytest.param(
            (*ASK, ("wait", 1.3), *ASK, ("wait", 3.0)),
            {"llm": room.ChatModel(*STORY, takes=0)},
            {*SPOKEN, "interrupted"},
            id="an interruption",
        ),
        pytest.param(
            (("speak", 1.0), ("wait", 0.3), *ASK), {}, {*SPOKEN, "speech_resumed"}, id="a pause"
        ),
        pytest.param(
            (*ASK, ("wait", 8.0)),
            {"audio": {"input": {"turn_detection": {"idle_timeout_ms": 5000}}}},
            SPOKEN,
            id="a user who then says nothing",
        ),
        pytest.param(
            (("speak", 1.0), COMMIT, RESPOND, ("wait", 2.0)) * 2,
            MANUAL,
            {"transcribed", *ANSWERED},
            id="push-to-talk",
        ),
        pytest.param(
            (("speak", 1.0), CLEAR, ("speak", 0.7), COMMIT, RESPOND, ("wait", 2.0)),
            MANUAL,
            {"transcribed", *ANSWERED},
            id="something taken back",
        ),
        pytest.param(
            (create(item("user", "Who?")), RESPOND, ("wait", 2.0)), {}, ANSWERED, id="text"
        ),
        pytest.param(
            (create(spoken_item(2.0)), create(spoken_item(0.3)), RESPOND, ("wait", 2.0)),
            {"stt": room.Transcriber("one", "two")},
            {"transcribed", *ANSWERED},
            id="recordings as items",
        ),
        pytest.param(
            (create(BROKEN), create(item("user", "Who?")), RESPOND, ("wait", 2.0)),
            {},
            {"refused", *ANSWERED},
            id="a broken recording",
        ),
        pytest.param(
            (*ASK, ("wait", 1.0), create(RAIN), RESPOND, ("wait", 2.0)),
            {"llm": Scripted("Let me look.", {"city": "Rome"}), **TOOLS},
            {*SPOKEN, "called"},
            id="a function",
        ),
        pytest.param(
            (*ASK, ("wait", 1.0)),
            {
                "llm": Scripted({"city": "Rome"}, {"city": "Paris"}),
                "parallel_tool_calls": False,
                **TOOLS,
            },
            {"called"},
            id="the first function only",
        ),
        pytest.param(
            (create(item("user", "Who?")), ASIDE, ("wait", 2.0), ABOUT_THIS, ("wait", 2.0)),
            {},
            ANSWERED,
            id="responses of their own kind",
        ),
        pytest.param(
            (*ASK, ("wait", 0.6), CANCEL, TRUNCATE, *ASK, ("wait", 1.0)),
            {"llm": room.ChatModel(*STORY, takes=0)},
            {*SPOKEN, "interrupted"},
            id="an answer cut by the client",
        ),
        pytest.param(ASK, TELEPHONE, SPOKEN, id="a telephone"),
        pytest.param(
            (update(TELEPHONE), *ASK, ("wait", 1.0), update(PCM), *ASK),
            {},
            SPOKEN,
            id="another format",
        ),
        pytest.param(
            (*ASK, ("wait", 1.0), update(SLOWER), *ASK, ("wait", 1.0)),
            {},
            SPOKEN,
            id="other settings",
        ),
        pytest.param(
            (*ASK, ("wait", 0.5)), {"type": "transcription"}, {"transcribed"}, id="transcription"
        ),
        pytest.param(
            (*ASK, ("wait", 1.0)),
            {"tts": room.Synthesizer(fails=True)},
            {"failed"},
            id="a voice that fails",
        ),
        pytest.param(ASK, {"stt": room.Transcriber("")}, {"turn_ended"}, id="nothing understood"),
        pytest.param(
            (
                ("nonsense", {}),
                ("input_audio_buffer.append", {"audio": "?"}),
                create({"type": "message"}),
                CANCEL,
                COMMIT,
            ),
            {},
            {"refused"},
            id="mistakes",
        ),
        pytest.param(
            (("speak", 2.5), COMMIT, ("wait", 1.0)),
            {"limits": Limits(utterance_s=1)},
            SPOKEN,
            id="a key with short utterances",
        ),
    ],
)
def test_nothing_differs(tmp_path, script, client, happens):
    session = recorded(tmp_path, *script, **client)
    assert {*kinds(session)} >= happens
    assert differing(session) == []
    assert [*unlike(session, live=False)] == []


def test_what_helps_in_need_is_there_again(tmp_path):
    slow = room.ChatModel("Noon.", takes=3.0)
    session = recorded(tmp_path, *ASK, ("wait", 5.0), llm=slow, degradations="filler")
    assert "degraded" in kinds(session)
    assert differing(session, Config(latency=LatencySettings(degradations="filler"))) == []


def test_so_is_what_was_made_before_the_session(tmp_path):
    slow = room.ChatModel("Noon.", takes=3.0)
    before = Client(llm=slow, degradations="filler").does(*ASK)
    recorder = Recorder(RecordSettings(str(tmp_path)))
    client = Client(recorder=recorder)
    client.parts = before.parts
    client.does(*ASK, ("wait", 5.0))
    recorder.close()
    (story,) = found(tmp_path)
    session = read(story)
    assert "degraded" in kinds(session)
    assert differing(session, Config(latency=LatencySettings(degradations="filler"))) == []


def test_an_answer_was_heard_as_far_as_it_was(tmp_path):
    """Clocks are never quite the same, and a word more is another history."""
    llm = room.ChatModel(*STORY, takes=0)
    session = recorded(tmp_path, *ASK, ("wait", 1.35), *ASK, llm=llm)
    (before,) = heard(session.events)
    for sounded in session.sounded:
        at, seconds = sounded.stopped
        sounded.stopped = at, seconds + 0.04
    (again,) = heard(replay(session, AS_IN_THE_ROOM))
    assert again == f"{before} Seven"


def heard(story):
    return [told["heard"] for _, told in story if told["event"] == "interrupted"]


def test_recorded_engines_need_no_sound(tmp_path):
    session = recorded(tmp_path, *ASK, create(spoken_item()), RESPOND, ("wait", 2.0))
    session.path.with_name("heard-24000.wav").unlink()
    assert differing(session) == []
    with pytest.raises(ExceptionGroup) as raised:
        replay(session, AS_IN_THE_ROOM, live())
    assert raised.group_contains(InputError, match=r"heard-24000\.wav: no such file")


# What is kept


def test_the_sound_is_kept_as_it_came(tmp_path):
    session = recorded(tmp_path, *ASK, update(TELEPHONE), *ASK, ("speak", 0.5))
    for rate, seconds in ((24000, 2.0), (8000, 2.5)):
        file = session.path.with_name(f"heard-{rate}.wav")
        sound = join(list(decode(str(file), rate)))
        assert sound.seconds == pytest.approx(seconds)
        assert np.abs(sound.samples[: rate // 2]).max() == pytest.approx(0.5, abs=0.02)


def test_no_sound_is_among_the_words(tmp_path):
    odd = base64.b64encode(bytes(4001)).decode()
    session = recorded(
        tmp_path,
        *ASK,
        create(spoken_item()),
        ABOUT_THIS,
        ("input_audio_buffer.append", {"audio": odd}),
        ("wait", 1.0),
    )
    assert all(len(line) < 3000 for line in session.path.read_text().splitlines())


def test_only_what_failed_is_kept_if_that_is_asked_for(tmp_path):
    record(tmp_path, *ASK, llm=room.ChatModel("Yes."), failed_only=True)
    assert [*tmp_path.iterdir()] == []
    failing = {"llm": room.ChatModel("Yes."), "tts": room.Synthesizer(fails=True)}
    record(tmp_path, *ASK, **failing, failed_only=True)
    assert len([*tmp_path.iterdir()]) == 1


def test_what_the_disk_cannot_take_is_lost_but_no_answer(tmp_path, caplog):
    folder = tmp_path / "kept"
    recorder = Recorder(RecordSettings(str(folder)))
    folder.rmdir()
    folder.write_text("in the way")
    client = Client("Yes.", recorder=recorder).does(*ASK)
    recorder.close()
    assert client.all("response.done")[0]["response"]["status"] == "completed"
    (line,) = [r.getMessage() for r in caplog.records if r.name.endswith("archive")]
    assert " is lost: " in line


# With live engines


class Ears(room.Transcriber):
    """Hears how long and how loud it is."""

    async def transcribe(self, audio):
        loud = [level for level in np.abs(audio.samples) if level > 0.2]
        said = f"{len(loud) / audio.rate:.1f} s of {np.median(loud):.1f}"
        yield Segment(said, 0.0, audio.seconds)


def live(**engines):
    return parts(**{"stt": Ears(), "llm": room.ChatModel("Late.", takes=0)} | engines)


def texts(session, parts, kind):
    story = replay(session, AS_IN_THE_ROOM, parts)
    return [told["text"] for _, told in story if told["event"] == kind]


@pytest.mark.parametrize(
    ("script", "client", "hears"),
    [
        ((*ASK, ("wait", 0.5)), {}, ["1.0 s of 0.5"]),
        ((("speak", 0.7), COMMIT, RESPOND, ("wait", 1.0)), MANUAL, ["0.7 s of 0.5"]),
        ((create(spoken_item(0.4, 0.3)), RESPOND, ("wait", 1.0)), {}, ["0.4 s of 0.3"]),
        ((*ASK, ("wait", 0.5)), TELEPHONE, ["1.0 s of 0.5"]),
        (
            (("speak", 0.5), COMMIT, create(spoken_item(0.4, 0.3)), ("speak", 0.7), COMMIT),
            MANUAL,
            ["0.5 s of 0.5", "0.4 s of 0.3", "0.7 s of 0.5"],
        ),
    ],
    ids=["speech", "push-to-talk", "an item", "a telephone", "all in their order"],
)
def test_live_engines_hear_what_was_said(tmp_path, script, client, hears):
    session = recorded(tmp_path, *script, ("wait", 1.0), **client)
    assert texts(session, live(), "transcribed") == hears


def test_live_engines_say_what_they_say(tmp_path):
    session = recorded(tmp_path, *ASK, ("wait", 1.0))
    told = {line[0] + line[9:] for line in differing(session, parts=live(), tolerance=60)}
    assert told >= {"-  clause spoken: It is noon.", "+  clause spoken: Late."}


def test_live_engines_are_told_the_clients_wishes(tmp_path):
    llm = Scripted("Let me look.", {"city": "Rome"})
    session = recorded(
        tmp_path, *ASK, ("wait", 1.0), create(RAIN), RESPOND, ("wait", 2.0), llm=llm, **TOOLS
    )
    again = Scripted({"city": "Paris"}, takes=0)
    assert texts(session, live(llm=again), "called") == ['weather {"city": "Paris"}']
    assert again.given[0][0].text == "Be brief."
    assert again.offered[0] == (["weather"], False)
    assert [*unlike(session, live=True)] == [
        "what the client's functions returned is as it was, whatever is called now"
    ]


# What cannot be held again


def test_it_is_told_where_a_key_was_used_up(tmp_path, capsys):
    session = recorded(tmp_path, *ASK, *ASK, ("wait", 1.0), limits=Limits(requests_per_minute=1))
    run(AS_IN_THE_ROOM, tmp_path, path=str(tmp_path), engines="recorded", tolerance=1.0,
        as_lines=False)  # fmt: skip
    (note,) = unlike(session, live=False)
    assert note.endswith("its key was used up; here it is not, and what follows may differ")
    assert note in capsys.readouterr().out.splitlines()


def test_so_it_is_where_no_more_sound_was_taken(tmp_path):
    session = recorded(tmp_path, *ASK, ("wait", 1.0), limits=Limits(audio_s_per_day=1))
    assert [*unlike(session, live=False)] != []
    assert [line[0] + line[9:] for line in differing(session)] == [
        "-  refused: rate_limit_exceeded"
    ]


def story(*lines):
    return "".join(json.dumps({"at": 0, **line}) + "\n" for line in lines)


SESSION = {"session": 1, "rate": 16000, "window": 512, "interim": False, "second_voice": False,
           "preemptive": [], "settings": {},
           "realtime": {"changes": [], "speaks_beta": False, "has_track": False, "root": "mine",
                        "takes": [],
                        "utterance_s": 0}}  # fmt: skip


@pytest.mark.parametrize(
    "lines",
    [
        ({**SESSION, "realtime": {}},),
        ({**SESSION, "realtime": {**SESSION["realtime"], "utterance_s": "?"}},),
        (SESSION, {"sent": "hello"}),
        (SESSION, {"sounds": [[0, 5]], "rate": 24000}),
        (SESSION, {"appended": [[0, 5]], "rate": 24000}, {"sounds": [[0, 5]], "rate": 24000}),
        (SESSION, {"appended": [[0, 10**12]], "rate": 24000}),
        (SESSION, {"appended": [[0, 5]], "rate": 0}),
        (SESSION, {"appended": [[-1, 5]], "rate": 24000}),
        ({**SESSION, "realtime": None}, {"sent": {}}),
    ],
)
def test_rubbish_is_told_in_one_line(tmp_path, lines):
    file = tmp_path / "session.jsonl"
    file.write_text(story(*lines))
    with pytest.raises(InputError, match=f"line {len(lines)} is not a valid recording entry"):
        read(file)
