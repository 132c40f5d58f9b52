"""The three engines that talk to a server, over real HTTP."""

import asyncio
import io
import json
import socket
import struct
import wave
from contextlib import aclosing
from datetime import UTC, datetime

import numpy as np
import pytest
from engines.loopback import Loopback, pieces, whole

from voicebot.audio import Audio
from voicebot.engines import Chance, Message, load
from voicebot.engines.openai.client import CircuitBreaker, backoff, retry_after
from voicebot.errors import ConfigError, ContextExceeded, EngineError
from voicebot.events import Passage


@pytest.fixture
def unused_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


QUESTION = [Message("system", "Be brief."), Message("user", "What is the rent?")]
KEY = "sk-very-secret-0123456789"
AT_ONCE = {"Retry_After": "0"}


def event(value):
    return f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n".encode()


def delta(text, finish=None):
    return event({"choices": [{"delta": {"content": text}, "finish_reason": finish}]})


DONE = event("[DONE]")
HELLO = pieces(delta("Hel"), delta("lo."), delta("", "stop"), DONE)


def chat(server, **settings):
    return load("llm", "openai", url=server.url, model="tiny", **settings)


async def said(engine, messages=QUESTION):
    async with aclosing(engine.reply(messages)) as deltas:
        return [delta async for delta in deltas]


async def heard(engine, seconds=0.5):
    audio = Audio(np.zeros(int(seconds * 16000), np.float32), 16000)
    async with aclosing(engine.transcribe(audio)) as segments:
        return [segment async for segment in segments]


async def spoken(engine):
    async with aclosing(engine.synthesize("Hello.")) as chunks:
        return [chunk.audio async for chunk in chunks]


def when(use, *scripts, make=chat, **settings):
    """What `use` makes of an engine whose server follows `scripts`, and the server."""

    async def conversation():
        async with Loopback(*scripts) as server:
            try:
                return await use(make(server, **settings)), server
            except EngineError as error:
                return error, server

    return asyncio.run(conversation())


def test_a_reply_is_streamed_and_says_how_it_ended():
    deltas, server = when(said, HELLO)

    assert "".join(d.text for d in deltas) == "Hello."
    assert [d.finish for d in deltas] == ["", "", "stop"]
    [request] = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.json["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is the rent?"},
    ]
    assert request.json["stream"] is True
    assert request.json["max_tokens"] == 256


def test_the_first_words_arrive_while_the_server_still_thinks():
    async def conversation():
        may_end = asyncio.Event()

        async def hesitant(wire):
            await wire.head(200, "text/event-stream")
            await wire.chunk(delta("Yes,"))
            await may_end.wait()
            await wire.chunk(delta(" no.", "stop") + DONE)
            await wire.end()

        async with Loopback(hesitant) as server, aclosing(chat(server).reply(QUESTION)) as deltas:
            assert (await anext(deltas)).text == "Yes,"
            may_end.set()
            assert (await anext(deltas)).text == " no."

    asyncio.run(conversation())


def test_a_server_on_this_machine_is_asked_past_any_proxy(monkeypatch, unused_port):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{unused_port}")

    deltas, _ = when(said, HELLO)

    assert "".join(d.text for d in deltas) == "Hello."


def test_stopping_to_read_closes_the_connection_at_once():
    async def conversation():
        noticed = asyncio.Event()

        async def endless(wire):
            await wire.head(200, "text/event-stream")
            await wire.chunk(delta("Once upon a time"))
            await wire.hung_up()
            noticed.set()

        async with Loopback(endless) as server, asyncio.timeout(20):
            async with aclosing(chat(server).reply(QUESTION)) as deltas:
                await anext(deltas)
            await noticed.wait()

    asyncio.run(conversation())


def test_cancelling_before_the_answer_closes_the_connection_at_once():
    async def conversation():
        asked, noticed = asyncio.Event(), asyncio.Event()

        async def silent(wire):
            asked.set()
            await wire.hung_up()
            noticed.set()

        async with Loopback(silent) as server, asyncio.timeout(20):
            turn = asyncio.ensure_future(said(chat(server)))
            await asked.wait()
            turn.cancel()
            await noticed.wait()
            await asyncio.wait([turn])

    asyncio.run(conversation())


