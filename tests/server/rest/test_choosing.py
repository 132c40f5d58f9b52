"""A request chooses among a server's models: of each kind one is usual, others have a name."""

import asyncio
import base64
import threading

import httpx
import pytest
from choosing import HERE, Ears, Loads, Voice, Writer, app, further
from serving import served, wav

from voicebot.assistant.assembly import EngineSpec
from voicebot.assistant.on_demand import OnDemand
from voicebot.errors import EngineError, MissingDependency
from voicebot.model_names import PLAIN


@pytest.fixture(autouse=True)
def no_trial(monkeypatch):
    monkeypatch.setattr("voicebot.assistant.probe.KnownEngines.has", lambda self, chosen: True)


def heard(url, model, **fields):
    return httpx.post(
        f"{url}/v1/audio/transcriptions",
        files={"file": ("a.wav", wav())},
        data={"model": model, **fields},
        timeout=60,
    )


def asked(url, model, route="chat/completions", **fields):
    question = {"model": model, **fields}
    if route == "chat/completions":
        question["messages"] = [{"role": "user", "content": "Hello."}]
    else:
        question["input" if route == "responses" else "prompt"] = "Hello."
    return httpx.post(f"{url}/v1/{route}", json=question, timeout=60)


def spoken(url, model, **fields):
    return httpx.post(
        f"{url}/v1/audio/speech",
        json={"model": model, "input": "Hello.", "response_format": "pcm", **fields},
        timeout=60,
    )


def ids(listed):
    return [entry["id"] for entry in listed]


def test_recordings_are_heard_by_the_model_that_is_named():
    loads = Loads(Ears("accurate"))
    admission = app(further("stt", "accurate", loads), stt=Ears("usual"))
    with served(admission) as url:
        assert heard(url, "whisper-1").json()["text"] == "usual en"
        assert loads.count == 0
        answer = heard(url, "accurate")
        assert answer.json()["text"] == "accurate en"
        assert answer.headers["x-voicebot-stt"].startswith(f"{HERE}:Ears")
        assert heard(url, "Accurate").json()["text"] == "accurate en"
        assert heard(url, "whisper-1").headers["x-voicebot-stt"].startswith("room:Transcriber")
    assert loads.count == 1
    assert not loads.engine.closed
    admission.close()
    assert loads.engine.closed


def test_the_options_of_a_request_are_those_of_its_model():
    german = Loads(Ears("german", languages=("de",)))
    with served(app(further("stt", "german", german), stt=Ears("usual"))) as url:
        assert heard(url, "german", language="de").json()["text"] == "german de"
        refused = heard(url, "whisper-1", language="de")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "language")


@pytest.mark.parametrize("route", ["chat/completions", "responses", "completions"])
def test_each_text_route_is_answered_by_the_model_that_is_named(route):
    loads = Loads(Writer("Other."))
    with served(app(further("llm", "other", loads), llm=Writer("Usual."))) as url:
        for model, word in (("gpt-4o", "Usual."), ("other", "Other."), (f"other{PLAIN}", "Other.")):
            assert word in asked(url, model, route).text
        assert "Other." in asked(url, "other", route, stream=True).text
        missing = asked(url, "othr", route)
    assert missing.status_code == 404
    assert missing.json()["error"]["message"].endswith("other; did you mean other?")


def test_speech_is_made_by_the_model_that_is_named_or_by_what_has_the_voice():
    usual, robot, choir = Voice("alice"), Voice("bob"), Voice("carol")
    models = [further("tts", "robot", Loads(robot)), further("tts", "choir", Loads(choir))]
    with served(app(*models, tts=usual)) as url:
        assert spoken(url, "robot").headers["x-voicebot-tts"].startswith(f"{HERE}:Voice")
        assert robot.spoke == [("Hello.", "")]
        assert spoken(url, "tts-1", voice="carol").status_code == 200
        assert choir.spoke == [("Hello.", "carol")]
        assert spoken(url, "tts-1", voice="alice").status_code == 200
        assert usual.spoke[-1] == ("Hello.", "alice")
        nobodys = spoken(url, "tts-1", voice="dave")
        assert (nobodys.status_code, nobodys.json()["error"]["param"]) == (400, "voice")
        others = spoken(url, "robot", voice="carol")
        assert (others.status_code, others.json()["error"]["param"]) == (400, "voice")


