"""A Realtime session chooses its models, and is told truly which it has."""

import base64
import json
import threading
from contextlib import contextmanager
from dataclasses import replace

import httpx
import numpy as np
import pytest
from choosing import HERE, Ears, Loads, Voice, Writer, app, further
from serving import parts, served
from websockets.sync.client import connect

from voicebot.assistant.on_demand import OnDemandEngines
from voicebot.config import RecordSettings, ServerSettings
from voicebot.errors import EngineError
from voicebot.recording.recorder import Recorder
from voicebot.server.app import create

BY_HAND = {"input": {"turn_detection": None}}


@pytest.fixture(autouse=True)
def no_trial(monkeypatch):
    monkeypatch.setattr("voicebot.assistant.probe.KnownEngines.has", lambda self, chosen: True)


class Session:
    def __init__(self, socket):
        self._socket = socket
        self.created = self.until("session.created")["session"]

    def send(self, kind, **about):
        self._socket.send(json.dumps({"type": kind, **about}))

    def until(self, *kinds):
        while True:
            event = json.loads(self._socket.recv(timeout=60))
            if event["type"] in kinds:
                return event

    def update(self, **session):
        """The session as it is then, or the error."""
        self.send("session.update", session={"type": "realtime", **session})
        told = self.until("session.updated", "error")
        return told.get("session") or told["error"]

    def answer(self, **response):
        """The words of an answer, and what it is told to have been made by."""
        content = [{"type": "input_text", "text": "Hello."}]
        item = {"type": "message", "role": "user", "content": content}
        self.send("conversation.item.create", item=item)
        self.send("response.create", response=response)
        done = self.until("response.done")["response"]
        (part,) = done["output"][0]["content"]
        return part.get("text") or part["transcript"], done["voicebot"]["spoke"]["engines"]

    def heard(self):
        """What is made of a second of sound."""
        sound = (np.full(24000, 0.5) * 32767).astype("<i2").tobytes()
        self.send("input_audio_buffer.append", audio=base64.b64encode(sound).decode())
        self.send("input_audio_buffer.commit")
        kind = "conversation.item.input_audio_transcription"
        return self.until(f"{kind}.completed", f"{kind}.failed")["transcript"]


@contextmanager
def session(url, query=""):
    with connect(f"{url.replace('http', 'ws')}/v1/realtime{query}") as socket:
        yield Session(socket)


def test_the_address_chooses_what_answers_and_an_update_another():
    models = [further("llm", name, Loads(Writer(f"{name}."))) for name in ("one", "two")]
    with served(app(*models, llm=Writer("Usual."))) as url:
        with session(url, "?model=one") as now:
            assert now.created["model"] == "one"
            words, made_by = now.answer(output_modalities=["text"])
            assert (words, made_by["llm"]["engine"]) == ("one.", f"{HERE}:Writer")
            assert now.update(model="two")["model"] == "two"
            assert now.answer(output_modalities=["text"])[0] == "two."
        with session(url, "?model=gpt-realtime") as now:  # a name of OpenAI's is what is usual
            assert now.created["model"] == "gpt-realtime"
            assert now.answer(output_modalities=["text"])[0] == "Usual."


def test_a_name_of_nobodys_is_the_usual_one_and_says_so():
    with (
        served(app(further("llm", "other", Loads(Writer("Other."))))) as url,
        session(url, "?model=othr") as now,
    ):
        (told,) = now.created["voicebot"]["adjusted"]
        assert now.created["model"] == told["used"] == "room:ChatModel"
        assert (told["param"], told["asked"]) == ("session.model", "othr")
        assert told["why"].endswith("did you mean other?")
        ears = now.update(audio={"input": {"transcription": {"model": "other"}}})
        assert ears["audio"]["input"]["transcription"] == {"model": "room:Transcriber"}
        (told,) = ears["voicebot"]["adjusted"]
        assert told["param"] == "session.audio.input.transcription.model"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"model": 5}, "session.model"),
        ({"model": ["other"]}, "session.model"),
        ({"audio": "loud"}, "session.audio"),
        ({"audio": {"input": {"transcription": "other"}}}, "session.audio.input.transcription"),
        ({"audio": {"output": {"voice": {"id": 5}}}}, "session.audio.output.voice"),
    ],
)
def test_what_is_no_name_is_refused_and_changes_nothing(asked, param):
    with (
        served(app(further("llm", "other", Loads(Writer("Other."))))) as url,
        session(url) as now,
    ):
        assert now.update(**asked)["param"] == param
        long = now.update(model="gpt-" + "transcribe" * 20_000 + "!")
        assert len(json.dumps(long)) < 3000
        assert now.update()["model"] == now.created["model"]


