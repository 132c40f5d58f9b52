"""A Realtime answer that was spoken over without a word goes on, as a response of its own."""

import pytest
import room
from realtime_client import ASK, Client

from voicebot.engines import ToolCall

STORY = " ".join(f"One two three. Four five six. Seven eight {n}." for n in range(9)).split()
CUT = ("speak", 0.25)


def story(*heard, words=STORY, **engines):
    stt = room.Transcriber("tell me a story", *(heard or [""]))
    return Client(llm=room.ChatModel(*words, takes=0.01), stt=stt, **engines)


def said(client):
    """What each answer says, as the client was told of it in the end."""
    outputs = [event["response"]["output"] for event in client.all("response.done")]
    return [item["content"][0]["transcript"] for output in outputs for item in output]


def statuses(client):
    return [event["response"]["status"] for event in client.all("response.done")]


@pytest.mark.parametrize("after", [1.0, 2.3, 4.0])
def test_the_next_response_says_the_rest(after):
    client = story().does(*ASK, ("wait", after), CUT, ("wait", 30.0))
    assert statuses(client) == ["cancelled", "completed"]
    first, second = said(client)
    assert f"{first} {second}" == " ".join(STORY)
    assert len(client.llm.given) == 1
    # Told as any answer is, and the word that was none is an empty item between them.
    assert [e["item"]["role"] for e in client.all("conversation.item.added")] == [
        "user", "assistant", "user", "assistant",
    ]  # fmt: skip


def test_its_sound_begins_where_the_client_says_it_stopped():
    cut = ("conversation.item.truncate", {"item_id": "", "content_index": 0, "audio_end_ms": 650})
    client = story().does(*ASK, ("wait", 2.0), CUT, cut, ("wait", 30.0))
    assert said(client)[1] == " ".join(STORY[2:]), "the third word sounds from 0.6 to 0.7 s"
    sounds = client.all("response.output_audio.delta")
    later = [e for e in sounds if e["response_id"] == sounds[-1]["response_id"]]
    sent = sum(len(each["delta"]) * 3 / 4 for each in later) / 48000
    assert sent == pytest.approx(0.3 * len(STORY) - 0.65, abs=0.05)


def test_the_history_is_right_to_the_word():
    client = story("", "and then", words=STORY[:40]).does(
        *ASK, ("wait", 2.0), CUT, ("wait", 20.0), *ASK, ("wait", 1.0)
    )
    assert client.asked == [
        ("system", "Be brief."), ("user", "tell me a story"),
        ("assistant", " ".join(STORY[:40])), ("user", "and then"),
    ]  # fmt: skip


def test_an_answer_that_was_sent_whole_goes_on_too():
    words = STORY[:10]
    client = story("", "and then", words=words).does(
        *ASK, ("wait", 1.2), CUT, ("wait", 6.0), *ASK, ("wait", 1.0)
    )
    assert statuses(client)[:2] == ["completed", "completed"]
    told = [text for role, text in client.asked if role == "assistant"]
    assert " ".join(told) == " ".join(words)


def test_it_may_be_stopped_for_nothing_again_and_again():
    client = story("", "", "").does(
        *ASK, ("wait", 2.0), CUT, ("wait", 2.0), CUT, ("wait", 2.0), CUT, ("wait", 30.0)
    )
    assert " ".join(said(client)) == " ".join(STORY)
    assert statuses(client) == ["cancelled"] * 3 + ["completed"]


def test_a_word_ends_it_as_it_always_has():
    client = story("stop").does(*ASK, ("wait", 2.0), CUT, ("wait", 2.0))
    assert client.asked[-1] == ("user", "stop")
    (cut, text) = [text for role, text in client.asked if role != "system"][1:]
    assert " ".join(STORY).startswith(cut)
    assert len(cut.split()) < 10
    assert text == "stop"


def test_two_noises_before_either_was_recognised_are_one():
    client = Client(
        llm=room.ChatModel(*STORY, takes=0.01),
        stt=room.Transcriber("tell me a story", "", takes=0.9),
    ).does(*ASK, ("wait", 3.5), CUT, ("wait", 0.6), CUT, ("wait", 30.0))
    assert " ".join(said(client)) == " ".join(STORY)


@pytest.mark.parametrize(
    "action", [("input_audio_buffer.clear", {}), ("response.create", {}), ("response.cancel", {})]
)
def test_the_client_may_decide_otherwise(action):
    client = story().does(*ASK, ("wait", 2.0), CUT, ("wait", 0.2), action, ("wait", 20.0))
    if action[0] == "response.cancel":  # there is none to cancel, which changes nothing
        assert client.all("error")[0]["error"]["code"] == "response_cancel_not_active"
        assert " ".join(said(client)) == " ".join(STORY)
    else:
        first, *others = said(client)
        assert " ".join([first, *others]) != " ".join(STORY)


def test_a_long_noise_ends_it():
    slow = room.ChatModel(*STORY, takes=0.5)
    client = Client(llm=slow, stt=room.Transcriber("tell me", "")).does(
        *ASK, ("wait", 3.0), ("speak", 3.0), ("wait", 20.0)
    )
    assert slow.made < len(STORY) / 2
    assert said(client)[1:] == []


def test_what_it_was_to_call_is_called_when_it_has_gone_on():
    class Calls(room.ChatModel):
        async def reply(self, messages, *, tools=(), must_call=False):
            self.given.append(list(messages))
            from voicebot.engines import Delta

            yield Delta(" ".join(STORY[:12]))
            yield Delta(call=ToolCall("call_1", "f", "{}"))

    tools = [{"type": "function", "name": "f"}]
    client = Client(llm=Calls(), stt=room.Transcriber("tell me", ""), tools=tools)
    client.does(*ASK, ("wait", 0.8), CUT, ("wait", 9.0))
    assert len(client.all("response.function_call_arguments.done")) == 1


def test_the_clients_telephone_hears_the_rest():
    client = story(audio={"output": {"format": {"type": "audio/pcmu"}}})
    client.does(*ASK, ("wait", 2.0), CUT, ("wait", 30.0))
    assert " ".join(said(client)) == " ".join(STORY)
