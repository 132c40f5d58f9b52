"""Engines and settings are exchanged, and nobody who is inside notices."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
import room
import websockets
from calling import calling, connected, serving
from serving import parts

from voicebot.assistant import warmup
from voicebot.assistant.assembly import EngineSpec
from voicebot.config import ServerSettings
from voicebot.engines import Delta, first_request
from voicebot.errors import ConfigError, EngineError
from voicebot.server.app import create
from voicebot.server.auth import keys

OTHER = f"{__name__}:ChatModel"


class ChatModel:
    """Says its own word; "wait" in the question has it wait until it is told to go on."""

    def __init__(self, word, error=None):
        self.word, self.error = word, error
        self.asked, self.told, self.closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def reply(self, messages):
        if self.error:
            raise self.error
        if "wait" in messages[-1].text:
            self.asked.set()
            await self.told.wait()
        assert not self.closed.is_set()
        yield Delta(self.word, finish="stop")

    def close(self):
        self.closed.set()


class Synthesizer(room.Synthesizer):
    closed = False

    def close(self):
        self.closed = True


def with_model(before, llm, name=OTHER):
    """The same engines, but for the chat model."""
    chosen = [EngineSpec("llm", name, {}) if c.kind == "llm" else c for c in before.chosen]
    return replace(before, llm=llm, chosen=chosen)


class House:
    """A server whose settings can be changed."""

    def __init__(self, first, settings=None):
        self.settings = settings or ServerSettings()
        self.means = lambda now: now
        self.standings = []
        self.app = create(first, self.settings, again=self.again, on_change=self.standings.append)

    def again(self, now):
        return self.means(now), self.settings

    @asynccontextmanager
    async def open(self):
        async with (
            serving(None, app=self.app) as self.host,
            httpx.AsyncClient(base_url=f"http://{self.host}") as self.client,
        ):
            yield self

    async def ask(self, how="now"):
        question = {"model": "gpt-4o", "messages": [{"role": "user", "content": how}]}
        return await self.client.post("/v1/chat/completions", json=question)

    async def says(self, how="now"):
        return (await self.ask(how)).json()["choices"][0]["message"]["content"]

    async def ready(self):
        return (await self.client.get("/ready")).json()

    async def until(self, true):
        """What /ready says once that is as wished."""
        while not true(standing := await self.ready()):  # noqa: ASYNC110 - a page tells nobody
            await asyncio.sleep(0.01)
        return standing

    async def reload(self, means=None):
        """What /ready says when it is over."""
        self.means = means or self.means
        before = len([s for s in self.standings if s.reload == "under way"])
        self.app.reload()
        while True:
            kinds = [s.reload for s in self.standings]
            if kinds.count("under way") > before and kinds[-1] != "under way":
                return await self.ready()
            await asyncio.sleep(0.01)


def evening(first, script, settings=None):
    async def main():
        async with House(first, settings).open() as admission:
            await admission.until(lambda standing: "loading" not in standing["engines"].values())
            return await script(admission)

    return asyncio.run(main())


def test_a_request_ends_with_the_engine_it_began_with_which_is_closed_then():
    old, new, tts = ChatModel("old"), ChatModel("new"), Synthesizer()

    async def script(admission):
        waiting = asyncio.ensure_future(admission.says("wait"))
        await old.asked.wait()
        standing = await admission.reload(lambda now: with_model(now, new))
        assert await admission.says() == "new"
        assert not old.closed.is_set()
        old.told.set()
        assert await waiting == "old"
        await asyncio.wait_for(old.closed.wait(), 100)
        return standing

    standing = evening(parts(llm=old, tts=tts), script)
    assert standing["ready"]
    assert standing["reload"] == "done"
    assert not tts.closed
    assert not new.closed.is_set()


def test_a_conversation_keeps_its_engine_also_when_it_is_resumed():
    old, new = ChatModel("Old."), ChatModel("New.")

    async def script(admission):
        async with calling(admission.host) as caller:
            token = caller.ready["token"]
            await admission.reload(lambda now: with_model(now, new))
            caller.socket.transport.abort()
        async with connected(admission.host) as again, calling(admission.host) as other:
            await again.say(type="resume", token=token, number=0, turn=0, received=0)
            await again.until("resumed")
            said = []
            for caller in (again, other):
                await caller.say(type="text", text="Well?")
                said.append((await caller.until("clause_spoken"))["text"])
            assert not old.closed.is_set()
            await again.socket.close()
            await asyncio.wait_for(old.closed.wait(), 100)
        return said

    assert evening(parts(llm=old), script) == ["Old.", "New."]


def test_the_catalogue_and_the_headers_follow():
    async def script(admission):
        def named():
            return admission.client.get("/v1/models")

        before = [m["id"] for m in (await named()).json()["data"]]
        await admission.reload(lambda now: with_model(now, ChatModel("new")))
        after = [m["id"] for m in (await named()).json()["data"]]
        return before, after, (await admission.ask()).headers["x-voicebot-llm"]

    before, after, header = evening(parts(), script)
    assert "room:ChatModel" in before
    assert OTHER not in before
    assert OTHER in after
    assert header == OTHER


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (EngineError("llm", "no such thing"), "failed: llm: no such thing"),
        (ZeroDivisionError(), "failed: the log says why"),
    ],
)
def test_an_engine_that_fails_is_not_taken(error, says, caplog):
    old, new, tts = ChatModel("old"), ChatModel("new", error=error), Synthesizer()

    async def script(admission):
        return await admission.reload(lambda now: with_model(now, new)), await admission.says()

    standing, said = evening(parts(llm=old, tts=tts), script)
    assert standing["ready"]
    assert standing["reload"] == says
    assert said == "old"
    assert new.closed.is_set()
    assert not old.closed.is_set()
    assert not tts.closed
    assert len([line for line in caplog.messages if "not reloaded" in line]) == 1


def test_an_engine_that_does_not_answer_is_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(warmup, "LONGEST_S", 0.05)

    class Hanging(ChatModel):
        async def reply(self, messages):
            await self.told.wait()
            yield

    async def script(admission):
        return await admission.reload(
            lambda now: with_model(now, Hanging("?"))
        ), await admission.says()

    standing, said = evening(parts(llm=ChatModel("old")), script)
    assert standing["reload"] == "failed: llm: gave nothing for 0.05 s"
    assert said == "old"


def test_settings_that_cannot_be_followed_change_nothing(caplog):
    def wrong(now):
        raise ConfigError("voicebot.toml: [lm] is not a section")

    async def script(admission):
        first = await admission.reload(wrong)
        return first, await admission.reload(lambda now: with_model(now, ChatModel("new")))

    first, second = evening(parts(), script)
    assert first["reload"] == "failed: voicebot.toml: [lm] is not a section"
    assert first["ready"]
    assert caplog.messages == ["not reloaded: voicebot.toml: [lm] is not a section"]
    assert second["reload"] == "done"


def test_what_had_failed_before_does_not_hold_up_what_is_new(monkeypatch):
    monkeypatch.setattr(warmup, "AGAIN_S", 0.05)
    tts = room.Synthesizer(fails=True)

    async def script(admission):
        after = await admission.reload(lambda now: with_model(now, ChatModel("new")))
        tts.fails = False
        await admission.until(lambda standing: standing["ready"])
        return after

    after = evening(parts(tts=tts), script)
    assert after["reload"] == "done"
    assert not after["ready"]
    assert after["engines"]["llm"] == "ready"


def test_a_new_recogniser_is_tried_with_speech():
    stt = room.Transcriber(takes=0)

    async def script(admission):
        def means(now):
            chosen = [c for c in now.chosen if c.kind != "stt"]
            return replace(
                now, stt=stt, chosen=[*chosen, EngineSpec("stt", "room:Transcriber", {"takes": 0})]
            )

        await admission.reload(means)

    evening(parts(), script)
    assert stt.given == [len(first_request.SAYING.split()) * 0.3]


def test_it_is_read_once_more_if_it_is_told_to_meanwhile():
    async def script(admission):
        read = []

        def means(now):
            read.append(1)
            if len(read) == 1:
                loop.call_soon_threadsafe(admission.app.reload)
            return now

        loop = asyncio.get_running_loop()
        await admission.reload(means)
        await admission.until(lambda standing: len(read) == 2)

    evening(parts(), script)


def test_keys_are_read_again(tmp_path):
    file = tmp_path / "keys"
    old = keys.add(file, "old")
    settings = ServerSettings(keys=str(file))

    async def script(admission):
        def models(token):
            return admission.client.get("/v1/models", headers={"authorization": f"Bearer {token}"})

        held = {"authorization": f"Bearer {old}"}
        answer = await admission.client.post("/v1/realtime/client_secrets", headers=held, json={})
        secret = answer.json()["value"]
        file.unlink()
        new = keys.add(file, "new")
        before = [(await models(token)).status_code for token in (old, new)]
        await admission.reload()
        after = [(await models(token)).status_code for token in (old, new)]
        orphan = await admission.client.get(
            "/v1/realtime", headers={"authorization": f"Bearer {secret}"}
        )
        file.write_text("[")
        strangers = (await admission.reload())["reload"]
        assert strangers == "failed"  # without the path, which is told to those with a key
        failed = (
            await admission.client.get("/ready", headers=bearer(new)["additional_headers"])
        ).json()
        return before, after, orphan.status_code, failed["reload"], (await models(new)).status_code

    before, after, orphan, failed, still = evening(parts(), script, settings)
    assert before == [200, 401]
    assert after == [401, 200]
    assert orphan == 401
    assert failed.startswith(f"failed: [server] keys: {file}")
    assert still == 200


def bearer(key):
    return {"additional_headers": {"authorization": f"Bearer {key}"}}


@asynccontextmanager
async def calling_with(host, key):
    """A conversation that this key has begun."""
    async with connected(host, **bearer(key)) as caller:
        await caller.say(type="hello", rate=24000)
        caller.token = (await caller.until("ready"))["token"]
        yield caller


def test_what_was_begun_with_a_key_ends_when_it_is_removed(tmp_path):
    file = tmp_path / "keys"
    lost, kept = keys.add(file, "lost"), keys.add(file, "kept")
    sections = file.read_text()

    async def script(admission):
        async with (
            calling_with(admission.host, lost) as caller,
            calling_with(admission.host, kept) as other,
            websockets.connect(f"ws://{admission.host}/v1/realtime", **bearer(lost)) as realtime,
        ):
            file.write_text(sections[sections.index("[kept]") :])
            await admission.reload()
            await realtime.wait_closed()
            yield realtime.close_code, realtime.close_reason
            yield await caller.closed(), caller.all("error")[0]["reason"]
            await other.say(type="text", text="Are you there?")
            await other.until("turn_ended")

    async def all_of(admission):
        return [answer async for answer in script(admission)]

    gone = (1008, "this key has been removed")
    assert evening(parts(), all_of, ServerSettings(keys=str(file))) == [gone, gone]


def test_another_key_of_the_same_name_is_another_key(tmp_path):
    file = tmp_path / "keys"
    old = keys.add(file, "laptop")

    async def script(admission):
        async with calling_with(admission.host, old) as caller:
            file.unlink()
            keys.add(file, "laptop")
            await admission.reload()
            return await caller.closed()

    assert evening(parts(), script, ServerSettings(keys=str(file))) == 1008


def test_a_secret_does_not_come_back_with_its_key(tmp_path):
    file = tmp_path / "keys"
    key, _ = keys.add(file, "laptop"), keys.add(file, "other")
    sections = file.read_text()

    async def script(admission):
        held = {"authorization": f"Bearer {key}"}
        made = await admission.client.post("/v1/realtime/client_secrets", headers=held, json={})
        for now in (sections[sections.index("[other]") :], sections):
            file.write_text(now)
            await admission.reload()
        url = f"ws://{admission.host}/v1/realtime"
        async with websockets.connect(url, **bearer(key)):
            pass  # the key is good again
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url, **bearer(made.json()["value"]))
        return refused.value.response.status_code

    assert evening(parts(), script, ServerSettings(keys=str(file))) == 401


def test_a_door_that_is_opened_ends_nobodys_conversation(tmp_path):
    file = tmp_path / "keys"
    key = keys.add(file, "laptop")

    async def script(admission):
        async with calling_with(admission.host, key) as caller:
            admission.settings = ServerSettings()
            await admission.reload()
            await caller.say(type="text", text="Are you there?")
            await caller.until("turn_ended")

    evening(parts(), script, ServerSettings(keys=str(file)))


def test_a_conversation_that_waits_for_its_client_ends_with_its_key(tmp_path):
    file = tmp_path / "keys"
    key, _ = keys.add(file, "laptop"), keys.add(file, "other")
    sections = file.read_text()

    async def script(admission):
        async with calling_with(admission.host, key) as caller:
            caller.socket.transport.abort()
        for now in (sections[sections.index("[other]") :], sections):
            file.write_text(now)
            await admission.reload()
        async with connected(admission.host, **bearer(key)) as again:
            await again.say(type="resume", token=caller.token, number=0, turn=0, received=0)
            return (await again.until("error"))["code"]

    assert evening(parts(), script, ServerSettings(keys=str(file))) == "gone"


def test_in_the_end_all_engines_are_closed_once_and_also_those_still_in_use():
    old, new, tts = ChatModel("old"), ChatModel("new"), Synthesizer()
    admission = House(parts(llm=old, tts=tts))

    async def main():
        async with admission.open():
            waiting = asyncio.ensure_future(admission.says("wait"))
            await old.asked.wait()
            await admission.reload(lambda now: with_model(now, new))
            admission.app.close()
            closed = old.closed.is_set(), new.closed.is_set(), tts.closed
            waiting.cancel()
            await asyncio.wait([waiting])
        return closed

    assert asyncio.run(main()) == (True, True, True)


def test_a_voice_that_fails_does_not_hold_up_a_new_recogniser():
    def means(now):
        chosen = [c for c in now.chosen if c.kind != "stt"]
        new = EngineSpec("stt", "room:Transcriber", {"takes": 0})
        return replace(now, stt=room.Transcriber(takes=0), chosen=[*chosen, new])

    async def script(admission):
        return await admission.reload(means)

    standing = evening(parts(tts=room.Synthesizer(fails=True)), script)
    assert standing["reload"] == "done"
    assert standing["engines"]["stt"] == "ready"


def test_what_a_key_has_used_stays_used_and_its_new_limits_count(tmp_path):
    file = tmp_path / "keys"
    held = {"authorization": f"Bearer {keys.add(file, 'laptop')}"}
    file.write_text(file.read_text() + "requests_per_day = 1\n")

    async def script(admission):
        async def status():
            return (await admission.client.get("/v1/models", headers=held)).status_code

        found = [await status()]
        await admission.reload()
        found.append(await status())
        file.write_text(file.read_text().replace("day = 1", "day = 2"))
        await admission.reload()
        return [*found, await status(), await status()]

    settings = ServerSettings(keys=str(file))
    assert evening(parts(), script, settings) == [200, 429, 200, 429]
