"""OpenAI's own Python client finds here what it finds there."""

import asyncio
import base64
import io
import threading
from dataclasses import replace

import av
import openai
import pytest
import room
from serving import EXAMPLES, app, embedded, served, wav

from voicebot.engines import Segment, Speech, Word

QUESTION = EXAMPLES / "question.wav"
HELLO = [{"role": "user", "content": "What time is it?"}]


@pytest.fixture(scope="module")
def admission(tmp_path_factory):
    """A client of the engines that come with voicebot."""
    with (
        embedded(tmp_path_factory.mktemp("house")) as real,
        served(real) as url,
        client(url) as calls,
    ):
        yield calls


def client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.fixture
def costless():
    with served(app()) as url, client(url) as calls:
        yield calls


def length(data):
    with av.open(io.BytesIO(data)) as container:
        return sum(f.samples / f.sample_rate for f in container.decode(audio=0))


# Transcription


def test_a_recording_is_written_down(admission):
    heard = admission.audio.transcriptions.create(model="whisper-1", file=QUESTION)
    assert heard.text == "when was the old apple tree planted"


def test_a_verbose_transcript_has_times_of_segments_and_words(admission):
    heard = admission.audio.transcriptions.create(
        model="pocketsphinx",
        file=QUESTION,
        language="en",
        response_format="verbose_json",
        timestamp_granularities=["segment", "word"],
    )
    assert heard.language == "en"
    assert 2 < heard.duration < 6
    assert [word.word for word in heard.words] == heard.text.split()
    assert heard.segments[0].start == heard.words[0].start < heard.words[-1].end < heard.duration


def test_a_transcript_can_be_subtitles(admission):
    def heard(form):
        return admission.audio.transcriptions.create(
            model="whisper-1", file=QUESTION, response_format=form
        )

    assert heard("srt").startswith("1\n00:00:00,")
    assert heard("vtt").startswith("WEBVTT\n\n00:00:00.")
    assert heard("text") == "when was the old apple tree planted\n"


class Halting:
    """Hears the second half only once somebody has read the first."""

    def __init__(self):
        self.read = threading.Event()

    async def transcribe(self, audio):
        yield Segment("the first half", 0, 1)
        await asyncio.to_thread(self.read.wait)
        yield Segment("the second", 1, 2, (Word("the", 1, 2),))


def test_a_transcript_is_told_while_it_is_made():
    stt = Halting()
    stt.read.set()  # the server tries it, too
    with served(app(stt=stt)) as url, client(url) as calls:
        stt.read.clear()
        stream = calls.audio.transcriptions.create(
            model="whisper-1", file=("q.wav", wav()), stream=True
        )
        told = []
        for event in stream:
            told.append(event)
            stt.read.set()
    assert [event.delta for event in told[:-1]] == ["the first half", " the second"]
    assert told[-1].type == "transcript.text.done"
    assert told[-1].text == "the first half the second"


def test_silence_is_an_empty_transcript(costless):
    heard = costless.audio.transcriptions.create(model="whisper-1", file=("q.wav", wav(level=0)))
    assert heard.text == ""


# Speech


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", "opus", "aac"])
def test_a_text_is_spoken_in_any_form(admission, form):
    spoken = admission.audio.speech.create(
        model="tts-1", voice="alloy", input="Good morning. How are you?", response_format=form
    )
    assert 1 < length(spoken.read()) < 5


def test_raw_speech_is_of_24_khz(admission):
    def spoken(form):
        return admission.audio.speech.create(
            model="tts-1", voice="alloy", input="Good morning.", response_format=form
        ).read()

    assert len(spoken("pcm")) / 48000 == pytest.approx(length(spoken("wav")), abs=0.02)


def test_speech_can_be_faster_and_in_another_voice(admission):
    def spoken(**options):
        with admission.audio.speech.with_streaming_response.create(
            model="tts-1", input="Good morning everybody.", response_format="wav", **options
        ) as response:
            return response.headers["x-voicebot-voice"], length(response.read())

    voice, usual = spoken(voice="default")
    assert voice == "default"
    voice, fast = spoken(voice="fable", speed=2)
    assert voice == "en-gb"
    assert fast < 0.7 * usual