def test_the_next_turn_uses_the_same_connection():
    async def two_turns(engine):
        return await said(engine), await said(engine)

    _, server = when(two_turns, HELLO, HELLO)

    assert len(server.requests) == 2
    assert server.connections == 1


def test_an_engine_can_be_used_from_one_event_loop_after_another(unused_port):
    async def turn(engine):
        async with Loopback(HELLO, port=unused_port):
            return "".join(delta.text for delta in await said(engine))

    engine = load("llm", "openai", url=f"http://127.0.0.1:{unused_port}/v1", model="tiny")

    assert [asyncio.run(turn(engine)) for _ in range(2)] == ["Hello.", "Hello."]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status):
    deltas, server = when(said, whole(status, {}, **AT_ONCE), HELLO)

    assert "".join(d.text for d in deltas) == "Hello."
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_tried_again(status):
    error, server = when(said, whole(status, {"error": {"message": "no"}}, **AT_ONCE), HELLO)

    assert error.stage == "llm"
    assert len(server.requests) == 1


def test_a_reply_tells_what_the_server_was_asked_to_draw_it_with():
    deltas, server = when(said, HELLO)
    (request,) = server.requests
    assert [delta.seed for delta in deltas] == [request.json["seed"], None, None]


def test_what_is_not_drawn_has_no_seed():
    deltas, server = when(said, HELLO, temperature=0.0)
    assert "seed" not in server.requests[0].json
    assert deltas[0].seed is None


def test_a_server_that_takes_no_seed_is_asked_without_ever_after():
    async def twice(engine):
        return [*await said(engine), *await said(engine)]

    # Such are Mistral's, and this one, Google's.
    message = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
    deltas, server = when(twice, whole(400, [{"error": {"message": message}}]), HELLO, HELLO)
    assert "".join(delta.text for delta in deltas) == "Hello.Hello."
    assert {delta.seed for delta in deltas} == {None}
    assert ["seed" in request.json for request in server.requests] == [True, False, False]


def test_four_failures_are_enough():
    error, server = when(said, *[whole(503, {"error": "loading"}, **AT_ONCE)] * 5)

    assert len(server.requests) == 4
    assert "503: loading" in error.reason


def test_a_server_that_asks_for_more_patience_than_a_turn_has_is_not_waited_for():
    error, server = when(said, whole(429, {"error": "slow down"}, Retry_After="3600"), HELLO)

    assert len(server.requests) == 1
    assert "asks to wait 3600 s" in error.reason


def test_a_server_that_never_answers_is_given_up_in_time():
    async def silent(wire):
        await wire.hung_up()

    error, _ = when(said, silent, timeout=0.05)

    assert "did not answer within 0.05 s" in error.reason


def test_a_server_that_falls_silent_before_the_first_word_is_given_up_in_time():
    async def stuck(wire):
        await wire.head(200, "text/event-stream")
        await wire.hung_up()

    error, _ = when(said, stuck, timeout=0.05)

    assert "stopped sending" in error.reason


def test_where_nothing_listens_the_url_is_named():
    async def conversation():
        async with Loopback() as server:
            engine = chat(server, timeout=0.2)
        with pytest.raises(EngineError) as caught:
            await said(engine)
        assert server.url in caught.value.reason
        assert "is the server running?" in caught.value.reason

    asyncio.run(conversation())


def test_after_five_failures_in_a_row_the_server_is_left_alone():
    async def three_turns(engine):
        for _ in range(2):
            with pytest.raises(EngineError):
                await said(engine)
        await said(engine)

    error, server = when(three_turns, *[whole(503, {}, **AT_ONCE)] * 9)

    assert len(server.requests) == 5
    assert "keeps failing" in error.reason


def test_a_reply_cut_in_the_middle_is_an_error_and_is_not_asked_for_again():
    texts = []

    async def listen(engine):
        async with aclosing(engine.reply(QUESTION)) as deltas:
            async for piece in deltas:
                texts.append(piece.text)

    error, server = when(listen, pieces(delta("The rent"), cut=True), HELLO)

    assert texts == ["The rent"]
    assert "broke off" in error.reason
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (event({"error": {"message": "out of memory"}}), "out of memory"),
        (b'data: {"choices": [{"del\n\n', "not JSON"),
        (event([1, 2]), "instead of an object"),
        (event({"choices": [7]}), "no chat completion"),
        (event({"choices": [{"delta": {"content": 7}}]}), "no chat completion"),
        (event({"choice": []}), "no chat completion"),
        (b"", "broke off"),
        (delta("", "content_filter"), "withheld"),
    ],
)
def test_a_stream_that_goes_wrong_after_it_began_well_is_an_error(line, complaint):
    error, _ = when(said, pieces(delta("The"), line))

    assert isinstance(error, EngineError)
    assert complaint in error.reason


