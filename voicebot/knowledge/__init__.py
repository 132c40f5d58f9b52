"""The user's documents, and a chat model that answers with them in view."""

from .index import DocumentIndex
from .rag import RetrievalChatModel

__all__ = ["DocumentIndex", "RetrievalChatModel"]
