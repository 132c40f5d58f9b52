"""Responses out of the conversation are made beside the one that is spoken."""

import pytest
import room
from realtime_client import ASK, Client, item

from voicebot.engines import Delta
from voicebot.errors import EngineError
from voicebot.server.auth.rate_limits import Limits

STORY = " ".join(f"One two three. Four five six. Seven eight {n}." for n in range(9)).split()


class Model(room.ChatModel):
    """Tells a story to whoever speaks, and a title to whoever asks for one."""

    async def reply(self, messages):
        self.given.append(list(messages))
        if messages[-1].text == "Fail.":
            raise EngineError("llm", "no title")
        asked = messages[-1].text == "A title?"
        async for delta in room.ChatModel(*(["Tale"] if asked else STORY)).reply(messages):
            yield delta


def title(text="A title?", modality="text", **more):
    wish = {"conversation": "none", "output_modalities": [modality], "input": [item("user", text)]}
    return ("response.create", {"response": {**wish, **more}})


def events_of(client, id):
    events = [event for _, event in client.events]
    return [e for e in events if id in (e.get("response_id"), e.get("response", {}).get("id"))]


def made(client):
    """The spoken response and those beside it, as they were in the end."""
    done = [event["response"] for event in client.all("response.done")]
    spoken = [each for each in done if each["conversation_id"]]
    return spoken, [each for each in done if not each["conversation_id"]]


@pytest.mark.parametrize("modality", ["text", "audio"])
def test_one_is_made_while_another_is_spoken(modality):
    client = Client(llm=Model()).does(
        *ASK, ("wait", 1.0), title(modality=modality, metadata={"topic": "title"}), ("wait", 20.0)
    )
    ((spoken,), (aside,)) = made(client)
    assert client.all("error") == []
    assert (spoken["status"], aside["status"]) == ("completed", "completed")
    assert aside["metadata"] == {"topic": "title"}
    (said,) = aside["output"][0]["content"]
    assert (said.get("text") or said.get("transcript")).strip() == "Tale"
    events = events_of(client, aside["id"])
    assert [each["type"] for each in events if each["type"].endswith((".created", ".done"))]
    sound = [each for each in events if each["type"] == "response.output_audio.delta"]
    assert bool(sound) == (modality == "audio")
    # The spoken one goes on beside it, and knows nothing of it.
    assert client.when("response.done") < client.events[-1][0] - 5
    (message,) = spoken["output"]
    assert message["content"][0]["transcript"] == " ".join(STORY)


def heard(client):
    """The responses whose sound went over the track, each with how it began and ended."""
    events = [event for _, event in client.events]
    buffers = [e for e in events if e["type"].startswith("output_audio_buffer.")]
    return [(e["type"].rpartition(".")[2], e["response_id"]) for e in buffers]


def test_over_webrtc_a_written_one_is_made_while_another_is_spoken():
    client = Client(llm=Model(), has_track=True).does(*ASK, ("wait", 1.0), title(), ("wait", 60.0))
    ((spoken,), (aside,)) = made(client)
    assert client.all("error") == []
    assert aside["output"][0]["content"][0]["text"] == "Tale "
    assert client.when("response.done") < client.when("output_audio_buffer.stopped") - 5
    assert heard(client) == [("started", spoken["id"]), ("stopped", spoken["id"])]


def test_over_webrtc_spoken_ones_are_heard_after_the_one_that_is_spoken():
    """A track carries one voice; over a websocket the sound of each has events of its own."""
    client = Client(llm=Model(), has_track=True).does(
        *ASK, ("wait", 1.0), title(modality="audio"), title("A story?", "audio"), ("wait", 120.0)
    )
    ((spoken,), (short, story)) = made(client)
    assert client.all("error") == []
    assert [each["status"] for each in (spoken, short, story)] == ["completed"] * 3
    assert short["output"][0]["content"][0]["transcript"] == "Tale"
    assert heard(client) == [
        (change, each["id"]) for each in (spoken, short, story) for change in ("started", "stopped")
    ]
    added = [event["item"]["id"] for event in client.all("conversation.item.added")]
    assert not {each["output"][0]["id"] for each in (short, story)} & {*added}


def test_over_webrtc_who_speaks_over_the_answer_wants_none_of_what_waits():
    client = Client(llm=Model(), has_track=True).does(
        *ASK, ("wait", 1.0), title(modality="audio"), *ASK, ("wait", 20.0)
    )
    spoken, (aside,) = made(client)
    assert [each["status"] for each in spoken] == ["cancelled", "completed"]
    assert (aside["status"], aside["status_details"]["reason"]) == ("cancelled", "turn_detected")


def test_over_webrtc_what_waits_is_spoken_once_the_other_is_cancelled():
    client = Client(llm=Model(), has_track=True).does(
        *ASK, ("wait", 1.0), title(modality="audio"), ("response.cancel", {}), ("wait", 10.0)
    )
    (spoken,), (aside,) = made(client)
    assert (spoken["status"], aside["status"]) == ("cancelled", "completed")
    assert heard(client)[-1] == ("stopped", aside["id"])