USAGE = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
CACHED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 20}}


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (USAGE, ((30, 5), None)),
        (CACHED, ((30, 5), 20)),
        ({**USAGE, "prompt_tokens_details": None}, ((30, 5), None)),
        ({"prompt_tokens": "many"}, (None, None)),
        ({"total_tokens": 3}, (None, None)),
        (None, (None, None)),
    ],
)
def test_what_a_server_tells_of_tokens_is_told_with_the_end(usage, told):
    behind = pieces(delta("Yes."), delta("", "stop"), event({"choices": [], "usage": usage}), DONE)
    choice = {"delta": {}, "finish_reason": "stop"}
    within = pieces(delta("Yes."), event({"choices": [choice], "usage": usage}), DONE)
    message = {"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}

    for script in (behind, within, whole(200, {**message, "usage": usage})):
        deltas, server = when(said, script)
        assert (deltas[-1].finish, deltas[-1].tokens, deltas[-1].kept) == ("stop", *told)
        assert server.requests[0].json["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "message", ["Unsupported parameter: 'stream_options'", "Extra inputs are not permitted"]
)
def test_a_server_that_tells_no_usage_is_asked_for_it_only_once(message):
    async def twice(engine):
        return [*await said(engine), *await said(engine)]

    refused = whole(400, {"error": {"message": message}})
    deltas, server = when(twice, refused, HELLO, HELLO, temperature=0.0)

    assert "".join(d.text for d in deltas) == "Hello.Hello."
    assert ["stream_options" in r.json for r in server.requests] == [True, False, False]


def test_comments_costs_and_odd_line_breaks_in_a_stream_are_skipped():
    text = b": ping\n\n" + delta("Yes.", "length").replace(b"\n", b"\r\n")
    text += event({"choices": [], "usage": {"total_tokens": 3}}) + DONE

    deltas, _ = when(said, pieces(*[text[i : i + 1] for i in range(len(text))]))

    assert "".join(d.text for d in deltas) == "Yes."
    assert deltas[-1].finish == "length"


def test_a_last_line_without_an_end_counts():
    deltas, _ = when(
        said,
        pieces(
            delta("Yes."), event({"choices": [{"delta": None, "finish_reason": "length"}]}).rstrip()
        ),
    )

    assert [d.finish for d in deltas] == ["", "length"]


def test_a_server_that_does_not_stream_is_understood():
    message = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}

    deltas, _ = when(said, whole(200, message))

    assert "".join(d.text for d in deltas) == "Hello."
    assert deltas[-1].finish == "stop"


def test_thoughts_are_not_spoken():
    script = pieces(delta("<thi"), delta("nk>Hmm.</think>\n\nHi"), delta(" there."), DONE)

    deltas, _ = when(said, script)

    assert "".join(d.text for d in deltas) == "Hi there."


TOO_LONG = [
    {"message": "This model's maximum context length is 8192 tokens. However, your messages "
     "resulted in 9000 tokens.", "type": "invalid_request_error", "param": "messages",
     "code": "context_length_exceeded"},
    {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 8192,
     "message": "the request exceeds the available context size, try increasing it"},
    "Trying to keep the first 9000 tokens when context the overflows. However, the model is loaded "
    "with context length of only 8192 tokens",
]  # fmt: skip


@pytest.mark.parametrize("error", TOO_LONG)
def test_messages_that_are_too_long_are_that_for_us_too(error):
    async def whole_conversation(engine):
        async with aclosing(engine.reply(QUESTION, whole=True)) as deltas:
            return [delta async for delta in deltas]

    for script in (whole(400, {"error": error}), pieces(event({"error": error}))):
        refused, server = when(whole_conversation, script)
        assert isinstance(refused, ContextExceeded)
        assert "8192" in refused.reason or "context size" in refused.reason
        assert len(server.requests) == 1


