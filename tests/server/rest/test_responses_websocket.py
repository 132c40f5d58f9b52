"""`/v1/responses` over a websocket: OpenAI's client, and clients that behave badly."""

import asyncio
import json
from contextlib import contextmanager

import httpx
import openai
import pytest
import room
from asgi import Socket, application, lives
from scripted import WEATHER, Scripted
from serving import app, parts, served
from test_responses import EVENTS_OF_CALL, EVENTS_OF_TEXT, Breaks, Cut
from websockets.sync.client import connect

from voicebot.config import ServerSettings
from voicebot.engines import Delta
from voicebot.server.app import create
from voicebot.server.auth import keys
from voicebot.server.http.bodies import DOCUMENT
from voicebot.server.realtime.websocket import UNREAD_TIMEOUT_S
from voicebot.server.rest.responses_websocket import LANES, LIFE_S, WAITING

TOOL = {"type": "function", **WEATHER}
ENDS = {"response.completed", "response.incomplete", "response.failed", "error"}


def asked(said="What time is it?", **more):
    return {"type": "response.create", "model": "gpt-4o", "input": said, **more}


class Line(Socket):
    """A websocket on the pretended clock, and all events that came over it."""

    def __init__(self, app, **about):
        self.events = []
        super().__init__(app, "/v1/responses", self.events.append, **about)

    @property
    def kinds(self):
        return [event["type"] for event in self.events]

    async def end(self, count=1):
        """The events up to the end of so many responses, which are taken."""
        await self.until(lambda: sum(kind in ENDS for kind in self.kinds) >= count)
        events, self.events[:] = self.events[:], []
        return events


def talk(life, *, llm=None, **settings):
    """What `life` gives of a line to a server with that model."""

    async def lived():
        async with application(parts(llm=llm), **settings) as app:
            line = await Line(app).open()
            given = await life(line)
            await line.close()
            await line.ended()
            return given

    return lives(lived())


class Slow(room.ChatModel):
    """Takes a second for each of ten words, and says which question they answer."""

    def __init__(self):
        super().__init__()
        self.running = self.most = 0

    async def reply(self, messages):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(10):
                await asyncio.sleep(1)
                yield Delta(f"{messages[-1].text} ")
        finally:
            self.running -= 1


