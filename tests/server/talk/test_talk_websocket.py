"""`/v1/talk` through a real server and a real client: what it promises, and what it refuses."""

import asyncio
import json
import socket
from contextlib import suppress

import pytest
import websockets
from calling import RATE, Parts, calling, connected, serving
from room import ChatModel, Synthesizer, Transcriber, sound
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from voicebot.conversation.pauses import SpeechSettings
from voicebot.engines import Segment, Speech
from voicebot.server.admission import AdmissionControl
from voicebot.server.auth.rate_limits import Limits, Quota

STORY = "One two three. Four five six. Seven eight nine. Ten eleven twelve.".split()  # noqa: SIM905 - reads as the sentences it is


def test_a_spoken_question_is_answered_in_sound_and_in_words():
    async def script():
        parts = Parts("Good", "morning.")
        async with serving(parts) as host, calling(host) as caller:
            await caller.speak(1.0)
            await caller.speak(1.0, level=0.0)
            ended = await caller.until("turn_ended")
        return parts, caller, ended

    parts, caller, ended = asyncio.run(script())
    assert [e["text"] for e in caller.all("transcript")] == ["hello there"]
    assert [(e["text"], e["at"], e["turn"]) for e in caller.all("clause_spoken")] == [
        ("Good morning.", 0.0, 1)
    ]
    assert len(caller.sound[1]) == 2 * round(0.6 * RATE)
    assert caller.all("sound_ended")[0]["samples"] == round(0.6 * RATE)
    assert {"stt.first", "llm.first", "tts.first", "gate", "speaker.first"} <= set(ended["marks"])
    numbers = [e["number"] for e in caller.events if "number" in e]
    assert numbers == list(range(1, len(numbers) + 1))
    assert parts.history == [("user", "hello there"), ("assistant", "Good morning.")]


def test_who_it_talks_to_and_for_how_long_it_waits_is_said_at_the_start():
    async def script():
        async with serving(Parts(), window=7) as host, calling(host, rate=16000) as caller:
            return caller.ready

    ready = asyncio.run(script())
    assert ready["engines"] == ["a parrot speaks"]
    assert (ready["rate"], ready["window"]) == (16000, 7)
    assert len(ready["token"]) >= 32


def test_a_typed_question_is_answered_and_stop_silences_the_answer():
    async def script():
        parts = Parts(*STORY)
        async with serving(parts) as host, calling(host) as caller:
            await caller.say(type="text", text="a story")
            await caller.hears(0.2)
            await caller.say(type="stop")
            flushed = await caller.until("flushed")
            await caller.until("turn_ended")
        return parts, flushed, caller

    parts, flushed, caller = asyncio.run(script())
    assert flushed["samples"] == round(0.2 * RATE)
    assert caller.all("interrupted")[0]["heard"] == ""
    assert parts.history == [("user", "a story")]


def test_speaking_over_the_answer_flushes_it():
    async def script():
        parts = Parts(*STORY)
        async with serving(parts) as host, calling(host) as caller:
            await caller.say(type="text", text="a story")
            await caller.hears(0.7)
            await caller.speak(0.3)
            await caller.until("flushed")
            return await caller.until("interrupted")

    assert asyncio.run(script())["heard"] == "One two"