def test_a_voice_of_two_models_needs_the_model():
    models = [further("tts", name, Loads(Voice("carol"))) for name in ("choir", "band")]
    with served(app(*models, tts=Voice("alice"))) as url:
        refused = spoken(url, "tts-1", voice="carol")
        assert refused.status_code == 400
        assert "choir and band have a voice 'carol'" in refused.json()["error"]["message"]
        assert spoken(url, "band", voice="carol").status_code == 200


def test_an_answer_is_read_aloud_by_what_has_the_voice():
    choir = Voice("carol")
    with served(app(further("tts", "choir", Loads(choir)), tts=Voice("alice"))) as url:
        answer = asked(
            url, "gpt-4o", modalities=["text", "audio"], audio={"voice": "carol", "format": "wav"}
        )
    audio = answer.json()["choices"][0]["message"]["audio"]
    assert base64.b64decode(audio["data"]).startswith(b"RIFF")
    assert choir.spoke
    assert answer.headers["x-voicebot-tts"].startswith(f"{HERE}:Voice")


def test_all_models_are_listed_with_what_they_do():
    models = [
        further("stt", "accurate", Loads(Ears("a"))),
        further("llm", "other", Loads(Writer("a"))),
        further("tts", "robot", Loads(Voice("bob", "+x"))),
    ]
    with served(app(*models, tts=Voice("alice"))) as url:
        listed = httpx.get(f"{url}/v1/models").json()["data"]
        assert [(entry["id"], entry["task"], entry["loaded"]) for entry in listed] == [
            ("room:Transcriber", "automatic-speech-recognition", True),
            ("accurate", "automatic-speech-recognition", False),
            ("room:ChatModel", "text-generation", True),
            ("other", "text-generation", False),
            ("room:Synthesizer", "text-to-speech", True),
            ("robot", "text-to-speech", False),
        ]
        assert httpx.get(f"{url}/v1/models/robot").json()["owned_by"] == f"{HERE}:Voice"
        audio = httpx.get(f"{url}/v1/audio/models").json()
        hear_or_speak = ["room:Transcriber", "accurate", "room:Synthesizer", "robot"]
        assert ids(audio["models"]) == ids(audio["data"]) == hear_or_speak
        assert ids(httpx.get(f"{url}/v1/audio/voices").json()["voices"]) == ["alice"]
        of = httpx.get(f"{url}/v1/audio/voices", params={"model": "robot"}).json()
        assert ids(of["voices"]) == ["bob"]
        assert httpx.get(f"{url}/v1/audio/voices", params={"model": "x y"}).status_code == 404
        assert httpx.get(f"{url}/v1/models/robot").json()["loaded"]


def test_a_model_that_cannot_be_loaded_is_that_requests_error_alone():
    now = [0.0]
    loads = Loads(Ears("late"), error=EngineError("stt", "out of memory"))
    model = further("stt", "late", loads, clock=lambda: now[0])
    with served(app(model, stt=Ears("usual"))) as url:
        for _ in range(2):
            answer = heard(url, "late")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            error = answer.json()["error"]
            assert error["message"] == "late cannot be loaded: out of memory"
            assert (error["code"], error["param"]) == ("model_unavailable", "model")
        assert loads.count == 1  # soon after a failure it is not tried again
        assert heard(url, "whisper-1").json()["text"] == "usual en"
        assert httpx.get(f"{url}/ready").json()["ready"]
        now[0], loads.error = 6.0, None
        assert heard(url, "late").json()["text"] == "late en"