# Its synchronous client opens websockets in a way that newer releases of websockets warn of.
@pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")
def test_openais_client_has_the_events_that_are_streamed_over_http():
    llm = Scripted("Let ", "me look.", {"city": "Rome"}, {"city": "Paris"}, takes=0)
    with served(app(llm=llm)) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
        with client, client.responses.connect() as connection:
            connection.response.create(model="gpt-4o", input="Rain?", tools=[TOOL])
            events = []
            for event in connection:
                events.append(event)
                if event.type in ENDS:
                    break
            calls = [item for item in events[-1].response.output if item.type == "function_call"]
            connection.response.create(
                model="gpt-4o",
                previous_response_id=events[-1].response.id,
                input=[
                    {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
                    for call in calls
                ],
            )
            said = next(event for event in connection if event.type == "response.output_text.done")
    kinds = [event.type for event in events]
    assert kinds == [*EVENTS_OF_TEXT[:-1], *EVENTS_OF_CALL, *EVENTS_OF_CALL, EVENTS_OF_TEXT[-1]]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert said.text == "Rain."


def test_what_is_stored_is_found_over_http_and_what_is_not_on_its_connection_alone():
    with served(app(llm=room.ChatModel("Noon.", takes=0))) as url:
        with connect(f"ws{url[4:]}/v1/responses") as line, connect(line_of(url)) as other:
            stored = turn(line, asked())["response"]["id"]
            fleeting = turn(line, asked(store=False))["response"]["id"]
            assert turn(line, asked(previous_response_id=fleeting))["type"] == "response.completed"
            refused = turn(other, asked(previous_response_id=fleeting))
            assert turn(other, asked(previous_response_id=stored))["type"] == "response.completed"
        with connect(line_of(url)) as later:
            gone = turn(later, asked(previous_response_id=fleeting))
        assert httpx.get(f"{url}/v1/responses/{stored}").status_code == 200
        assert httpx.get(f"{url}/v1/responses/{fleeting}").status_code == 404
    for event in (refused, gone):
        assert event["status"] == 400
        assert event["error"]["code"] == "previous_response_not_found"
        assert event["error"]["param"] == "previous_response_id"


def line_of(url):
    return f"ws{url[4:]}/v1/responses"


def turn(line, message):
    """The last event of the response to a message."""
    line.send(message if isinstance(message, str | bytes) else json.dumps(message))
    while (event := json.loads(line.recv()))["type"] not in ENDS:
        pass
    return event


def test_a_response_that_generates_nothing_can_be_gone_on_from():
    llm = room.ChatModel("Noon.", takes=0)

    async def life(line):
        line.say(asked("Be brief.", generate=False, store=False))
        warm = await line.end()
        line.say(asked("Time?", previous_response_id=warm[-1]["response"]["id"]))
        return warm, await line.end()

    warm, answer = talk(life, llm=llm)
    assert [event["type"] for event in warm] == [
        "response.created", "response.in_progress", "response.completed",
    ]  # fmt: skip
    assert warm[-1]["response"]["output"] == []
    assert warm[-1]["response"]["usage"]["total_tokens"] == 0
    assert answer[-1]["type"] == "response.completed"
    assert [[message.text for message in given] for given in llm.given] == [["Be brief.", "Time?"]]


def test_a_lane_answers_one_after_the_other_and_lanes_side_by_side():
    llm = Slow()

    async def life(line):
        for name in (None, "a", "a"):
            line.say(asked(str(name), stream_id=name) if name else asked("none"))
        return await line.end(3)

    events = talk(life, llm=llm)
    assert llm.most == 2
    created = [e.get("stream_id") for e in events if e["type"] == "response.created"]
    done = [e.get("stream_id") for e in events if e["type"] == "response.completed"]
    assert sorted(created[:2], key=str) == [None, "a"]
    assert created[2] == done[2] == "a"
    for event in events:
        if event["type"] == "response.output_text.done":
            assert set(event["text"].split()) == {event.get("stream_id", "none")}


@pytest.mark.parametrize("named", [True, False])
def test_a_cancelled_response_ends_at_once_and_the_next_is_made(named):
    llm = Slow()

    async def life(line):
        line.say(asked("first"), asked("second"))
        await line.until(lambda: "response.output_text.delta" in line.kinds)
        id = line.events[0]["response"]["id"]
        line.say({"type": "response.cancel"} | ({"response_id": id} if named else {}))
        return await line.end(), await line.end()

    first, second = talk(life, llm=llm)
    assert [event["type"] for event in first[-4:]] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done",
        "response.incomplete",
    ]  # fmt: skip
    assert first[-1]["response"]["status"] == "cancelled"
    assert first[-1]["response"]["output"][0]["status"] == "incomplete"
    assert first[-1]["response"]["usage"]["output_tokens"] > 0
    assert [event["sequence_number"] for event in first] == list(range(len(first)))
    assert second[-1]["response"]["output"][0]["content"][0]["text"] == "second " * 10


def test_a_response_can_be_cancelled_before_it_has_begun():
    """As one that is interrupted at once: its client waits for an end all the same."""

    async def life(line):
        line.say(asked(), {"type": "response.cancel"})
        return await line.end()

    events = talk(life, llm=Slow())
    assert [event["type"] for event in events] == [
        "response.created", "response.in_progress", "response.incomplete",
    ]  # fmt: skip


def test_to_cancel_what_has_ended_is_no_error():
    """It would be taken for the answer to what is asked next."""

    async def life(line):
        line.say(asked())
        first = await line.end()
        line.say({"type": "response.cancel", "response_id": first[-1]["response"]["id"]})
        line.say({"type": "response.cancel"}, asked())
        return await line.end()

    assert "error" not in [event["type"] for event in talk(life)]