def test_what_held_no_word_lets_the_answer_go_on_as_the_next_turn():
    async def script(turn):
        parts = Parts(*STORY, stt=Transcriber("", takes=0.0))
        async with serving(parts) as host, calling(host) as caller:
            await caller.say(type="text", text="a story")
            if turn == 2:
                await caller.hears(0.7)
                await caller.speak(0.25)
                await caller.speak(0.8, level=0.0)
                await caller.until("reply_resumed")
            played = 0
            while turn not in [event["turn"] for event in caller.all("turn_ended")]:
                await caller.next()
                if (received := len(caller.sound.get(turn, b"")) // 2) > played:
                    played = received
                    await caller.say(type="played", turn=turn, samples=played)
        return parts, caller

    _, whole = asyncio.run(script(turn=1))
    parts, caller = asyncio.run(script(turn=2))
    story = " ".join(STORY)
    assert caller.all("interrupted")[0]["heard"] == "One two"
    assert [e["text"] for e in caller.all("transcript")] == ["a story"]
    assert {e["turn"] for e in caller.all("reply_resumed")} == {2}
    assert parts.history == [("user", "a story"), ("assistant", story)]
    # The sound of the two turns is all there is, and none of it twice.
    heard = caller.all("flushed")[0]["samples"]
    assert heard + len(caller.sound[2]) // 2 == pytest.approx(len(whole.sound[1]) // 2, abs=50)


def test_muting_in_mid_sentence_ends_the_sentence():
    async def script():
        async with serving(Parts("Yes.")) as host, calling(host) as caller:
            await caller.speak(1.0)
            await caller.say(type="mute")
            return await caller.until("transcript")

    assert asyncio.run(script())["text"] == "hello there"


class Choir(Synthesizer):
    voices = ("anna", "bert")

    async def synthesize(self, text, *, voice=None):
        self.lines.append(voice)
        yield Speech(sound(0.1, RATE))


class Linguist(Transcriber):
    languages = ("en", "de")

    async def transcribe(self, audio, *, language=None):
        self.given.append(audio.seconds)
        yield Segment(language or "its own", 0.0, audio.seconds)


def test_which_voices_and_languages_there_are_is_said_at_the_start():
    async def script():
        parts = Parts("Yes.", stt=Linguist(), tts=Choir())
        async with serving(parts) as host, calling(host) as caller:
            return caller.ready

    ready = asyncio.run(script())
    assert (ready["voices"], ready["languages"]) == (["anna", "bert"], ["en", "de"])
    assert (ready["voice"], ready["language"]) == ("", "")


def test_a_voice_and_a_language_chosen_at_the_start_hold_until_others_are_chosen():
    async def script():
        parts = Parts("Yes.", stt=Linguist(), tts=Choir())
        async with serving(parts) as host, connected(host) as caller, calling(host) as other:
            await caller.say(type="hello", rate=RATE, voice="bert", language="de")
            ready = await caller.until("ready")
            await caller.speak(1.0)
            await caller.say(type="mute")
            await caller.until("turn_ended")
            await caller.say(type="choose", voice="anna")
            chosen = await caller.until("chosen")
            await caller.say(type="text", text="hello")
            await caller.until("turn_ended")
            await other.say(type="text", text="hello")
            await other.until("turn_ended")
        return parts, caller, ready, chosen

    parts, caller, ready, chosen = asyncio.run(script())
    assert (ready["voice"], ready["language"]) == ("bert", "de")
    assert (chosen["voice"], chosen["language"]) == ("anna", "de")
    assert caller.all("transcript")[0]["text"] == "de"
    assert parts.tts.lines == ["bert", "anna", None], "and nobody else's voice changes"


def test_what_was_chosen_still_holds_for_who_comes_back_and_is_told_again():
    async def script():
        parts = Parts("Yes.", stt=Linguist(), tts=Choir())
        async with serving(parts) as host, calling(host) as caller, connected(host) as again:
            await caller.say(type="choose", voice="anna")
            await caller.until("chosen")
            token = caller.ready["token"]
            await again.say(type="resume", token=token, number=0, turn=0, received=0)
            resumed = await again.until("resumed")
            await again.say(type="text", text="hello")
            await again.until("turn_ended")
        return parts, resumed

    parts, resumed = asyncio.run(script())
    assert (resumed["voice"], resumed["voices"]) == ("anna", ["anna", "bert"])
    assert parts.tts.lines == ["anna"]


def test_names_that_there_are_not_change_nothing_and_are_answered_with_those_there_are():
    async def script():
        parts = Parts("Yes.", stt=Linguist(), tts=Choir())
        async with serving(parts) as host, connected(host) as caller:
            await caller.say(type="hello", rate=RATE, voice="carl")
            await caller.say(type="hello", rate=RATE, voice="bert")
            await caller.until("ready")
            await caller.say(type="choose", voice="anna", language="xx")
            await caller.until("error")
            await caller.say(type="text", text="hello")
            await caller.until("turn_ended")
        return parts, caller

    parts, caller = asyncio.run(script())
    assert [error["reason"] for error in caller.all("error")] == [
        "there is no voice 'carl'; there is anna, bert",
        "there is no language 'xx'; there is en, de",
    ]
    assert parts.tts.lines == ["bert"]
    assert len(parts.begun) == 1


def test_what_is_being_said_is_told_to_those_who_ask_for_it():
    async def script(**asked):
        async with serving(Parts("Yes.")) as host, connected(host) as caller:
            await caller.say(type="hello", rate=RATE, **asked)
            await caller.speak(1.5)
            await caller.speak(1.0, level=0.0)
            await caller.until("transcript")
        return caller

    caller = asyncio.run(script(interim_transcripts=True))
    assert {e["text"] for e in caller.all("interim_transcript")} == {"hello there"}
    kinds = [e["event"] for e in caller.events]
    assert kinds.index("interim_transcript") < kinds.index("speech_ended")
    assert not asyncio.run(script()).all("interim_transcript")


# Coming back


def test_a_client_cut_off_in_mid_reply_goes_on_where_it_was():
    async def script():
        parts = Parts(*STORY)
        async with serving(parts) as host:
            async with calling(host) as caller:
                await caller.say(type="text", text="a story")
                await caller.hears(0.3)
                caller.socket.transport.abort()
            async with connected(host) as again:
                again.sound, again.events = caller.sound, caller.events
                await again.say(
                    type="resume",
                    token=caller.ready["token"],
                    number=max(e.get("number", 0) for e in caller.events),
                    turn=1,
                    received=len(caller.sound[1]) // 2,
                )
                await again.until("resumed")
                while not again.all("turn_ended"):
                    await again.next()
                    received = len(again.sound[1]) // 2
                    await again.say(type="played", turn=1, samples=received)
        return parts, again

    parts, again = asyncio.run(script())
    assert [e["text"] for e in again.all("clause_spoken")] == [
        "One two three.", "Four five six.", "Seven eight nine.", "Ten eleven twelve."
    ]  # fmt: skip
    pauses = 3 * SpeechSettings().stop_ms / 1000
    assert len(again.sound[1]) == 2 * round((3.6 + pauses) * RATE)
    numbers = [e["number"] for e in again.events if "number" in e]
    assert numbers == list(range(1, len(numbers) + 1))
    assert parts.history == [("user", "a story"), ("assistant", " ".join(STORY))]
    assert len(parts.begun) == 1


def test_a_new_connection_takes_over_from_one_that_only_looks_alive():
    async def script():
        async with (
            serving(Parts("Yes.")) as host,
            calling(host) as old,
            connected(host) as new,
        ):
            token = old.ready["token"]
            await new.say(type="resume", token=token, number=0, turn=0, received=0)
            await new.until("resumed")
            code = await old.closed()
            await new.say(type="text", text="hello")
            await new.until("turn_ended")
            return code

    assert asyncio.run(script()) == 4001


def test_a_client_that_counts_too_far_is_told_what_follows():
    async def script():
        async with serving(Parts("Yes.")) as host:
            async with calling(host) as old:
                token = old.ready["token"]
                old.socket.transport.abort()
            async with connected(host) as new:
                await new.say(type="resume", token=token, number=99, turn=1, received=0)
                await new.until("resumed")
                await new.say(type="text", text="Is it noon?")
                await new.until("transcript", number=1)

    asyncio.run(script())


def test_who_says_goodbye_or_stays_away_cannot_come_back():
    async def come_back(host, token):
        async with connected(host) as again:
            await again.say(type="resume", token=token, number=0, turn=0, received=0)
            error = await again.until("error")
            await again.say(type="hello", rate=RATE)
            await again.until("ready")
            return error["code"]

    async def script():
        llm = ChatModel(*STORY, takes=0.2)
        async with serving(Parts(llm=llm), window=0.2) as host:
            async with calling(host) as caller:
                await caller.say(type="text", text="a story")
                await caller.until("clause_spoken")
            yield await come_back(host, caller.ready["token"])
            yield llm.closed
            async with calling(host) as caller:
                caller.socket.transport.abort()
            await asyncio.sleep(0.5)
            yield await come_back(host, caller.ready["token"])

    async def all_of(answers):
        return [answer async for answer in answers]

    assert asyncio.run(all_of(script())) == ["gone", True, "gone"]


def test_a_client_that_disappears_leaves_nothing_running():
    async def script():
        llm = ChatModel(*STORY, takes=0.1)
        async with serving(Parts(llm=llm), window=0.1) as host:
            before = len(asyncio.all_tasks())
            async with calling(host) as caller:
                await caller.say(type="text", text="a story")
                await caller.until("clause_spoken")
                caller.socket.transport.abort()
            while not llm.closed or len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.05)
        return llm

    assert asyncio.run(asyncio.wait_for(script(), 100)).made < len(STORY)


