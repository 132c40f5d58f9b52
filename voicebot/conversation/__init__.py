"""One conversation, from microphone to speaker. Read `conversation.py` first."""

from .conversation import Conversation
from .endpointing import EndpointingSettings
from .inputs import StopReply, Typed
from .turn import Speaker, Turn

__all__ = ["Conversation", "EndpointingSettings", "Speaker", "StopReply", "Turn", "Typed"]