def test_over_webrtc_so_many_wait_and_the_next_is_refused():
    client = Client(llm=Model(), has_track=True).does(
        *ASK, ("wait", 1.0), *[title(modality="audio")] * 6, ("wait", 30.0)
    )
    errors = [event["error"]["code"] for event in client.all("error")]
    assert errors == ["too_many_responses"] * 2
    assert [each["status"] for each in made(client)[1]] == ["completed"] * 4


def test_over_webrtc_one_that_waits_counts_as_any_other_request():
    client = Client(llm=Model(), has_track=True, limits=Limits(requests_per_minute=2)).does(
        *ASK, ("wait", 1.0), *[title(modality="audio")] * 3, ("wait", 20.0)
    )
    statuses = [each["status"] for each in made(client)[1]]
    assert statuses == ["completed", "failed", "failed"]


def test_nothing_of_it_enters_the_conversation():
    client = Client(llm=Model()).does(
        *ASK, ("wait", 1.0), title(), ("wait", 20.0), *ASK, ("wait", 1.0)
    )
    told = [message.text for message in client.llm.given[-1]]
    assert "A title?" not in told
    assert "Tale " not in told
    (aside,) = made(client)[1]
    added = [event["item"]["id"] for event in client.all("conversation.item.added")]
    assert aside["output"][0]["id"] not in added


def test_it_knows_the_conversation_unless_it_has_an_input_of_its_own():
    wish = {"conversation": "none", "output_modalities": ["text"], "instructions": "A title?"}
    client = Client(llm=Model()).does(
        *ASK, ("wait", 1.0), ("response.create", {"response": wish}), ("wait", 12.0)
    )
    assert [m.text for m in client.llm.given[1]][:2] == ["A title?", "hello there"]


def test_speaking_interrupts_what_is_spoken_and_not_what_is_written():
    class Slow(Model):
        async def reply(self, messages):
            if messages[-1].text == "A title?":
                async for delta in room.ChatModel("A", "slow", "tale", takes=1.0).reply(messages):
                    yield delta
                return
            async for delta in super().reply(messages):
                yield delta

    client = Client(llm=Slow()).does(*ASK, ("wait", 1.0), title(), *ASK, ("wait", 20.0))
    spoken, (aside,) = made(client)
    assert [each["status"] for each in spoken] == ["cancelled", "completed"]
    assert aside["output"][0]["content"][0]["text"] == "A slow tale "


def test_one_is_cancelled_by_its_id_alone():
    client = Client(llm=Model(*STORY, takes=0.5))

    client.does(
        *ASK, ("wait", 1.0), title("Go on."), ("wait", 0.2),
        ("response.cancel", {"response_id": "the last"}), ("wait", 20.0),
    )  # fmt: skip
    (spoken,), (aside,) = made(client)
    assert (spoken["status"], aside["status"]) == ("completed", "cancelled")
    assert aside["status_details"]["reason"] == "client_cancelled"


def test_so_many_are_made_at_once_and_the_next_is_refused():
    slow = room.ChatModel("word", takes=5.0)
    client = Client(llm=slow).does(*[title() for _ in range(6)], ("wait", 8.0))
    errors = [event["error"]["code"] for event in client.all("error")]
    assert errors == ["too_many_responses"] * 2
    assert [each["status"] for each in made(client)[1]] == ["completed"] * 4


def test_one_that_fails_fails_alone():
    client = Client(llm=Model()).does(*ASK, ("wait", 1.0), title("Fail."), ("wait", 20.0))
    (spoken,), (aside,) = made(client)
    assert (spoken["status"], aside["status"]) == ("completed", "failed")
    assert aside["status_details"]["error"]["message"] == "llm: no title"


def test_one_counts_as_any_other_request():
    client = Client("Yes.", limits=Limits(requests_per_minute=1)).does(
        title(), ("wait", 1.0), title(), ("wait", 1.0)
    )
    statuses = [each["status"] for each in made(client)[1]]
    assert statuses == ["completed", "failed"]


def test_one_runs_into_its_limit_alone():
    class Limited(room.ChatModel):
        async def reply(self, messages, *, max_tokens=None):
            yield Delta("one ")
            yield Delta(finish="length", tokens=(7, 1))

    client = Client(llm=Limited()).does(title(max_output_tokens=1), ("wait", 1.0))
    ((aside,),) = made(client)[1:]
    assert aside["status"] == "incomplete"
    assert aside["usage"]["input_tokens"] == 7


def test_a_second_one_in_the_conversation_is_refused_as_before():
    client = Client(llm=Model()).does(*ASK, ("wait", 1.0), ("response.create", {}), ("wait", 12.0))
    (error,) = client.all("error")
    assert error["error"]["code"] == "conversation_already_has_active_response"
