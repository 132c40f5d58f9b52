"""Options are checked against the engines when they are set, not when they are first needed."""

import asyncio
import json
import random
from contextlib import aclosing

import httpx
import pytest
import room
from realtime_client import ASK, COMPLETED, Client
from serving import app, served, wav
from websockets.sync.client import connect

from voicebot.engines import Segment, Speech
from voicebot.engines.call_options import OptionError

BOUNDS = (0.5, 2.0)


class English(room.Transcriber):
    """Understands one language, and objects to any other as Whisper's English models do."""

    languages = ("en",)

    async def transcribe(self, audio, *, language=None):
        if language not in (None, "en"):
            raise OptionError("language", f"no {language}")
        self.given.append(language)
        yield Segment("hello there", 0.0, audio.seconds)


class Voice(room.Synthesizer):
    voices, speeds = ("anna", "bert"), BOUNDS

    async def synthesize(self, text, *, voice=None, speed=None):
        if voice not in (None, *self.voices) or not BOUNDS[0] <= (speed or 1) <= BOUNDS[1]:
            raise OptionError("voice", f"no {voice} at {speed}")
        self.lines.append((voice, speed))
        yield Speech(room.sound(0.3, 24000))


def session(**changes):
    heard = {"audio": {"input": {"transcription": {"language": changes.pop("language", None)}}}}
    sounds = {"audio": {"output": changes}}
    return ("session.update", {"session": {**(sounds if changes else heard)}})


def talked(*script, stt=None, tts=None):
    client = Client("Yes.", stt=stt or English(), tts=tts or Voice())
    client.does(*script, *ASK, ("wait", 1.0))
    assert client.all("response.done")[-1]["response"]["status"] == "completed"
    return client


@pytest.mark.parametrize("name", ["en", "EN", "en-US", "english", "English (UK)", "en_GB.UTF-8"])
def test_a_language_is_understood_by_what_people_call_it(name):
    client = talked(session(language=name))
    told = client.all("session.updated")[-1]["session"]["audio"]["input"]["transcription"]
    assert told["language"] == "en"
    assert client.stt.given == ["en"]


@pytest.mark.parametrize("name", ["auto", "", None])
def test_no_language_is_for_the_engine_to_find_out(name):
    client = talked(session(language=name))
    told = client.all("session.updated")[-1]["session"]["audio"]["input"]["transcription"]
    assert "language" not in told
    assert client.stt.given == [None]


@pytest.mark.parametrize("name", ["de", "deutsch", "zz", "klingon"])
def test_a_language_that_nobody_here_understands_is_refused_at_once(name):
    client = talked(session(language=name))
    (error,) = client.all("error")
    assert error["error"]["code"] == "invalid_value"
    assert error["error"]["param"] == "session.audio.input.transcription.language"
    assert "there is en" in error["error"]["message"]
    assert client.all(COMPLETED)[-1]["transcript"] == "hello there"


@pytest.mark.parametrize(
    ("asked", "used"), [(0.25, 0.5), (0.5, 0.5), (0.7, 0.7), (1.0, 1.0), (1.5, 1.5)]
)
def test_the_nearest_speed_is_spoken_and_told(asked, used):
    client = talked(session(speed=asked))
    told = client.all("session.updated")[-1]["session"]
    assert told["audio"]["output"]["speed"] == used
    assert client.parts.tts.lines[-1][1] == (None if used == 1 else used)
    adjusted = told.get("voicebot", {}).get("adjusted", [])
    assert [(each["param"], each["asked"], each["used"]) for each in adjusted] == (
        [] if asked == used else [("session.audio.output.speed", asked, used)]
    )


def test_a_voice_that_takes_no_speed_speaks_at_its_own():
    client = talked(session(speed=1.4), tts=room.Synthesizer())
    assert client.all("session.updated")[-1]["session"]["audio"]["output"]["speed"] == 1.0


@pytest.mark.parametrize(
    ("asked", "told", "voice"),
    [("anna", "anna", "anna"), ("alloy", "alloy", None), ("nobody", "voice", None)],
)
def test_the_voice_that_will_speak_is_told(asked, told, voice):
    client = talked(session(voice=asked))
    said = client.all("session.updated")[-1]["session"]
    assert said["audio"]["output"]["voice"] == told
    assert client.parts.tts.lines[-1][0] == voice
    assert bool(said.get("voicebot")) == (asked != told)


def test_one_response_has_the_same_bounds():
    client = Client("Yes.", stt=English(), tts=Voice()).does(
        ("response.create", {"response": {"audio": {"output": {"voice": "nobody"}}}}),
        ("wait", 1.0),
        ("response.create", {"response": {"audio": {"output": {"voice": "bert"}}}}),
        ("wait", 1.0),
    )
    done = [event["response"] for event in client.all("response.done")]
    assert [each["audio"]["output"]["voice"] for each in done] == ["voice", "bert"]
    assert [each["status"] for each in done] == ["completed", "completed"]


def test_a_limit_of_tokens_that_no_model_keeps_is_none():
    client = talked(("session.update", {"session": {"max_output_tokens": 9}}))
    told = client.all("session.updated")[-1]["session"]
    assert told["max_output_tokens"] == "inf"
    assert told["voicebot"]["adjusted"][0]["param"] == "session.max_output_tokens"