class Leisurely:
    """Speaks the second sentence only once somebody has heard the first."""

    def __init__(self):
        self.heard = threading.Event()

    async def synthesize(self, text):
        yield Speech(room.sound(1.0, 24000))
        if "second" in text:
            await asyncio.to_thread(self.heard.wait)
        yield Speech(room.sound(1.0, 24000))


@pytest.mark.parametrize("form", ["mp3", "wav", "opus", "flac", "aac", "pcm"])
def test_the_first_sound_is_there_before_the_last_is_made(form):
    tts = Leisurely()
    with (
        served(app(tts=tts)) as url,
        client(url) as calls,
        calls.audio.speech.with_streaming_response.create(
            model="tts-1",
            voice="alloy",
            input="This is the first. This is the second.",
            response_format=form,
        ) as response,
    ):
        data = b""
        for piece in response.iter_bytes(256):
            data += piece
            tts.heard.set()
    if form != "pcm":
        assert length(data) == pytest.approx(4.42, abs=0.2)  # with the pause between the sentences
    else:
        assert len(data) == 4.42 * 48000


def test_speech_can_be_told_as_events(costless):
    with costless.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="Good morning.", stream_format="sse"
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert len(lines) > 1
    assert all(line.startswith('data: {"type": "speech.audio.delta", ') for line in lines[:-1])
    assert '"speech.audio.done"' in lines[-1]


# Chat


def test_a_reply_is_drawn_from_the_documents(admission):
    question = [{"role": "user", "content": "When was the old apple tree planted?"}]
    reply = admission.chat.completions.create(model="gpt-4o-mini", messages=question)
    assert "1931" in reply.choices[0].message.content
    plain = admission.chat.completions.create(model="extractive:no-documents", messages=question)
    assert "1931" not in plain.choices[0].message.content


def test_a_streamed_reply_is_the_same_and_ends_the_same():
    with served(app()) as url, client(url) as calls:
        whole = calls.chat.completions.create(model="gpt-4o", messages=HELLO)
        stream = calls.chat.completions.create(
            model="gpt-4o", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        *chunks, last, cost = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "It is noon. "
    assert whole.choices[0].message.content == "It is noon. "
    assert last.choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert cost.usage == whole.usage
    assert whole.usage.prompt_tokens == 4  # near: this engine does not count
    assert whole.usage.completion_tokens == 3


@pytest.mark.parametrize("stream", [True, False])
def test_a_reply_cut_short_says_so_both_ways(admission, stream):
    answer = admission.chat.completions.create(
        model="extractive",
        messages=[{"role": "user", "content": "When was the old apple tree planted?"}],
        max_tokens=3,
        stream=stream,
    )
    choice = ([*answer][-1] if stream else answer).choices[0]
    assert choice.finish_reason == "length"


class Counting(room.ChatModel):
    """Knows two thirds of what it is asked, and tells after each word what it has cost so far."""

    async def reply(self, messages):
        written = 0
        async for delta in super().reply(messages):
            written += 2 * bool(delta.text)
            yield replace(delta, tokens=(30, written), kept=20)


@pytest.mark.parametrize(("stop", "written"), [(None, 8), ("nine", 6)])
@pytest.mark.parametrize("stream", [True, False])
def test_usage_is_in_tokens_also_where_a_stop_sequence_was_met(stop, written, stream):
    options = {"stream_options": {"include_usage": True}, "stream": True} if stream else {}
    with served(app(llm=Counting("One", "two", "nine", "ten"))) as url, client(url) as calls:
        reply = calls.chat.completions.create(model="gpt-4o", messages=HELLO, stop=stop, **options)
        usage = list(reply)[-1].usage if stream else reply.usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (30, written)
    assert usage.total_tokens == 30 + written
    assert usage.prompt_tokens_details.cached_tokens == 20


def test_a_reply_ends_before_a_stop_sequence(costless):
    reply = costless.chat.completions.create(model="gpt-4o", messages=HELLO, stop=[" noo", "x"])
    assert reply.choices[0].message.content == "It is"


@pytest.mark.parametrize("stream", [True, False])
def test_the_same_seed_draws_the_same_reply(stream):
    llm = room.Drawing(*"abcdefghijkl", takes=0)
    with served(app(llm=llm)) as url, client(url) as calls:

        def reply(**seed):
            create = calls.chat.completions.with_raw_response.create
            answer = create(model="gpt-4o", messages=HELLO, stream=stream, **seed)
            choices = [chunk.choices[0] for chunk in answer.parse()] if stream else []
            text = "".join(choice.delta.content or "" for choice in choices)
            if not stream:
                text = answer.parse().choices[0].message.content
            return answer.headers["x-voicebot-seed"], text

        first, again, other = reply(seed=7), reply(seed=7), reply(seed=-8)
        seed, text = reply()
        assert reply(seed=int(seed)) == (seed, text)
    assert first == again
    assert (first[0], other[0]) == ("7", "-8")
    assert len({first[1], other[1], text}) == 3


def test_a_seed_means_nothing_to_what_draws_nothing(costless):
    reply = costless.chat.completions.with_raw_response.create(
        model="gpt-4o", messages=HELLO, seed=7
    )
    assert "x-voicebot-seed" not in reply.headers
    assert reply.parse().choices[0].message.content == "It is noon. "


def test_the_model_is_told_what_was_said_before():
    llm = room.ChatModel("Yes.", takes=0)
    with served(app(llm=llm)) as url, client(url) as calls:
        calls.chat.completions.create(
            model="gpt-4o",
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Hello."}]},
                {"role": "assistant", "content": "Good day."},
                {"role": "user", "content": "Again?"},
            ],
        )
    assert [(m.role, m.text) for m in llm.given[-1]] == [
        ("system", "Be brief."),
        ("user", "Hello."),
        ("assistant", "Good day."),
        ("user", "Again?"),
    ]


