"""One conversation, from microphone to speaker. Read `conversation.py` first."""

from .conversation import Conversation
from .listen import ListenSettings
from .turn import Speaker, Turn

__all__ = ["Conversation", "ListenSettings", "Speaker", "Turn"]
