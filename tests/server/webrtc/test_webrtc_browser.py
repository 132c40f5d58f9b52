"""`@openai/agents` in a real Chromium: it asks by voice, hears, interrupts and is remembered."""

from dataclasses import replace

import pytest
import room
from agents_page import agent, needed
from serving import parts
from test_page import recording
from test_webrtc import LONG, WORD_S, Voice

from voicebot.conversation.fallbacks import Fallbacks

pytestmark = needed


def test_it_asks_by_voice_is_answered_aloud_interrupts_and_is_remembered(tmp_path):
    llm = room.ChatModel(*LONG, takes=0)
    made = parts(llm=llm, tts=Voice())
    engines = replace(made, fallbacks=Fallbacks(speech=room.NO_PAUSES))
    with agent(engines, tmp_path, recording(tmp_path, 1, "ask", 3, "ask", 60)) as client:
        client.until(lambda: client.all("output_audio_buffer.cleared"))
        client.until(lambda: len(client.all("output_audio_buffer.started")) == 2)
        client.until(lambda: client.voiced[-1] > client.when("output_audio_buffer.started", 1))
        client.until(lambda: len(client.does("history()")) == 4)
        asked, cut, again, _ = client.does("history()")
        told, voiced = client.told, client.voiced
        (truncated,) = client.all("conversation.item.truncated")
    assert told["errors"] == []
    assert asked["said"] == again["said"] == "hello there"
    assert cut["status"] == "incomplete"
    words = cut["said"].split()
    assert words == LONG[: len(words)]
    assert len(words) == int(truncated["audio_end_ms"] / 1000 / WORD_S)
    # The voice hums from its first moment to where it was silenced: that much was heard.
    again_at = [at for at, event in told["events"] if event["type"] == "response.created"][1]
    heard = [at for at in voiced if at < again_at]
    assert heard[-1] - heard[0] == pytest.approx(truncated["audio_end_ms"] / 1000, abs=0.4)
    remembered = [(message.role, message.text) for message in llm.given[-1]]
    assert remembered == [
        ("system", "Be brief."), ("user", "hello there"), ("assistant", cut["said"]),
        ("user", "hello there"),
    ]  # fmt: skip
