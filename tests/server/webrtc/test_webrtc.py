"""Calls over WebRTC on loopback, by aiortc's client: voices, events, interruptions and ends."""

import asyncio
import threading
import time
from dataclasses import replace

import httpx
import numpy as np
import pytest
import room
from serving import app, parts, served
from webrtc_client import PATH, SDP, Client, calling

from voicebot.audio import Audio
from voicebot.config import Config, RecordSettings, ServerSettings
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.engines import Segment, Speech, Word
from voicebot.errors import ConfigError
from voicebot.recording.recorder import Recorder
from voicebot.replay.read import found, read
from voicebot.replay.run import replay
from voicebot.server.app import create
from voicebot.server.auth import keys
from voicebot.server.webrtc import calls, offer
from voicebot.server.webrtc.addresses import is_near
from voicebot.server.webrtc.microphone import Microphone

aioice = pytest.importorskip("aioice")

STORY = "One two three. Four five six. Seven eight nine. Ten eleven twelve.".split()  # noqa: SIM905 - reads as the sentences it is
LONG = " ".join(f"Now comes number {n}." for n in range(12)).split()
WORD_S = 0.3


def wait_until(claim, seconds=10):
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end
        threading.Event().wait(0.02)


def is_empty(url):
    """Whether the server holds no conversation."""
    return 'realtime"} 0.0' in httpx.get(f"{url}/metrics").text


class Voice(room.Synthesizer):
    """Hums without a pause, each word as long as the other."""

    async def synthesize(self, text):
        self.lines.append(text)
        for i, _ in enumerate(text.split()):
            at = np.arange(round(WORD_S * 24000)) / 24000
            hum = Audio(np.float32(0.3) * np.sin(2 * np.pi * 400 * at).astype(np.float32), 24000)
            yield Speech(hum, (Word("word", i * WORD_S, (i + 1) * WORD_S),))


def storyteller(llm=None, stt=None):
    made = parts(stt=stt, llm=llm or room.ChatModel(*STORY, takes=0), tts=Voice())
    return create(replace(made, fallbacks=Fallbacks(speech=room.NO_PAUSES)), ServerSettings())


def held(application, talk, **options):
    async def live(url):
        async with calling(url, **options) as client:
            await talk(client)

    with served(application) as url:
        asyncio.run(live(url))


def test_a_question_asked_by_voice_is_answered_aloud_and_in_events():
    async def talk(client):
        assert client.location.startswith(f"{PATH}/rtc_")
        assert client.all("session.created")[0]["session"]["instructions"] == "Be brief."
        client.microphone.hum(1)
        done = (await client.told("response.done"))["response"]
        await client.told("output_audio_buffer.stopped")
        assert done["status"] == "completed"
        (part,) = done["output"][0]["content"]
        assert part == {"type": "output_audio", "transcript": " ".join(STORY)}
        assert client.all("response.output_audio.delta") == []
        (started,) = client.all("output_audio_buffer.started")
        assert started["response_id"] == done["id"]
        # As long as the voice spoke, but for what the client's own buffer still holds.
        assert len(client.voiced) * 0.02 == pytest.approx(len(STORY) * WORD_S, abs=0.2)

    held(storyteller(), talk, session={"type": "realtime", "instructions": "Be brief."})


