"""Keeps back what a reasoning model thinks, so that only its answer is spoken."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class Thoughts:
    """Takes a reply piece by piece, and gives back what may be spoken of it so far."""

    def __init__(self, thinking: bool = False) -> None:
        self.thinking = thinking
        """The model is in the middle of a thought."""
        self._held = ""
        self._silent = True

    def without(self, text: str) -> str:
        """The spoken part of what is certain after `text`; a tag may come in several pieces.

        White space before the first word is dropped with the thought it follows.
        """
        self._held += text
        spoken = ""
        while True:
            tag = CLOSE if self.thinking else OPEN
            before, found, after = self._held.partition(tag)
            if not found:
                break
            spoken += "" if self.thinking else before
            self._held, self.thinking = after, not self.thinking
        end = len(self._held) - begun(self._held, tag)
        certain, self._held = self._held[:end], self._held[end:]
        return self._shown(spoken if self.thinking else spoken + certain)

    def rest(self) -> str:
        """What was held back in case it became a tag, now that no more will come."""
        held, self._held = self._held, ""
        return "" if self.thinking else self._shown(held)

    def _shown(self, text: str) -> str:
        if self._silent:
            text = text.lstrip()
        self._silent = self._silent and not text
        return text


def begun(text: str, *tags: str) -> int:
    """How many characters at the end of `text` may become one of `tags`."""
    return max(i for tag in tags for i in range(len(tag)) if text.endswith(tag[:i]))
