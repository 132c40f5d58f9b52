"""One conversation, from microphone to speaker. Read `conversation.py` first."""

from .conversation import Conversation, Speaker
from .listen import ListenSettings

__all__ = ["Conversation", "ListenSettings", "Speaker"]