def test_a_spoken_conversation_that_is_too_long_is_cut_from_the_front_and_says_so():
    history = [m for i in range(9) for m in (Message("user", f"{i}?"), Message("assistant", "."))]
    lease, notes = Passage("lease", "900.", 0.9), Passage("notes", "Call.", 0.1)
    asked = [QUESTION[0], *history, Message("user", "What is the rent?", (lease, notes))]
    refused = whole(400, {"error": TOO_LONG[0]})

    deltas, server = when(lambda engine: said(engine, asked), refused, refused, refused, HELLO)

    first = [request.json["messages"][1]["content"] for request in server.requests]
    assert first[:3] == ["0?", "4?", "8?"]
    assert first[3].startswith("What is the rent?")
    assert (deltas[0].forgotten, deltas[0].passages) == (9, (lease, notes))

    deltas, server = when(lambda engine: said(engine, [asked[-1]]), refused, HELLO)

    assert deltas[0].passages == (lease,)
    assert "Call." not in server.requests[-1].json["messages"][0]["content"]


def test_a_question_too_long_for_a_server_is_given_up():
    refused, server = when(said, whole(400, {"error": TOO_LONG[0]}))

    assert isinstance(refused, ContextExceeded)
    assert len(server.requests) == 1


@pytest.mark.parametrize("finish", ["length", "stop"])
def test_a_reply_of_nothing_but_thoughts_is_empty(finish, caplog):
    deltas, _ = when(said, pieces(delta("<think>Hmm"), delta("", finish), DONE))

    assert "".join(d.text for d in deltas) == ""
    assert deltas[-1].finish == finish
    assert "nothing but thoughts" in caplog.text


def test_a_server_whose_replies_begin_inside_a_thought_is_remembered():
    def reply(*texts):
        return pieces(*map(delta, texts), delta("", "stop"), DONE)

    async def twice(engine):
        return [
            "".join(d.text for d in await said(engine)),
            "".join(d.text for d in await said(engine)),
            "".join(d.text for d in await said(engine)),
        ]

    scripts = reply("Okay, the user asks", " for it.</think>\n\nIt is 900."), reply(
        "Rent", " again.</think>", "It is 900."), reply("No thoughts", " today.")  # fmt: skip
    texts, _ = when(twice, *scripts)

    assert texts == ["It is 900.", "It is 900.", "No thoughts today."]


@pytest.mark.parametrize("before", [0, 240])  # 240: the message is cut in the middle of the key
def test_the_key_goes_to_the_server_and_nowhere_else(before, monkeypatch, caplog):
    monkeypatch.setenv("VOICE_KEY", KEY)
    caplog.set_level("DEBUG")
    echo = {"error": {"message": f"{'x' * before} bad key {KEY}"}}

    _, server = when(said, HELLO, key_env="VOICE_KEY")
    refused, _ = when(said, whole(400, echo), key_env="VOICE_KEY")
    failed, _ = when(said, pieces(delta("A"), event(echo)), key_env="VOICE_KEY")
    unknown, _ = when(said, whole(401, echo), key_env="VOICE_KEY")

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    for leaky in (str(refused), str(failed), str(unknown), caplog.text):
        assert KEY[:10] not in leaky
    assert "VOICE_KEY" in unknown.reason


def test_without_a_key_none_is_sent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    _, server = when(said, HELLO)
    error, _ = when(said, whole(401, {}))

    assert "authorization" not in server.requests[0].headers
    assert "wants a key" in error.reason
    assert "OPENAI_API_KEY" in error.reason


def test_a_key_no_header_can_hold_is_refused_without_showing_it(monkeypatch):
    monkeypatch.setenv("VOICE_KEY", "sk-é\nsecret")

    with pytest.raises(ConfigError, match="VOICE_KEY") as caught:
        load("llm", "openai", url="http://localhost/v1", model="x", key_env="VOICE_KEY")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x/v1", "http://", "", "http://a:b:c"])
def test_what_is_not_a_url_is_refused_at_start_up(url):
    with pytest.raises(ConfigError, match="url"):
        load("llm", "openai", url=url, model="x")


