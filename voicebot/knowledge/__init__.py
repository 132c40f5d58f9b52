"""The user's documents, and a chat model that answers with them in view."""

from .index import Library
from .informed import Informed

__all__ = ["Informed", "Library"]