# Bad input


def test_a_message_that_means_nothing_is_named_and_the_conversation_goes_on():
    async def script():
        async with serving(Parts("Yes.")) as host, calling(host) as caller:
            for message in ["{", '{"type": "dance"}', b"\0\0\0"]:
                await caller.socket.send(message)
            await caller.say(type="hello", rate=24000)
            await caller.say(type="resume", token="x", number=0, turn=0, received=0)
            await caller.say(type="text", text="hello")
            await caller.until("turn_ended")
            return [error["code"] for error in caller.all("error")]

    codes = asyncio.run(script())
    assert codes == ["not_json", "unknown_type", "half_sample", "begun", "begun"]


def test_a_rate_we_cannot_hear_at_is_refused_and_another_may_be_named():
    async def script():
        async with serving(Parts()) as host, connected(host) as caller:
            await caller.say(type="hello", rate=7999)
            error = await caller.until("error")
            await caller.say(type="hello", rate=8000)
            await caller.until("ready")
            return error

    error = asyncio.run(script())
    assert error["code"] == "bad_field"
    assert error["reason"] == "rate should be 8000 to 48000, not 7999"


def test_before_hello_there_is_nothing_to_say():
    async def script():
        async with serving(Parts()) as host, connected(host) as caller:
            await caller.say(type="text", text="hello")
            yield (await caller.until("error"))["code"]
            await caller.socket.send(b"\0\0")
            yield await caller.closed()

    async def all_of(answers):
        return [answer async for answer in answers]

    assert asyncio.run(all_of(script())) == ["not_begun", 1008]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"\0" * (2 * RATE + 2)], 1009),
        ([b"\0" * 2**20], 1009),
        ([b"\0" * 2 * RATE] * 60, 1008),
    ],
)  # fmt: skip
def test_who_sends_too_much_is_told_and_cut_off(frames, code):
    async def script():
        async with serving(Parts()) as host, calling(host) as caller:
            with suppress(websockets.ConnectionClosed):
                for frame in frames:
                    await caller.socket.send(frame)
            return await caller.closed(), caller.all("error"), caller.socket.close_reason

    got, told, reason = asyncio.run(script())
    assert got == code
    assert told or reason