def test_a_password_in_the_url_is_not_shown():
    async def conversation():
        engine = load("llm", "openai", url="http://me:hush@127.0.0.1:9/v1", model="x", timeout=0.1)
        with pytest.raises(EngineError) as caught:
            await said(engine)
        assert "hush" not in str(caught.value)
        assert "127.0.0.1:9/v1" in str(caught.value)

    asyncio.run(conversation())


def test_waiting_grows_doubles_and_has_an_end():
    assert [backoff(attempt, 1.0) for attempt in range(6)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]
    assert backoff(3, 0.0) == 0.0
    assert backoff(3, 0.5) == 1.0


def test_retry_after_is_understood_in_seconds_and_as_a_date():
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert retry_after("7", noon) == 7.0
    assert retry_after("Thu, 01 Jan 2026 12:00:30 GMT", noon) == 30.0
    assert retry_after("Thu, 01 Jan 2026 11:00:00 GMT", noon) == 0.0
    assert retry_after("soon", noon) is None
    assert retry_after("", noon) is None


def test_a_breaker_opens_after_five_failures_and_lets_one_probe_through():
    breaker = CircuitBreaker()
    for _ in range(5):
        assert breaker.admits(0.0)
        breaker.failed(0.0)

    assert not breaker.admits(29.9)
    assert breaker.admits(30.0)
    assert not breaker.admits(30.0)

    breaker.succeeded()
    assert breaker.admits(30.0)
    assert breaker.admits(30.0)


def test_a_probe_that_fails_closes_the_door_again_and_one_that_was_cancelled_does_not():
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.failed(0.0)
    assert breaker.admits(30.0)
    breaker.left()
    assert breaker.admits(30.0)
    breaker.failed(31.0)

    assert not breaker.admits(60.0)
    assert breaker.admits(61.0)


def recogniser(server, **settings):
    return load("stt", "openai", url=server.url, model="whisper", **settings)


VERBOSE = {
    "text": " Hello there. How are you?",
    "language": "english",
    "segments": [
        {"start": 0.0, "end": 1.0, "text": " Hello there.", "avg_logprob": -0.1},
        {"start": 1.0, "end": 2.0, "text": " How are you?", "avg_logprob": -0.2},
    ],
    "words": [
        {"word": "Hello", "start": 0.1, "end": 0.5},
        {"word": "there", "start": 0.5, "end": 0.9},
        {"word": "How", "start": 1.1, "end": 1.3},
        {"word": "are", "start": 1.3, "end": 1.5},
        {"word": "you", "start": 1.5, "end": 1.9},
    ],
}


def test_a_recording_is_sent_as_16_bit_wav_with_what_to_make_of_it():
    _, server = when(heard, whole(200, VERBOSE), make=recogniser, language="en")

    [request] = server.requests
    assert request.path == "/v1/audio/transcriptions"
    assert b'name="response_format"\r\n\r\nverbose_json' in request.body
    assert b'name="language"\r\n\r\nen' in request.body
    with wave.open(io.BytesIO(request.body[request.body.index(b"RIFF") :])) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
        assert sound.getnframes() == 8000


def test_segments_bring_their_times_words_and_confidence():
    segments, _ = when(heard, whole(200, VERBOSE), make=recogniser)

    assert [s.text for s in segments] == ["Hello there.", "How are you?"]
    assert [w.text for w in segments[1].words] == ["How", "are", "you"]
    assert (segments[1].start, segments[1].end) == (1.0, 2.0)
    assert segments[0].confidence == pytest.approx(0.905, abs=0.001)


def test_words_inside_their_segment_are_read_too():
    words = [{"word": " Yes.", "start": 0.1, "end": 0.4, "probability": 0.25}]
    segment = {"start": 0.0, "end": 0.5, "text": " Yes.", "words": words}

    [heard_], _ = when(
        heard,
        whole(200, {"text": "Yes.", "segments": [segment], "language": "en"}),
        make=recogniser,
    )

    assert heard_.words[0].text == "Yes."
    assert heard_.confidence == pytest.approx(0.25)
    assert heard_.language == "en"


def test_plain_text_is_a_segment_as_long_as_the_sound():
    [segment], _ = when(heard, whole(200, {"text": " Hello. "}), make=recogniser)

    assert (segment.text, segment.start, segment.end) == ("Hello.", 0.0, 0.5)


def test_no_speech_is_no_segment():
    segments, _ = when(heard, whole(200, {"text": "  "}), make=recogniser)

    assert segments == []


