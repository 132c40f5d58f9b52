"""One conversation, from microphone to speaker. Read `conversation.py` first."""

from .conversation import Conversation
from .inputs import Hush, Typed
from .listen import ListenSettings
from .turn import Speaker, Turn

__all__ = ["Conversation", "Hush", "ListenSettings", "Speaker", "Turn", "Typed"]