def test_speaking_over_the_answer_silences_it_and_keeps_only_what_was_heard():
    async def talk(client):
        client.microphone.hum(1)
        await client.until(lambda: len(client.voiced) > 60)
        client.microphone.hum(1)
        await client.told("output_audio_buffer.cleared")
        cut = await client.told("conversation.item.truncated")
        done = (await client.told("response.done"))["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "turn_detected")
        said = done["output"][0]["content"][0]["transcript"].split()
        assert said == LONG[: len(said)]
        assert len(said) == int(cut["audio_end_ms"] / 1000 / WORD_S)
        await client.told("output_audio_buffer.started", 2)
        heard = [at for at in client.voiced if at < client.when("output_audio_buffer.started", 1)]
        # All that was on its way is heard, and nothing after it.
        assert len(heard) * 0.02 == pytest.approx(cut["audio_end_ms"] / 1000, abs=0.1)

    llm = room.ChatModel(*LONG, takes=0)
    held(storyteller(llm), talk)
    (answer,) = [each.text for each in llm.given[-1] if each.role == "assistant"]
    assert " ".join(LONG).startswith(answer)
    assert answer != " ".join(LONG)


def test_responses_out_of_the_conversation_are_written_at_once_and_spoken_afterwards():
    def aside(modality):
        about = {"conversation": "none", "output_modalities": [modality]}
        return {"response": {**about, "metadata": {"made": modality}}}

    async def talk(client):
        client.microphone.hum(1)
        await client.told("output_audio_buffer.started")
        client.send("response.create", **aside("audio"))
        client.send("response.create", **aside("text"))
        await client.told("output_audio_buffer.stopped", 2)
        done = {(each["response"]["metadata"] or {}).get("made"): each["response"]
                for each in client.all("response.done")}  # fmt: skip
        assert {each["status"] for each in done.values()} == {"completed"}
        assert done["text"]["output"][0]["content"][0]["text"].split() == STORY
        sounds = [each["response_id"] for each in client.all("output_audio_buffer.started")]
        assert sounds == [done[None]["id"], done["audio"]["id"]]
        assert client.all("error") == []
        assert len(client.voiced) * 0.02 == pytest.approx(2 * len(STORY) * WORD_S, abs=0.4)

    held(storyteller(), talk)


def test_what_held_no_word_lets_the_answer_go_on_in_the_next_response():
    async def talk(client):
        client.microphone.hum(1)
        await client.until(lambda: len(client.voiced) > 60)
        client.microphone.hum(0.3)
        await client.told("output_audio_buffer.stopped")
        cut = await client.told("conversation.item.truncated")
        heard = int(cut["audio_end_ms"] / 1000 / WORD_S)
        rest = client.all("response.done")[-1]["response"]["output"][0]["content"][0]["transcript"]
        assert rest == " ".join(STORY[heard:])
        # All of it was heard once, but for what was on its way at the cut and the client's buffer.
        assert len(client.voiced) * 0.02 == pytest.approx(len(STORY) * WORD_S, abs=0.4)

    class Ear(room.Transcriber):
        """Finds no word in what is short, with the silence around it."""

        async def transcribe(self, audio):
            yield Segment("a story" if audio.seconds > 1.0 else "", 0.0, audio.seconds)

    held(storyteller(stt=Ear()), talk)


def test_a_client_can_silence_an_answer_that_is_over_but_still_heard():
    async def talk(client):
        client.send("conversation.item.create", item={
            "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}],
        })  # fmt: skip
        client.send("response.create")
        assert (await client.told("response.done"))["response"]["status"] == "completed"
        client.send("output_audio_buffer.clear")
        await client.told("output_audio_buffer.cleared")
        assert (await client.told("conversation.item.truncated"))["audio_end_ms"] < 3000
        client.send("output_audio_buffer.clear")  # there is nothing left, which is no error
        client.send("conversation.item.delete", item_id="none")
        assert (await client.told("error"))["error"]["code"] == "item_not_found"

    held(storyteller(), talk)


def test_a_call_ends_when_its_client_hangs_up_by_request():
    async def talk(client):
        ended = await client.http.post(f"{client.location}/hangup")
        assert ended.status_code == 200
        await client.until_closed()
        again = await client.http.post(f"{client.location}/hangup")
        assert again.status_code == 404

    held(storyteller(), talk)


def test_a_client_that_leaves_leaves_its_place():
    async def leave(url):
        async with calling(url):
            pass

    with served(create(parts(), ServerSettings(sessions=1))) as url:
        for _ in range(3):
            asyncio.run(leave(url))
            wait_until(lambda: is_empty(url))


def test_keys_and_their_secrets_open_calls_and_only_their_own_are_hung_up(tmp_path):
    mine, other = (keys.add(tmp_path / "keys", name) for name in ("mine", "other"))
    with (tmp_path / "keys").open("a") as file:
        file.write("sessions = 1\n")

    me, them = ({"authorization": f"Bearer {key}"} for key in (mine, other))
    session = {"session": {"type": "realtime", "instructions": "Be kind."}}

    async def with_my_secret(url, secret):
        async with calling(url, key=secret) as client:
            assert client.all("session.created")[0]["session"]["instructions"] == "Be kind."
            hang_up = f"{url}{client.location}/hangup"
            assert (await client.http.post(hang_up, headers=them)).status_code == 404
            assert (await client.http.post(hang_up, headers=me)).status_code == 200

    async def with_their_key(url):
        async with calling(url, key=other) as client:
            assert (await client.http.post(PATH, content="v=0", headers=SDP)).status_code == 429

    settings = ServerSettings(keys=str(tmp_path / "keys"))
    with served(create(parts(), settings)) as url:
        made = httpx.post(f"{url}/v1/realtime/client_secrets", json=session, headers=me)
        asyncio.run(with_my_secret(url, made.json()["value"]))
        asyncio.run(with_their_key(url))
        assert httpx.post(f"{url}{PATH}", content="v=0", headers=SDP).status_code == 401


AUDIO = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n"
ICE = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 AA:BB\r\n"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "no SDP"),
        ("hello", "no SDP"),
        ("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "no audio"),
        (AUDIO, "no line a=ice-ufrag"),
        (AUDIO + ICE, "cannot be answered"),
        (AUDIO + ICE + "a=rtpmap:x\r\na=candidate:\r\n", "cannot be answered"),
        ("v=0\r\nm=audio x y 1\r\n" + ICE, "cannot be answered"),
        (AUDIO * 9 + ICE, "too long"),
        (AUDIO + ICE + "a=x\r\n" * 2000, "too long"),
    ],
)
def test_what_is_no_offer_is_refused_in_one_line(body, says):
    with served(app()) as url:
        refused = httpx.post(f"{url}{PATH}", content=body, headers=SDP)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_offer")
        message = refused.json()["error"]["message"]
        assert says in message
        assert "\n" not in message
        assert is_empty(url)


