"""`@openai/agents` in a real Firefox: another WebRTC, with a microphone and a loudspeaker."""

import subprocess
from dataclasses import replace

import httpx
import pytest
import room
import sound_server
from agents_page import HERE, LOUD, pages
from firefox import firefox, needed
from serving import parts, served
from test_page import QUESTION
from test_webrtc import LONG, Voice, wait_until

from voicebot.config import ServerSettings
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.server.app import create

pytestmark = [
    *needed,
    pytest.mark.skipif(not (HERE / "node_modules").is_dir(), reason="needs npm ci"),
]


def test_a_question_is_understood_and_its_answer_is_heard_until_it_is_interrupted(tmp_path):
    llm = room.ChatModel(*LONG, takes=0)
    made = parts(llm=llm, tts=Voice())
    engines = replace(made, fallbacks=Fallbacks(speech=room.NO_PAUSES))
    with (
        pages() as site,
        served(create(engines, ServerSettings(origins=site))) as url,
        sound_server.sound_server(tmp_path) as sounds,
    ):
        for kind, name in [("source", "mouth.monitor"), ("sink", "room")]:
            command = ["pactl", f"set-default-{kind}", name]
            subprocess.run(command, env=sounds.environment, check=True)
        with firefox(tmp_path, sounds.environment, media_autoplay_default=0) as driver:
            driver.get(f"{site}/webrtc.html")
            secret = httpx.post(f"{url}/v1/realtime/client_secrets", json={}).json()["value"]
            driver.evaluate(f"call('{url}/v1/realtime/calls', '{secret}', 'Be brief.') && 1")

            def events(kind):
                told = driver.evaluate("told")
                assert not told["failed"], told["failed"]
                return [(at, event) for at, event in told["events"] if event["type"] == kind]

            wait_until(lambda: events("session.updated"), 30)
            sounds.say(QUESTION).wait()
            wait_until(lambda: events("output_audio_buffer.started"), 30)
            sounds.say(QUESTION).wait()
            wait_until(lambda: len(events("output_audio_buffer.started")) == 2, 30)
            told = driver.evaluate("told")
            driver.evaluate("session.close() || 1")
            ((_, cut),) = events("conversation.item.truncated")
            again_at = events("response.created")[1][0]
    assert told["errors"] == []
    heard = [at for at, level in told["levels"] if level > LOUD and at < again_at]
    # Firefox plays a little faster at first, until its jitter buffer is as short as it may be.
    sent = cut["audio_end_ms"] / 1000
    assert sent / 2 < heard[-1] - heard[0] < sent + 0.4
    remembered = [message.text for message in llm.given[-1] if message.role == "assistant"]
    assert len(remembered) == 1
    assert remembered[0]
    assert " ".join(LONG).startswith(remembered[0])