def test_weights_that_are_not_here_are_told_with_how_to_get_them():
    here = []

    def chosen():
        if not here:
            raise MissingDependency(
                "whisper-base is not in /home/me/models; voicebot models pull whisper-base"
            )
        return EngineSpec("stt", f"{HERE}:Ears", {})

    now = [0.0]
    model = further("stt", "base", Loads(Ears("base")), chosen, clock=lambda: now[0])
    assert str(model).startswith("base: whisper-base is not in /home/me/models")
    with served(app(model)) as url:
        said = heard(url, "base").json()["error"]["message"]
        reason = "whisper-base is not in models; voicebot models pull whisper-base"
        assert said == f"base cannot be loaded: {reason}"
        here.append(True)
        now[0] = 6.0
        assert heard(url, "base").json()["text"] == "base en"


def test_a_bug_of_an_engine_is_logged_and_quotes_nothing(caplog):
    loads = Loads(Ears("broken"), error=RuntimeError("secret"))
    with served(app(further("stt", "broken", loads))) as url:
        answer = heard(url, "broken")
    assert (answer.status_code, "secret" in answer.text) == (503, False)
    assert "broken failed while it was loaded" in caplog.text


def test_ten_who_come_together_load_it_once_and_hold_up_nobody():
    loads = Loads(Ears("slow"))
    loads.may.clear()
    model = further("stt", "slow", loads)

    async def main():
        waiting = [asyncio.create_task(model.get()) for _ in range(10)]
        await asyncio.to_thread(loads.asked.wait)
        waiting[0].cancel()  # one who leaves stops it for nobody
        await asyncio.sleep(0)
        loads.may.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    left, *others = asyncio.run(main())
    assert isinstance(left, asyncio.CancelledError)
    assert others == [loads.engine] * 9
    assert loads.count == 1
    model.close()
    assert loads.engine.closed


def test_others_are_served_while_a_model_is_loaded():
    loads = Loads(Ears("slow"))
    loads.may.clear()
    with served(app(further("stt", "slow", loads), stt=Ears("usual"))) as url:
        answers = []
        slow = threading.Thread(target=lambda: answers.append(heard(url, "slow")))
        slow.start()
        assert loads.asked.wait(60)
        assert heard(url, "whisper-1").json()["text"] == "usual en"
        assert not answers
        loads.may.set()
        slow.join()
    assert answers[0].json()["text"] == "slow en"


def test_what_is_loaded_when_the_server_has_ended_is_closed():
    loads = Loads(Ears("late"))
    loads.may.clear()
    model = further("stt", "late", loads)

    async def main():
        waiting = asyncio.create_task(model.get())
        await asyncio.to_thread(loads.asked.wait)
        model.close()
        loads.may.set()
        with pytest.raises(EngineError, match="late has been closed"):
            await waiting
        with pytest.raises(EngineError, match="late has been closed"):
            await model.get()

    asyncio.run(main())
    assert loads.engine.closed


def test_a_model_is_found_by_the_names_of_its_weights_and_its_engine(tmp_path):
    weights = tmp_path / "whisper-base"
    weights.mkdir()
    base = EngineSpec("stt", "whisper", {"model": str(weights)})
    models = [
        OnDemand(
            "stt", "accurate", "whisper", lambda: base, Loads(Ears("accurate")), model="mine-of-may"
        ),
        OnDemand("tts", "robot", "espeak", lambda: EngineSpec("tts", "espeak", {}), Loads(Voice())),
    ]
    with served(app(*models, stt=Ears("usual"))) as url:
        names = ("accurate", "whisper-base", "Systran/faster-whisper-base", "base", "mine:of:May")
        for name in names:
            assert heard(url, name).json()["text"] == "accurate en"
        for name in ("whisper-1", "base.en", "large-v3"):
            assert heard(url, name).json()["text"] == "usual en"
        roots = [httpx.get(f"{url}/v1/models/{name}").json()["root"] for name in
                 ("openai/whisper-base", "espeak-ng", "kokoro", "gpt-4o-mini-tts")]  # fmt: skip
        assert roots == ["accurate", "robot", "room:Synthesizer", "room:Synthesizer"]