def test_an_offer_of_another_type_or_a_wrong_session_is_refused():
    with served(app()) as url:
        refused = httpx.post(f"{url}{PATH}", json={})
        assert refused.status_code == 415
        files = {"sdp": (None, "v=0"), "session": (None, '{"type": "other"}')}
        refused = httpx.post(f"{url}{PATH}", files=files)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "session.type")


def test_without_the_extra_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setattr(calls, "installed", lambda: None)
    with served(app()) as url:
        refused = httpx.post(f"{url}{PATH}", content="v=0", headers=SDP)
    assert refused.status_code == 501
    assert "voicebot install webrtc" in refused.json()["error"]["message"]


@pytest.fixture
def impatient(monkeypatch):
    """A client that is out of reach is noticed in half a second instead of thirty."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.05)


def test_a_client_that_vanishes_leaves_its_place(impatient):
    async def vanish(url):
        async with calling(url) as client:
            client.microphone.hum(1)
            await client.told("output_audio_buffer.started")
            client.vanish()
            await asyncio.to_thread(wait_until, lambda: is_empty(url))

    with served(storyteller()) as url:
        asyncio.run(vanish(url))


def test_a_client_that_never_comes_leaves_its_place(monkeypatch):
    monkeypatch.setattr(calls, "CONNECT_S", 0.5)

    async def offer(url):
        client = Client()
        sdp = await client.offer()
        answer = httpx.post(f"{url}{PATH}", content=sdp, headers=SDP)  # noqa: ASYNC210 - alone here
        await client.connection.close()
        return answer.status_code

    with served(storyteller()) as url:
        assert asyncio.run(offer(url)) == 201
        wait_until(lambda: is_empty(url))


def test_a_network_that_is_away_for_a_moment_costs_no_event():
    async def talk(client):
        client.microphone.hum(1)
        await client.told("output_audio_buffer.started")
        back = client.vanish()
        await asyncio.sleep(1.5)
        back()
        done = (await client.told("response.done"))["response"]
        assert done["output"][0]["content"][0]["transcript"] == " ".join(STORY)
        await client.told("output_audio_buffer.stopped")
        client.microphone.hum(1)
        await client.told("response.done", 2)

    held(storyteller(), talk)


def test_two_clients_each_have_their_own_conversation():
    async def talk(url):
        async with calling(url) as one, calling(url) as other:
            one.microphone.hum(1)
            await one.told("output_audio_buffer.started")
            other.microphone.hum(1)
            await asyncio.gather(one.told("response.done"), other.told("response.done"))
            ids = {each.all("response.done")[0]["response"]["id"] for each in (one, other)}
            assert len(ids) == 2
            assert len(one.all("conversation.item.added")) == 2
            assert not one.all("output_audio_buffer.cleared")

    with served(storyteller()) as url:
        asyncio.run(talk(url))


def test_a_call_ends_with_the_server_once_the_answer_is_made():
    async def talk(client):
        client.microphone.hum(1)
        await client.told("output_audio_buffer.started")
        application.admission.closing.set()
        await client.told("response.done")
        await client.until_closed()

    application = storyteller()
    held(application, talk)


def test_a_server_that_is_stopped_at_once_does_not_wait_for_its_calls():
    connected, stopped = threading.Event(), threading.Event()

    async def talk(url):
        async with calling(url):
            connected.set()
            await asyncio.to_thread(stopped.wait)

    with served(storyteller()) as url:
        thread = threading.Thread(target=lambda: asyncio.run(talk(url)))
        thread.start()
        connected.wait()
    stopped.set()
    thread.join()


def test_only_this_machine_and_its_network_are_offered_and_tried():
    near, far = "192.168.1.2", "8.8.8.8"
    candidate = "a=candidate:1 1 udp 1 {} 9 typ host\r\n"
    lines = AUDIO + ICE + "".join(candidate.format(each) for each in (near, far, "abc.local"))
    kept = offer.usable(lines, far=False)
    assert near in kept
    assert far not in kept
    assert ".local" not in kept
    assert far in offer.usable(lines, far=True)

    async def talk(client):
        answer = client.connection.remoteDescription.sdp
        offered = [line.split()[4] for line in answer.splitlines() if "candidate:" in line]
        assert "127.0.0.1" in offered
        assert all(is_near(address) for address in offered)
        assert "srflx" not in answer

    held(storyteller(), talk)


def test_a_stun_server_is_asked_only_where_the_settings_name_one():
    async def asked(stun):
        """The answer to an offer where `stun` holds for so many servers, and who was asked."""
        loop, questions = asyncio.get_running_loop(), []

        class Stun(asyncio.DatagramProtocol):
            def connection_made(self, transport):
                self.transport = transport

            def datagram_received(self, data, address):
                questions.append(address)
                asked = aioice.stun.parse_message(data)
                kind = aioice.stun.Class.RESPONSE
                told = aioice.stun.Message(asked.message_method, kind, asked.transaction_id)
                told.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.9", 4321)
                self.transport.sendto(bytes(told), address)

        transport, _ = await loop.create_datagram_endpoint(Stun, local_addr=("127.0.0.1", 0))
        at = f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}" if stun else ""
        client = Client()
        peer = calls.installed()(Microphone(len), bytes, len, bool, at)
        answer = await peer.answer(await client.offer())
        await peer.close()
        await client.connection.close()
        transport.close()
        return answer, questions

    answer, questions = asyncio.run(asked(stun=True))
    assert "203.0.113.9 4321 typ srflx" in answer
    assert questions
    answer, questions = asyncio.run(asked(stun=False))
    assert "srflx" not in answer
    assert not questions
    with pytest.raises(ConfigError, match="stun:HOST:PORT"):
        ServerSettings(stun="google.com")


def test_what_a_client_sends_too_much_of_is_refused_and_the_call_goes_on():
    async def talk(client):
        for _ in range(3000):
            client.send("nothing")
        client.channel.send(b"\xff\xfe")
        await client.told("error")
        client.microphone.hum(1)
        await client.told("response.done")
        client.send("conversation.item.delete", item_id="none")
        await client.until(
            lambda: any(e["error"]["code"] == "item_not_found" for e in client.all("error"))
        )

    held(storyteller(), talk)


def test_an_event_longer_than_the_client_can_read_is_told_of():
    async def talk(client):
        client.send("session.update", session={"type": "realtime", "instructions": "one " * 60_000})
        lost = await client.told("error")
        assert lost["error"]["code"] == "event_too_long"
        assert "session.updated" in lost["error"]["message"]

    held(storyteller(), talk, most=65536)


def test_a_client_of_the_first_dialect_calls_too():
    async def talk(client):
        client.microphone.hum(1)
        await client.told("response.audio_transcript.delta")
        await client.told("output_audio_buffer.started")
        await client.told("response.done")

    held(storyteller(), talk, path="/v1/realtime?model=m", headers={"openai-beta": "realtime=v1"})


def test_a_recorded_call_goes_as_it_went_when_it_is_held_again(tmp_path):
    recorder = Recorder(RecordSettings(str(tmp_path)))
    made = parts(llm=room.ChatModel(*LONG, takes=0), tts=Voice())
    quick = replace(made, fallbacks=Fallbacks(speech=room.NO_PAUSES), recorder=recorder)
    application = create(quick, ServerSettings())

    async def talk(client):
        client.microphone.hum(1)
        await client.until(lambda: len(client.voiced) > 60)
        client.microphone.hum(1)
        await client.told("conversation.item.truncated")
        await client.told("output_audio_buffer.started", 2)
        await client.until(lambda: len(client.voiced) > 180)
        client.send("output_audio_buffer.clear")
        await client.told("response.done", 2)

    held(application, talk)
    application.close()
    session = read(*found(tmp_path))
    assert {"transcript", "clause_spoken", "interrupted", "turn_ended"} <= {
        e["event"] for _, e in session.events
    }
    config = Config(latency=LatencySettings(degradations=""), speech=room.NO_PAUSES)
    # A real network and a real clock: how many words were out by then is not the same again.
    as_it_went, again = (
        [told["event"] for _, told in story if told["event"] != "clause_spoken"]
        for story in (session.events, replay(session, config))
    )
    assert again == as_it_went


def test_a_client_that_opens_no_channel_is_heard_and_answered_all_the_same(monkeypatch):
    monkeypatch.setattr(calls, "KEPT_EVENTS", 3)

    async def talk(client):
        await client.until(lambda: client.heard)
        client.microphone.hum(1)
        await client.until(lambda: len(client.voiced) * 0.02 > 0.9 * len(STORY) * WORD_S)

    held(storyteller(), talk, channel=False)


def test_after_a_cough_over_the_answer_the_rest_of_it_is_heard():
    async def talk(client):
        client.microphone.hum(1)
        await client.until(lambda: len(client.voiced) > 60)
        client.microphone.hum(0.2)
        await client.told("output_audio_buffer.cleared")
        await client.told("output_audio_buffer.started", 2)
        await client.told("output_audio_buffer.stopped")
        first, rest = (
            " ".join(p["transcript"] for o in done["response"]["output"] for p in o["content"])
            for done in client.all("response.done")
        )
        assert " ".join(STORY).startswith(first)
        assert rest.endswith(STORY[-1])
        # What is said again is no more than the sentence it was stopped in.
        assert len(client.voiced) * 0.02 < (len(STORY) + 4) * WORD_S

    stt = room.Transcriber("hello there", "hello there", "")
    llm = room.ChatModel(*STORY, takes=0)
    made = parts(stt=stt, llm=llm, tts=Voice())
    held(create(replace(made, fallbacks=Fallbacks(speech=room.NO_PAUSES)), ServerSettings()), talk)