def test_recordings_are_heard_by_the_ears_that_are_named():
    german = further("stt", "german", Loads(Ears("german", languages=("de",))))
    with served(app(german, stt=Ears("usual"))) as url, session(url) as now:
        now.update(audio={"input": {"turn_detection": None, "transcription": {}}})
        assert now.heard() == "usual en"
        asked = {"model": "german", "language": "de"}
        told = now.update(audio={"input": {"transcription": asked}})
        assert told["audio"]["input"]["transcription"] == asked
        assert now.heard() == "german de"
        refused = now.update(audio={"input": {"transcription": {"language": "de"}}})
        assert refused["param"] == "session.audio.input.transcription.language"
        assert now.heard() == "german de"  # nothing has changed
        now.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
        assert now.heard() == "usual en"


def test_a_voice_chooses_the_engine_that_has_it():
    usual, choir = Voice("alice"), Voice("carol")
    with (
        served(app(further("tts", "choir", Loads(choir)), tts=usual)) as url,
        session(url) as now,
    ):
        told = now.update(audio={**BY_HAND, "output": {"voice": "carol"}})
        assert told["audio"]["output"]["voice"] == "carol"
        assert now.answer()[1]["tts"]["engine"] == f"{HERE}:Voice"
        assert choir.spoke
        assert "carol" in {voice for _, voice in choir.spoke}
        told = now.update(audio={"output": {"voice": "dave"}})
        assert told["audio"]["output"]["voice"] == "default"
        assert told["voicebot"]["adjusted"][0]["asked"] == "dave"
        now.update(audio={"output": {"voice": "alice"}})
        now.answer()
        assert usual.spoke[-1][1] == "alice"


def test_a_model_that_cannot_be_loaded_leaves_the_session_as_it_was():
    broken = further("llm", "broken", Loads(Writer("No."), error=EngineError("llm", "no memory")))
    with served(app(broken, llm=Writer("Usual."))) as url:
        with session(url) as now:
            refused = now.update(model="broken", instructions="Be brief.")
            assert refused["code"] == "model_unavailable"
            assert refused["param"] == "session.model"
            assert refused["message"] == "broken cannot be loaded: no memory"
            assert now.update()["instructions"] == now.created["instructions"]
            assert now.answer(output_modalities=["text"])[0] == "Usual."
        with session(url, "?model=broken") as now:
            (told,) = now.created["voicebot"]["adjusted"]
            assert told["why"] == "broken cannot be loaded: no memory"
            assert now.created["model"] == told["used"] == "room:ChatModel"
            assert now.answer(output_modalities=["text"])[0] == "Usual."


def test_a_recording_holds_what_the_chosen_model_wrote(tmp_path):
    recorder = Recorder(RecordSettings(folder=str(tmp_path)))
    other = further("llm", "other", Loads(Writer("Otherwise.")))
    recorded = replace(parts(), further=OnDemandEngines([other]), recorder=recorder)
    admission = create(recorded, ServerSettings())
    with served(admission) as url, session(url) as now:
        now.update(model="other")
        now.answer(output_modalities=["text"])
    admission.close()
    kept = "".join(file.read_text() for file in tmp_path.rglob("*.jsonl"))
    given = [line for line in kept.splitlines() if "gave" in line]
    assert any("Otherwise." in line for line in given)


def test_other_sessions_go_on_while_a_model_is_loaded():
    loads = Loads(Writer("Slow."))
    loads.may.clear()
    with (
        served(app(further("llm", "slow", loads), llm=Writer("Usual."))) as url,
        session(url) as other,
        session(url) as now,
    ):
        told = []
        waiting = threading.Thread(target=lambda: told.append(now.update(model="slow")))
        waiting.start()
        assert loads.asked.wait(60)
        assert other.answer(output_modalities=["text"])[0] == "Usual."
        assert httpx.get(f"{url}/health").status_code == 200
        assert not told
        loads.may.set()
        waiting.join()
        assert told[0]["model"] == "slow"
        assert now.answer(output_modalities=["text"])[0] == "Slow."


def test_a_secret_names_the_models_of_the_session_it_opens():
    with served(app(further("llm", "other", Loads(Writer("Other."))), llm=Writer("Usual."))) as url:
        asked = {"session": {"type": "realtime", "model": "other"}}
        secret = httpx.post(f"{url}/v1/realtime/client_secrets", json=asked).json()
        assert secret["session"]["model"] == "other"
        bearer = {"authorization": f"Bearer {secret['value']}"}
        address = f"{url.replace('http', 'ws')}/v1/realtime"
        with connect(address, additional_headers=bearer) as socket:
            assert Session(socket).answer(output_modalities=["text"])[0] == "Other."