def test_a_response_that_is_to_be_steered_goes_on():
    async def life(line):
        line.say(asked("first"))
        await line.until(lambda: "response.output_text.delta" in line.kinds)
        id = line.events[0]["response"]["id"]
        line.say({"type": "response.steer", "previous_response_id": id, "input": "Shorter!"})
        return await line.end()

    events = talk(life, llm=Slow())
    (failed,) = [event for event in events if event["type"] == "response.steer.failed"]
    assert failed["error"]["code"] == "steering_not_supported"
    assert failed["steer"]["input"] == "Shorter!"
    assert events[-1]["type"] == "response.completed"


WRONG = [
    ("{", "no JSON", None, None),
    ("[]", "should be a JSON object", None, None),
    (b"\xff\xfe\x00", "no JSON", None, None),
    ('{"a": NaN}', "NaN is no number", None, None),
    ("{}", "type is missing", "type", None),
    ({"type": "session.update"}, "no client event 'session.update'", "type", "unknown_event"),
    ({"type": 7}, "no client event '7'", "type", "unknown_event"),
    ({"type": "response.create"}, "model is missing", "model", None),
    ({"type": "response.create", "model": "m"}, "input is missing", "input", None),
    (asked(7), "input should be string or array, not 7", "input", None),
    (asked(generate="no"), "generate should be boolean", "generate", None),
    (asked(background=True), "background should be False", "background", None),
    (asked(model="gpt:17"), "is no model that answers", "model", "model_not_found"),
    (asked(stream_id=""), "stream_id should be", "stream_id", "invalid_stream_id"),
    (asked(stream_id="a b"), "stream_id should be", "stream_id", "invalid_stream_id"),
    (asked(stream_id=["a"]), "stream_id should be", "stream_id", "invalid_stream_id"),
    (asked("x" * DOCUMENT), "larger than", None, "too_large"),
    (asked([{}] * 60_000), "objects and arrays", None, "too_many_parts"),
    ('{"type":' * 5000, "no JSON", None, None),
    (asked([{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]),
     "input_image", "input[0].content[0].type", None),
]  # fmt: skip


def test_what_cannot_be_done_is_said_and_the_connection_goes_on():
    with served(app()) as url, connect(line_of(url)) as line:
        for message, says, param, code in WRONG:
            event = turn(line, message)
            assert (event["type"], event["status"] in (400, 413, 404)) == ("error", True), event
            assert says in event["error"]["message"], event
            assert (event["error"]["param"], event["error"]["code"]) == (param, code), event
        assert turn(line, asked())["type"] == "response.completed"
        in_bytes = turn(line, json.dumps(asked()).encode())
        assert in_bytes["type"] == "response.completed"
        large = asked("x" * 200_000)  # comes in fragments
        assert turn(line, large)["type"] == "response.completed"


def test_an_error_names_its_lane():
    async def life(line):
        line.say(asked(7, stream_id="a"), asked(model="gpt:17", stream_id="b"))
        return await line.end(2)

    assert [event["stream_id"] for event in talk(life)] == ["a", "b"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1", "/v1/"])
def test_livekit_connects_to_the_base_url_and_names_the_model_in_it(path):
    with served(app()) as url, connect(f"ws{url[4:]}{path}?model=gpt-4o") as line:
        event = turn(line, {"type": "response.create", "input": "Time?"})
    assert event["response"]["model"] == "gpt-4o"


@pytest.mark.parametrize(
    ("llm", "sent", "kind", "code"),
    [
        (Breaks(), "Break.", "response.failed", "server_error"),
        (Breaks(), "a long one", "error", "context_length_exceeded"),
        (Cut(), "Time?", "response.incomplete", None),
    ],
)
def test_a_reply_that_fails_says_so_and_the_next_is_made(llm, sent, kind, code):
    async def life(line):
        line.say(asked(sent))
        return (await line.end())[-1]

    event = talk(life, llm=llm)
    assert event["type"] == kind
    wrong = event["error"] if kind == "error" else event["response"]["error"]
    assert (wrong or {}).get("code") == code


def test_what_is_broken_ends_one_response_and_is_logged(caplog):
    class Broken:
        async def reply(self, messages):
            if messages[-1].text == "Break.":
                raise RuntimeError("a fault of ours")
            yield Delta("Noon.")

    async def life(line):
        line.say(asked("Break."), asked("Time?"))
        return await line.end(2)

    events = talk(life, llm=Broken())
    (wrong,) = [event for event in events if event["type"] == "error"]
    assert (wrong["status"], events[-1]["type"]) == (500, "response.completed")
    assert "a fault of ours" in caplog.text


def test_a_client_that_goes_frees_its_places_at_once():
    llm = Slow()

    async def life():
        async with application(parts(llm=llm)) as app:
            line = await Line(app).open()
            line.say(*[asked(stream_id=str(n)) for n in range(5)])
            await line.until(lambda: line.kinds.count("response.output_text.delta") == 5)
            assert llm.running == 5
            await line.close()
            await line.ended()
            return llm.running

    assert lives(life()) == 0


def test_lanes_beyond_the_places_of_a_client_wait_as_its_requests_do():
    llm = Slow()

    async def life(line):
        line.say(*[asked(stream_id=str(n)) for n in range(12)])
        return await line.end(12)

    events = talk(life, llm=llm)
    assert llm.most == 8
    assert [event["type"] for event in events].count("response.completed") == 8
    full = [event for event in events if event["type"] == "error"]
    assert {(event["status"], event["error"]["code"]) for event in full} == {(503, "full")}
    assert all(event["error"]["headers"]["retry-after"] == "2" for event in full)


def test_there_are_so_many_lanes_and_no_more():
    async def life(line):
        for n in range(LANES + 1):
            line.say(asked(stream_id=str(n)))
            *_, last = await line.end()
        line.say(asked(), asked(stream_id="0"))
        return last, await line.end(2)

    refused, others = talk(life)
    assert refused["error"]["code"] == "websocket_stream_limit_reached"
    assert "error" not in [event["type"] for event in others]


@pytest.mark.parametrize("sent", [asked("Time?"), asked("x" * 30_000)])
def test_what_waits_in_a_lane_is_bounded(sent):
    async def life(line):
        line.say(*[sent] * (WAITING + 5))
        await line.until(lambda: "error" in line.kinds)
        return line.events[-1]

    refused = talk(life, llm=Slow())
    assert (refused["status"], refused["error"]["code"]) == (429, "too_many_requests")


def test_a_client_that_reads_nothing_is_given_up():
    class Deaf(Line):
        async def _send(self, message):
            if message["type"] == "websocket.send":
                await asyncio.Event().wait()
            await super()._send(message)

    async def life():
        async with application(parts()) as app:
            line = await Deaf(app).open()
            begun = room.now()
            line.say(*["rubbish"] * 5000, asked())
            await line.ended()
            return line.code, room.now() - begun

    code, took = lives(life())
    assert code == 1008
    assert took == pytest.approx(UNREAD_TIMEOUT_S, abs=1)


def test_a_server_that_closes_lets_the_response_end():
    async def life():
        app = create(parts(llm=Slow()), ServerSettings())
        line = await Line(app).open()
        line.say(asked("first"))
        await line.until(lambda: "response.output_text.delta" in line.kinds)
        closing = asyncio.create_task(app.admission.close(60))
        await asyncio.sleep(0.1)
        line.say(asked(stream_id="late"))
        events = await line.end(2)
        await closing
        await line.ended()
        app.close()
        return events, line.code

    events, code = lives(life())
    assert {event["type"] for event in events} >= {"response.completed", "error"}
    assert code == 1012


def test_a_connection_is_closed_after_an_hour_between_two_responses():
    async def life(line):
        await line.passes(LIFE_S - 3)
        line.say(asked("first"))
        await line.passes(5)
        line.say(asked("too late"))
        await line.ended()
        return line.events, line.code

    events, code = talk(life, llm=Slow())
    kinds = [event["type"] for event in events if event["type"] in ENDS]
    assert kinds == ["error", "response.completed", "error"]
    assert events[-1]["error"]["code"] == "websocket_connection_limit_reached"
    assert code == 1001


@contextmanager
def locked(folder, **limits):
    file = folder / "keys"
    key = keys.add(file, "laptop")
    if limits:
        lines = "".join(f"{name} = {value}\n" for name, value in limits.items())
        file.write_text(file.read_text() + lines)
    with served(create(parts(), ServerSettings(keys=str(file)))) as url:
        yield url, key, file


def with_key(url, key):
    return connect(line_of(url), additional_headers={"authorization": f"Bearer {key}"})


def test_it_needs_a_key_where_there_are_keys(tmp_path):
    with locked(tmp_path) as (url, key, _):
        for wrong in ("none", ""):
            for path in ("/responses", "", "/"):
                headers = {"authorization": f"Bearer {wrong}"}
                with pytest.raises(Exception, match="HTTP 401"):
                    connect(f"ws{url[4:]}/v1{path}", additional_headers=headers)
        with with_key(url, key) as line:
            assert turn(line, asked())["type"] == "response.completed"
        browser = ["responses", f"openai-insecure-api-key.{key}"]
        with connect(line_of(url), subprotocols=browser) as line:
            assert line.subprotocol == "responses"
            assert turn(line, asked())["type"] == "response.completed"


def test_a_secret_for_realtime_does_not_open_it(tmp_path):
    with locked(tmp_path) as (url, key, _):
        headers = {"authorization": f"Bearer {key}"}
        secret = httpx.post(f"{url}/v1/realtime/client_secrets", headers=headers).json()["value"]
        with pytest.raises(Exception, match="HTTP 401"):
            with_key(url, secret)


def test_each_response_is_a_request_of_its_key(tmp_path):
    with locked(tmp_path, requests_per_minute=3) as (url, key, _), with_key(url, key) as line:
        kinds = [turn(line, asked())["type"] for _ in range(2)]  # the handshake was the first
        refused = turn(line, asked())
    assert kinds == ["response.completed"] * 2
    assert (refused["status"], refused["error"]["code"]) == (429, "rate_limit_exceeded")
    assert int(refused["error"]["headers"]["retry-after"]) > 0


def test_there_are_so_many_connections_as_there_may_be_conversations():
    async def life():
        async with application(parts(), sessions=1) as app:
            first = await Line(app).open()
            second = await Line(app).open()
            await first.close()
            await first.ended()
            third = await Line(app).open()
            third.say(asked())
            (*_, last) = await third.end()
            await third.close()
            return second.status, last["type"]

    assert lives(life()) == (503, "response.completed")


def test_pages_of_others_do_not_get_in():
    with served(app()) as url, pytest.raises(Exception, match="HTTP 403"):
        connect(line_of(url), origin="https://elsewhere.example")


def test_a_proxy_that_passes_no_upgrade_on_is_told():
    with served(app()) as url:
        answer = httpx.get(f"{url}/v1/responses")
    assert answer.status_code == 426
    assert "Upgrade" in answer.json()["error"]["message"]


def test_what_means_nothing_here_is_ignored_and_logged_once(caplog):
    caplog.set_level("INFO", logger="voicebot.server.http.unknown_fields")

    async def life(line):
        for _ in range(3):
            line.say(asked(include=[], text={"verbosity": "low"}, stream=True))
            await line.end()

    talk(life)
    lines = [record.getMessage() for record in caplog.records if "ignored" in record.msg]
    assert len(lines) == 1
    assert lines[0].endswith("include, text.verbosity")