def test_ten_thousand_messages_of_rubbish_do_not_keep_others_waiting():
    async def script():
        async with (
            serving(Parts("Yes.")) as host,
            calling(host) as rude,
            calling(host) as polite,
        ):

            async def flood():
                for i in range(10000):
                    await rude.socket.send("{" * (i % 7) if i % 2 else b"\0" * (i % 5))
                    await asyncio.sleep(0)

            async def read():
                while len(rude.all("error")) < 5000:
                    await rude.next()

            flooding, reading = asyncio.ensure_future(flood()), asyncio.ensure_future(read())
            await polite.say(type="text", text="hello")
            await polite.until("clause_spoken")
            early = not flooding.done()
            await flooding
            await reading
            await rude.say(type="text", text="hello")
            await rude.until("turn_ended")
            return early

    assert asyncio.run(script())


class Deaf:
    """A client that sends, and once connected never reads."""

    async def connect(self, host):
        name, port = host.split(":")
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.setblocking(False)
        await self._loop.sock_connect(self._socket, (name, int(port)))
        self._wire = ClientProtocol(parse_uri(f"ws://{host}/v1/talk"))
        self._wire.send_request(self._wire.connect())
        await self._flush()
        self._wire.receive_data(await self._loop.sock_recv(self._socket, 4096))

    async def say(self, **message):
        self._wire.send_text(json.dumps(message).encode())
        await self._flush()

    def close(self):
        self._socket.close()

    async def _flush(self):
        for data in self._wire.data_to_send():
            await self._loop.sock_sendall(self._socket, data)