def test_who_hangs_up_stops_the_reply():
    llm = room.ChatModel(*["word"] * 100_000, takes=0.001)
    with served(app(llm=llm)) as url, client(url) as calls:
        stream = calls.chat.completions.create(model="gpt-4o", messages=HELLO, stream=True)
        llm.closed = False  # as it was after the server had tried it
        next(iter(stream))
        stream.close()
        for _ in range(500):
            if llm.closed:
                break
            threading.Event().wait(0.01)
    assert llm.closed
    assert llm.made < 10_000


# Models


def test_every_model_is_listed_and_described(admission):
    names = [model.id for model in admission.models.list()]
    assert names == ["pocketsphinx", "extractive", "extractive:no-documents", "espeak"]
    assert [admission.models.retrieve(name).id for name in names] == names
    with pytest.raises(openai.NotFoundError, match=r"there is pocketsphinx, .*, espeak"):
        admission.models.retrieve("nobody-knows-this")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("pocketsphinx", ["whisper-1", "large-v3", "base.en", "Systran/faster-whisper-small",
                          "turbo", "distil-large-v3.5", "gpt-4o-mini-transcribe", "whisper"]),
        ("espeak", ["tts-1-hd", "kokoro", "hexgrad/Kokoro-82M", "gpt-4o-mini-tts"]),
        ("extractive", ["gpt-4o-mini", "llama3", "llama3.2:3b", "Qwen/Qwen3-4B", "o3", "mistral",
                        "meta-llama/Llama-3.1-8B-Instruct", "gemma3"]),
    ],
)  # fmt: skip
def test_what_people_call_models_is_one_of_ours(admission, kind, names):
    for name in names:
        found = admission.models.retrieve(name)
        assert (found.id, found.root) == (name, kind)


def test_models_are_taken_by_the_names_people_type(admission):
    heard = admission.audio.transcriptions.create(model="large-v3", file=QUESTION)
    assert heard.text == "when was the old apple tree planted"
    assert admission.audio.speech.create(model="kokoro", voice="alloy", input="Hello.").read()
    asked = admission.chat.completions.create(model="llama3.2:3b", messages=HELLO)
    assert asked.model == "llama3.2:3b"


