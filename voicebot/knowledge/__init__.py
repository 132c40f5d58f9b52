"""The user's documents, and a chat model that answers with them in view."""

from .index import Library
from .rag import Informed

__all__ = ["Informed", "Library"]