def test_a_client_that_never_reads_is_given_up(monkeypatch):
    monkeypatch.setattr("voicebot.server.talk.connection.UNREAD_TIMEOUT_S", 0.3)

    class Endless(Synthesizer):
        async def synthesize(self, text):
            while True:
                await asyncio.sleep(0.001)
                self.chunks += 1
                yield Speech(sound(1, RATE))

    async def script():
        tts = Endless()
        async with serving(Parts("Yes.", tts=tts), window=0.1) as host:
            before = len(asyncio.all_tasks())
            deaf = Deaf()
            await deaf.connect(host)
            await deaf.say(type="hello", rate=48000)
            await deaf.say(type="text", text="go on")
            while len(asyncio.all_tasks()) == before:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.01)
            with suppress(ConnectionError):
                while len(asyncio.all_tasks()) > before:
                    # Who says that all was played is sent more, until no buffer takes it.
                    await deaf.say(type="played", turn=1, samples=2**40)
                    await asyncio.sleep(0.01)
            while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.01)
            deaf.close()
            return tts.chunks

    assert asyncio.run(asyncio.wait_for(script(), 100)) < 200


def test_a_key_that_has_used_up_its_sound_is_told_so():
    class Frugal:
        def __init__(self, app):
            self.app, self.quota = app, None

        async def __call__(self, scope, receive, send):
            now = asyncio.get_running_loop().time()
            limits = Limits(audio_s_per_minute=2)
            self.quota = self.quota or Quota(limits, now)
            await self.app({**scope, "quota": self.quota}, receive, send)

    async def script():
        async with serving(Parts(), around=Frugal) as host, calling(host) as caller:
            with suppress(websockets.ConnectionClosed):
                await caller.speak(5.0)
            return await caller.closed(), caller.all("error")

    code, errors = asyncio.run(script())
    assert code == 1008
    assert "this key has used its" in errors[0]["reason"]


def test_while_the_house_closes_a_reply_is_given_to_its_end_and_nobody_new_is_let_in():
    async def script():
        admission, parts = AdmissionControl(), Parts("Good", "morning.")
        async with (
            serving(parts, admission=admission) as host,
            calling(host) as caller,
            calling(host) as idle,
            connected(host) as late,
        ):
            await caller.say(type="text", text="hello")
            await caller.until("clause_spoken")
            closing = asyncio.ensure_future(admission.close(5))
            assert await idle.closed() == 1012
            await late.say(type="hello", rate=RATE)
            assert await late.closed() == 1013
            assert await caller.closed() == 1012
            await closing
        return caller

    assert asyncio.run(script()).all("turn_ended")


def test_a_bug_ends_its_own_conversation_only(caplog):
    class Broken(Synthesizer):
        async def synthesize(self, text):
            if self.chunks == 0:
                self.chunks = 1
                raise ZeroDivisionError
            async for speech in super().synthesize(text):
                yield speech

    async def script():
        async with (
            serving(Parts("Yes.", tts=Broken())) as host,
            calling(host) as unlucky,
            calling(host) as other,
        ):
            await unlucky.say(type="text", text="hello")
            code = await unlucky.closed()
            await other.say(type="text", text="hello")
            await other.until("clause_spoken")
            return code

    assert asyncio.run(script()) == 1011
    assert "ZeroDivisionError" in caplog.text
