"""One id from the socket to the speaker: in headers, in events and on every line of the log."""

import asyncio
import json
import logging

import httpx
import serving
from calling import Parts, calling, connected
from calling import serving as served
from room import ChatModel, Drawing, Synthesizer
from websockets.asyncio.client import connect

from voicebot.config import LogSettings
from voicebot.observability.log import Log
from voicebot.server.http.request_id import RequestIDMiddleware
from voicebot.server.realtime.protocol import ids, root


def talk(conversation, parts):
    async def main():
        async with served(parts, around=RequestIDMiddleware) as host:
            return await conversation(host)

    return asyncio.run(main())


async def asks(caller, text="what time is it"):
    """Ask, and wait for the end of the answer; gives every event of the turn."""
    before = len(caller.events)
    await caller.say(type="text", text=text)
    await caller.until("turn_ended")
    return caller.events[before:]


def test_a_conversations_turns_are_numbered_after_the_request_that_began_it():
    async def conversation(host):
        headers = {"x-request-id": "mine"}
        async with connected(host, additional_headers=headers) as caller:
            assert caller.socket.response.headers["x-request-id"] == "mine"
            await caller.say(type="hello", rate=24000)
            assert (await caller.until("ready"))["request"] == "mine"
            turns = [await asks(caller), await asks(caller)]
        return [{e["request"] for e in events if "number" in e} for events in turns]

    assert talk(conversation, Parts("Noon.")) == [{"mine.1"}, {"mine.2"}]


def test_a_conversation_keeps_its_id_over_another_connection():
    async def conversation(host):
        async with calling(host) as caller:
            began = caller.ready["request"]
            token = caller.ready["token"]
            await caller.socket.close(3000)
        async with connected(host) as caller:
            await caller.say(type="resume", token=token, number=0, turn=1, received=0)
            resumed = await caller.until("resumed")
            (ended,) = [e for e in await asks(caller) if e["event"] == "turn_ended"]
        return began, resumed["request"], ended["request"]

    began, resumed, turn = talk(conversation, Parts("Noon."))
    assert len(began) == 32
    assert (resumed, turn) == (began, f"{began}.1")


def test_a_turn_ends_with_what_spoke_it():
    ready, ended = [], []

    async def conversation(host):
        async with calling(host) as caller:
            ready.append(caller.ready["spoke"])
            ended.extend(e for e in await asks(caller) if e["event"] == "turn_ended")

    async def main():
        app = serving.app(llm=ChatModel("Noon.", takes=0))
        async with served(None, app=app) as host:
            await conversation(host)

    asyncio.run(main())
    assert ended[0]["spoke"] == ready[0]
    assert ended[0]["spoke"]["engines"]["tts"] == {"engine": "room:Synthesizer"}
    assert len(ended[0]["spoke"]["settings"]) == 16


def test_it_tells_what_the_words_were_drawn_with():
    async def main():
        app = serving.app(llm=Drawing("Noon.", takes=0))
        async with served(None, app=app) as host, calling(host) as caller:
            (ended,) = [e for e in await asks(caller) if e["event"] == "turn_ended"]
            return caller.ready["spoke"], ended["spoke"]

    ready, ended = asyncio.run(main())
    assert isinstance(ended.pop("seed"), int)
    assert ended == ready


class Broken(Synthesizer):
    async def synthesize(self, text, *, voice=None):
        logging.getLogger("voicebot.engines.mine").warning("a wire is loose")
        raise ZeroDivisionError
        yield


def test_what_an_engine_logs_and_what_breaks_name_the_request(tmp_path):
    path = tmp_path / "voicebot.log"
    with Log() as log, serving.served(serving.app(tts=Broken()), once_ready=False) as url:
        log.keep(LogSettings(str(path)))
        body = {"model": "tts-1", "input": "Hello."}
        headers = {"x-request-id": "mine"}
        answer = httpx.post(f"{url}/v1/audio/speech", json=body, headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    mine = [line for line in lines if line.get("request") == "mine"]
    assert [line["message"] for line in mine] == [
        "a wire is loose",
        "Exception in ASGI application",
    ]
    assert "ZeroDivisionError" in mine[1]["error"]


def realtime(*messages, then=None, **engines):
    """What a Realtime client is told until its response is over.

    then: a message to be sent once it sounds.
    """

    async def main():
        told = []
        async with served(None, app=serving.app(**engines)) as host:
            url, headers = f"ws://{host}/v1/realtime", {"x-request-id": "mine"}
            async with connect(url, additional_headers=headers, proxy=None) as socket:
                for message in messages:
                    await socket.send(json.dumps(message))
                async with asyncio.timeout(100):
                    async for text in socket:
                        told.append(json.loads(text))
                        if told[-1]["type"] == "response.done":
                            break
                        if then and told[-1]["type"] == "response.output_audio.delta":
                            await socket.send(json.dumps(then))
        return told

    return asyncio.run(main())


TYPED = {
    "type": "conversation.item.create",
    "item": {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "what time is it"}],
    },
}
ANSWER = {"type": "response.create"}


def ids_in(value):
    """Every id in an event, however deep."""
    if isinstance(value, dict):
        own = [v for k, v in value.items() if k in ("id", "event_id")]
        return own + [id for v in value.values() for id in ids_in(v)]
    return [id for v in value for id in ids_in(v)] if isinstance(value, list) else []


def test_realtime_ids_tell_the_request_and_are_short_and_unique():
    told = realtime(TYPED, ANSWER)
    assert told[0]["session"]["id"].startswith("sess_mine_")
    events = [event["event_id"] for event in told]
    assert len(set(events)) == len(events)
    long = ids(root("x" * 128))
    assert all(len(id) <= 64 for id in [*ids_in(told), *(long("event") for _ in range(9999))])
    assert root("same") != root("same")


def test_a_realtime_response_ends_with_its_id_and_what_spoke_it(caplog):
    caplog.set_level(logging.INFO, "voicebot")
    *_, done = realtime(TYPED, ANSWER)
    told = done["response"]["voicebot"]
    (line,) = [record for record in caplog.records if hasattr(record, "turn")]
    assert told["request"] == line.request == "mine.1"
    assert told["spoke"] == line.turn["spoke"]
    assert told["spoke"]["engines"]["stt"] == {"engine": "room:Transcriber"}
    assert (line.turn["outcome"], line.turn["said"]) == ("answered", "It is noon.")


def test_a_written_realtime_response_is_accounted_for_too(caplog):
    caplog.set_level(logging.INFO, "voicebot")
    realtime(TYPED, ANSWER | {"response": {"output_modalities": ["text"]}})
    (turn,) = [record.turn for record in caplog.records if hasattr(record, "turn")]
    assert (turn["outcome"], turn["said"].strip()) == ("answered", "It is noon.")


def test_a_failed_realtime_response_tells_the_log_where_and_why(caplog):
    caplog.set_level(logging.INFO, "voicebot")
    realtime(TYPED, ANSWER, tts=Synthesizer(fails=True))
    (turn,) = [record.turn for record in caplog.records if hasattr(record, "turn")]
    assert (turn["outcome"], turn["stage"], turn["reason"]) == ("failed", "tts", "no voice")


def test_a_cancelled_realtime_response_is_interrupted(caplog):
    caplog.set_level(logging.INFO, "voicebot")
    realtime(
        TYPED,
        ANSWER,
        then={"type": "response.cancel"},
        llm=ChatModel(*(f"Well{n}." for n in range(99))),
    )
    (turn,) = [record.turn for record in caplog.records if hasattr(record, "turn")]
    assert turn["outcome"] == "interrupted"