def test_a_model_without_details_is_asked_for_plain_text_from_then_on():
    async def twice(engine):
        return await heard(engine), await heard(engine)

    refusal = whole(400, {"error": {"message": "response_format 'verbose_json' not supported"}})
    plain = whole(200, {"text": "Hello."})
    (first, second), server = when(twice, refusal, plain, plain, make=recogniser)

    assert first[0].text == second[0].text == "Hello."
    assert len(server.requests) == 3
    assert b"verbose_json" not in server.requests[2].body


def test_a_recording_that_is_refused_whatever_is_asked_for_names_the_reason():
    refusal = whole(400, {"error": {"message": "audio is too short"}})

    error, server = when(heard, refusal, refusal, make=recogniser)

    assert error.stage == "stt"
    assert "audio is too short" in error.reason
    assert len(server.requests) == 2


def text_delta(text):
    return event({"type": "transcript.text.delta", "delta": text})


def test_a_streamed_transcript_gives_each_sentence_before_the_next_is_complete():
    async def conversation():
        may_end = asyncio.Event()

        async def gradual(wire):
            await wire.head(200, "text/event-stream")
            for piece in ("Hel", "lo th", "ere. How"):
                await wire.chunk(text_delta(piece))
            await may_end.wait()
            await wire.chunk(text_delta(" are you?"))
            await wire.chunk(event({"type": "transcript.text.done", "text": "ignored"}))
            await wire.end()

        async with Loopback(gradual) as server:
            audio = Audio(np.zeros(16000, np.float32), 16000)
            async with aclosing(recogniser(server).transcribe(audio)) as segments:
                assert (await anext(segments)).text == "Hello there."
                may_end.set()
                assert [s.text async for s in segments] == ["How are you?"]

    asyncio.run(conversation())


def test_a_transcript_cut_in_the_middle_is_an_error():
    error, _ = when(heard, pieces(text_delta("Hello")), make=recogniser)

    assert "broke off" in error.reason


def test_whole_segments_as_events_are_read():
    events = [event({"text": s["text"], "segments": [s]}) for s in VERBOSE["segments"]]

    segments, _ = when(heard, pieces(*events), make=recogniser)

    assert [s.text for s in segments] == ["Hello there.", "How are you?"]


@pytest.mark.parametrize("document", [{}, {"text": 3}, {"segments": [{"text": "x"}]}])
def test_a_document_that_is_no_transcription_is_an_error(document):
    error, _ = when(heard, whole(200, document), make=recogniser)

    assert "no transcription" in error.reason


def voice(server, **settings):
    return load("tts", "openai", url=server.url, model="kokoro", voice="af_heart", **settings)


RAMP = np.arange(-300, 300, dtype="<i2")


def played(chunks):
    return np.concatenate([chunk.samples for chunk in chunks])


@pytest.mark.parametrize("size", [1, 3, 7, 1001, 1200])
def test_samples_survive_however_the_sound_is_cut(size):
    data = RAMP.tobytes()
    script = pieces(*[data[i : i + size] for i in range(0, len(data), size)], kind="audio/pcm")

    chunks, server = when(spoken, script, make=voice, speed=1.5)

    assert np.array_equal(played(chunks), RAMP / np.float32(32768))
    assert {chunk.rate for chunk in chunks} == {24000}
    assert server.requests[0].json == {
        "model": "kokoro",
        "voice": "af_heart",
        "speed": 1.5,
        "response_format": "pcm",
        "input": "Hello.",
    }


def test_the_first_sound_arrives_before_the_last():
    async def conversation():
        may_end = asyncio.Event()

        async def gradual(wire):
            await wire.head(200, "audio/pcm")
            await wire.chunk(RAMP.tobytes())
            await may_end.wait()
            await wire.end()

        async with (
            Loopback(gradual) as server,
            aclosing(voice(server).synthesize("Hello.")) as chunks,
        ):
            assert len((await anext(chunks)).audio.samples) == len(RAMP)
            may_end.set()

    asyncio.run(conversation())


def riff(samples, rate, size=None, channels=1, bits=16):
    data = samples.tobytes()
    fmt = struct.pack("<HHIIHH", 1, channels, rate, rate * 2, 2, bits)
    head = b"RIFF\0\0\0\0WAVE" + b"LIST\x03\0\0\0abc\0" + b"fmt \x10\0\0\0" + fmt
    return head + b"data" + struct.pack("<I", len(data) if size is None else size) + data


