"""docs/realtime.md names every event and session field of OpenAI's package, and says what is so."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from openai.types.realtime import (
    RealtimeClientEvent,
    RealtimeServerEvent,
    RealtimeSessionCreateRequest,
)

from voicebot.conversation import EndpointingSettings
from voicebot.server.realtime.protocol import Protocol
from voicebot.server.realtime.settings import initial

TEXT = (Path(__file__).parents[3] / "docs" / "realtime.md").read_text()


def table(heading):
    """What the table below a heading says of each name."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(.+?)` \| (.+?) \|$", section, re.MULTILINE))


def kinds(union):
    members = get_args(get_args(union)[0])
    return {kind for each in members for kind in get_args(each.model_fields["type"].annotation)}


def told(message):
    """What the protocol answers to a message."""
    protocol = Protocol(initial("model", "voice", EndpointingSettings(), ""))
    protocol.take()
    protocol.receive(json.dumps(message))
    return protocol.take()


def code(events):
    return next((event["error"]["code"] for event in events if event["type"] == "error"), None)


def test_every_event_and_field_of_openais_package_is_named():
    own = {"transcription_session.update"}  # which the package has in its beta alone
    assert set(table("Client events")) == kinds(RealtimeClientEvent) | own
    assert set(table("Server events")) == kinds(RealtimeServerEvent)
    assert set(table("Fields of a session")) == set(RealtimeSessionCreateRequest.model_fields)


@pytest.mark.parametrize("kind", table("Client events"))
def test_a_client_event_that_is_named_is_known(kind):
    assert code(told({"type": kind})) != "unknown_event"


def test_one_that_is_not_named_is_refused():
    assert code(told({"type": "response.steer"})) == "unknown_event"


@pytest.mark.parametrize("field", table("Fields of a session"))
def test_a_field_that_is_named_is_known_and_an_echoed_one_told_back(field):
    says = table("Fields of a session")[field]
    assert says.startswith(("done", "echoed"))
    events = told({"type": "session.update", "session": {"type": "realtime", field: "some"}})
    assert code(events) != "unknown_parameter"
    if says.startswith("echoed"):
        (updated,) = [event for event in events if event["type"] == "session.updated"]
        assert updated["session"][field] == "some"
