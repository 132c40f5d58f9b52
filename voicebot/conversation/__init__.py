"""One conversation, from microphone to speaker. Read `conversation.py` first."""

from .conversation import Conversation
from .endpointing import ListenSettings
from .inputs import Hush, Typed
from .turn import Speaker, Turn

__all__ = ["Conversation", "Hush", "ListenSettings", "Speaker", "Turn", "Typed"]