def test_voices_and_audio_models_are_listed_as_others_list_them(admission, costless):
    voices = admission.get("/audio/voices", cast_to=object)["voices"]
    assert {"id": "en-us", "name": "en-us"} in voices
    spoken = admission.audio.speech.create(model="tts-1", voice=voices[3]["id"], input="Hello.")
    assert length(spoken.read()) > 0.2
    models = admission.get("/audio/models", cast_to=object)
    assert [model["id"] for model in models["models"]] == ["pocketsphinx", "espeak"]
    assert models["data"] == models["models"]
    # One that has a single way to speak.
    only = costless.get("/audio/voices", cast_to=object)["voices"]
    assert [voice["id"] for voice in only] == ["default"]
    assert costless.audio.speech.create(model="tts-1", voice="default", input="Hello.").read()


# The old text route


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_is_answered(costless, stream):
    options = {"stream_options": {"include_usage": True}, "stream": True} if stream else {}
    reply = costless.completions.create(
        model="gpt-3.5-turbo-instruct", prompt=["What time?", "And now?"], n=2, **options
    )
    texts = dict.fromkeys(range(4), "")
    chunks = [*reply] if stream else [reply]
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        texts[choice.index] += choice.text
    assert set(texts.values()) == {"It is noon. "}
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (3 + 2, 4 * 3)


@pytest.mark.parametrize(
    "fields", [{"echo": True}, {"logprobs": 3}, {"suffix": "x"}, {"n": 17}, {"prompt": [1, 2]}]
)
def test_of_a_prompt_nothing_is_promised_that_is_not_done(costless, fields):
    with pytest.raises(openai.BadRequestError):
        costless.completions.create(**{"model": "gpt-4o", "prompt": "Hi.", **fields})


# Recordings in JSON


@pytest.mark.parametrize("data_uri", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_a_recording_may_be_in_json(admission, data_uri, nested):
    data = ("data:audio/wav;base64," if data_uri else "") + base64.b64encode(
        QUESTION.read_bytes()
    ).decode()
    sent = {"input_audio": {"data": data, "format": "wav"}} if nested else {"file": data}
    heard = admission.post(
        "/audio/transcriptions",
        body={
            "model": "whisper-1",
            "response_format": "verbose_json",
            "timestamp_granularities": ["word"],
            **sent,
        },
        cast_to=object,
    )
    assert heard["text"] == "when was the old apple tree planted"
    assert len(heard["words"]) == 7


@pytest.mark.parametrize(
    ("sent", "says"),
    [({}, "file is missing"), ({"file": "no!"}, "no Base64"), ({"file": "AAAA"}, "recording")],
)
def test_a_recording_in_json_that_is_none_is_refused(costless, sent, says):
    with pytest.raises(openai.BadRequestError, match=says) as refused:
        costless.post("/audio/transcriptions", body={"model": "whisper-1", **sent}, cast_to=object)
    assert refused.value.param == "file"


@pytest.mark.parametrize("stream", [True, False])
def test_several_choices_are_drawn_one_after_the_other(stream):
    llm = room.Drawing(*"abcdefgh", takes=0)
    options = {"stream_options": {"include_usage": True}, "stream": True} if stream else {}
    with served(app(llm=llm)) as url, client(url) as calls:
        reply = calls.chat.completions.create(
            model="gpt-4o", messages=HELLO, n=3, seed=7, **options
        )
        texts, finishes = {0: "", 1: "", 2: ""}, {}
        if stream:
            *chunks, cost = list(reply)
            for choice in (chunk.choices[0] for chunk in chunks):
                texts[choice.index] += choice.delta.content or ""
                if choice.finish_reason:
                    finishes[choice.index] = choice.finish_reason
            usage = cost.usage
        else:
            texts = {choice.index: choice.message.content for choice in reply.choices}
            finishes = {choice.index: choice.finish_reason for choice in reply.choices}
            usage = reply.usage
    assert len(set(texts.values())) == 3
    assert all(sorted(text.split()) == [*"abcdefgh"] for text in texts.values())
    assert finishes == dict.fromkeys(range(3), "stop")
    assert (usage.prompt_tokens, usage.completion_tokens) == (4, 12)