def test_a_call_that_no_model_makes_cannot_be_required():
    tools = [{"type": "function", "name": "f"}]
    client = talked(
        ("session.update", {"session": {"tools": tools, "tool_choice": "required"}}),
        ("session.update", {"session": {"tools": tools}}),
    )
    (error,) = client.all("error")
    assert error["error"]["param"] == "session.tool_choice"
    adjusted = client.all("session.updated")[-1]["session"]["voicebot"]["adjusted"]
    assert [each["param"] for each in adjusted] == ["session.tools"]


class Secretive(English):
    languages = ()


def test_what_an_engine_objects_to_only_when_it_works_ends_a_response_and_no_session():
    client = Client("Yes.", stt=Secretive(), tts=Voice())
    client.does(session(language="de"), *ASK, session(language="en"), *ASK, ("wait", 1.0))
    done = [event["response"] for event in client.all("response.done")]
    assert [each["status"] for each in done] == ["failed", "completed"]
    assert done[0]["status_details"]["error"]["message"] == "stt: no de"


VALUES = {
    "language": ["en", "EN", "de", "zz", "", "auto", "\u4e2d\u6587", "en-US", None, 7, "x" * 500],
    "speed": [0.25, 0.3, 0.5, 1, 1.0, 1.1, 1.5, 2, 0, -1, 10**309, "fast", None],
    "voice": ["anna", "alloy", "marin", "nobody", "+low", "anna+", "", {"id": "bert"}, 3, None],
}
OTHERS = [
    {"tool_choice": "required"}, {"tool_choice": {"type": "function", "name": "f"}},
    {"tools": [{"type": "function", "name": "f"}]}, {"tools": []}, {"tool_choice": "auto"},
    {"max_output_tokens": 1}, {"max_output_tokens": "inf"}, {"instructions": ""},
    {"truncation": "disabled"}, {"reasoning": {"effort": "high"}}, {"model": "nothing"},
    {"audio": {"output": {"format": {"type": "audio/pcmu"}}}},
    {"audio": {"output": {"format": {"type": "audio/pcm"}}}},
    {"audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
    *[{"audio": {"input": {"turn_detection": {"type": "server_vad", key: value}}}}
      for key, values in {"threshold": [0.01, 0.4], "prefix_padding_ms": [0, 10_000],
                          "silence_duration_ms": [0, 400], "idle_timeout_ms": [5000, None]}.items()
      for value in values],
    *[{"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": eagerness}}}}
      for eagerness in ("low", "medium", "high", "auto")],
]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_whatever_options_were_set_the_next_question_is_answered(seed):
    luck, script = random.Random(seed), []
    for _ in range(6):
        if luck.random() < 0.6:
            option = luck.choice(list(VALUES))
            script.append(session(**{option: luck.choice(VALUES[option])}))
        else:
            script.append(("session.update", {"session": luck.choice(OTHERS)}))
        script += [*ASK, ("wait", 2.5)]
    client = Client("Yes.", stt=English(), tts=Voice()).does(*script)
    done = [event["response"] for event in client.all("response.done")]
    assert len(done) >= 6
    assert {response["status"] for response in done} == {"completed"}


@pytest.mark.parametrize("name", ["english", "EN-us"])
def test_a_language_has_the_same_names_in_settings(name):
    async def heard(choices):
        async with aclosing(choices.ears.transcribe(room.sound(1, 16000))) as segments:
            return [segment.text async for segment in segments]

    from voicebot.conversation.voice_options import VoiceOptions

    choices = VoiceOptions(English(), Voice()).choosing(language=name)
    assert choices.language == "en"
    assert asyncio.run(heard(choices)) == ["hello there"]


@pytest.fixture(scope="module")
def url():
    with served(app(stt=English(), tts=Voice())) as url:
        yield url


def transcribed(url, language):
    about = {"model": "whisper-1", "language": language}
    return httpx.post(f"{url}/v1/audio/transcriptions", data=about, files={"file": wav()})


@pytest.mark.parametrize("language", ["en", "EN", "en-US", "english", "auto", ""])
def test_over_http_a_language_has_the_same_names(url, language):
    answer = transcribed(url, language)
    assert (answer.status_code, answer.json()["text"]) == (200, "hello there")


def test_over_http_a_language_nobody_understands_is_named(url):
    answer = transcribed(url, "de")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "language"
    assert "there is en" in answer.json()["error"]["message"]


def test_a_secret_for_a_session_is_checked_as_the_session_is(url):
    def asked(**session):
        answer = httpx.post(f"{url}/v1/realtime/client_secrets", json={"session": session})
        return answer.status_code, answer.json()

    status, told = asked(type="realtime", voice="anna", turn_detection=None)
    assert status == 200
    assert told["session"]["audio"]["input"]["turn_detection"] is None
    assert told["session"]["audio"]["output"]["voice"] == "anna"
    status, told = asked(type="realtime", temprature=1)
    assert (status, told["error"]["code"]) == (400, "unknown_parameter")
    status, told = asked(audio={"input": {"transcription": {"language": "de"}}})
    assert (status, told["error"]["code"]) == (400, "invalid_value")


def test_in_a_plain_conversation_a_language_has_the_same_names(url):
    with connect(f"ws{url[4:]}/v1/talk", proxy=None) as socket:
        socket.send(json.dumps({"type": "hello", "rate": 24000, "language": "EN-us"}))
        assert json.loads(socket.recv())["language"] == "en"
        socket.send(json.dumps({"type": "choose", "language": "de"}))
        assert json.loads(socket.recv())["code"] == "bad_field"
        socket.send(json.dumps({"type": "choose", "language": "auto"}))
        assert json.loads(socket.recv())["language"] == ""