@pytest.mark.parametrize("kind", ["audio/wav", "audio/pcm"])
@pytest.mark.parametrize("size", [1, 5, 64, 2000])
def test_wav_is_played_at_its_own_rate_and_what_follows_the_sound_is_not(kind, size):
    data = riff(RAMP, 22050) + b"LIST\x04\0\0\0\xff\x7f\xff\x7f"
    script = pieces(*[data[i : i + size] for i in range(0, len(data), size)], kind=kind)

    chunks, _ = when(spoken, script, make=voice)

    assert np.array_equal(played(chunks), RAMP / np.float32(32768))
    assert {chunk.rate for chunk in chunks} == {22050}


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_wav_of_a_length_unknown_when_it_began_is_played_to_its_end(size):
    chunks, _ = when(spoken, whole(200, riff(RAMP, 16000, size), "audio/wav"), make=voice)

    assert len(played(chunks)) == len(RAMP)


def test_a_rate_in_the_media_type_is_believed():
    chunks, _ = when(spoken, whole(200, RAMP.tobytes(), "audio/pcm;rate=16000"), make=voice)

    assert {chunk.rate for chunk in chunks} == {16000}


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (whole(200, b"ID3...", "audio/mpeg"), "audio/mpeg"),
        (whole(200, riff(RAMP, 24000, channels=2), "audio/wav"), "2 channels"),
        (whole(200, {"error": {"message": "no such voice"}}), "no such voice"),
        (whole(200, b"", "audio/pcm"), "no sound"),
        (pieces(RAMP.tobytes(), kind="audio/pcm", cut=True), "broke off"),
    ],
)
def test_what_cannot_be_played_is_an_error(script, complaint):
    error, _ = when(spoken, script, make=voice)

    assert error.stage == "tts"
    assert complaint in error.reason


def test_interrupting_speech_closes_the_connection_at_once():
    async def conversation():
        noticed = asyncio.Event()

        async def endless(wire):
            await wire.head(200, "audio/pcm")
            await wire.chunk(RAMP.tobytes())
            await wire.hung_up()
            noticed.set()

        async with Loopback(endless) as server, asyncio.timeout(20):
            async with aclosing(voice(server).synthesize("Hello.")) as chunks:
                await anext(chunks)
            await noticed.wait()

    asyncio.run(conversation())


@pytest.mark.parametrize("speed", [0.1, 5, -1])
def test_a_speed_no_server_takes_is_refused_at_start_up(speed):
    with pytest.raises(ConfigError, match="speed"):
        load("tts", "openai", url="http://localhost/v1", model="x", voice="y", speed=speed)


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "object"}, {"type": "json_object"}),
        (
            {"type": "array"},
            {
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": {"type": "array"}, "strict": True},
            },
        ),
    ],
)
def test_the_schema_a_reply_shall_follow_is_passed_on(schema, sent):
    async def ask(engine):
        async with aclosing(engine.reply(QUESTION, schema=schema)) as deltas:
            return [delta async for delta in deltas]

    _, server = when(ask, HELLO)
    assert server.requests[0].json["response_format"] == sent


def test_how_likely_its_tokens_were_is_told_as_the_server_tells_it():
    likely = {"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169]}
    content = [{**likely, "top_logprobs": [likely, {"token": "x", "logprob": -1}]}]
    said = {"delta": {"content": "Hé"}, "logprobs": {"content": content}, "finish_reason": None}
    odd = {"delta": {"content": "!"}, "logprobs": {"content": [7]}, "finish_reason": None}
    script = pieces(event({"choices": [said]}), event({"choices": [odd]}), delta("", "stop"), DONE)

    async def ask(engine):
        async with aclosing(engine.reply(QUESTION, chances=2)) as deltas:
            return [delta async for delta in deltas]

    deltas, server = when(ask, script)
    assert (server.requests[0].json["logprobs"], server.requests[0].json["top_logprobs"]) == (
        True,
        2,
    )
    told = "Hé".encode()
    assert [delta.chances for delta in deltas][:2] == [
        (Chance(told, -0.5, ((told, -0.5), (b"x", -1.0))),),
        (),
    ]
