"""What is written, as it is said: one normaliser in front of every voice.

`readings` gives one `Reading` for each written word, so that what was heard can be told in the
words that were written.
"""

from __future__ import annotations

from .language import guessed
from .reading import Reading, is_ready, readings

__all__ = ["Reading", "guessed", "is_ready", "readings"]
