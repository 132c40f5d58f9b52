"""Keeps back what a reasoning model thinks, so that only its answer is spoken.

Most models write <think> ... </think> before the answer. Where the chat template has opened the
thought already, the reply begins in the middle of it and only the closing tag is seen: what stands
before it is a thought too. No tag tells that in time, so text is held back where a reply begins as
such thoughts do ("Okay, the user asks"), and where the model is known to begin in one.
"""

from __future__ import annotations

import re

OPEN, CLOSE = "<think>", "</think>"

_NAMES = ("think", "thinking", "thought", "reasoning")
_TAG = re.compile(rf"<\s*(/?)\s*(?:{'|'.join(_NAMES)})\s*>|\[(/?)THINK\]", re.IGNORECASE)
# gpt-oss: its thoughts and its answer are two channels of one reply.
CHANNELS = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>")
_ANALYSIS, _FINAL = "<|channel|>analysis<|message|>", "<|channel|>final<|message|>"
_BETWEEN = ("<|end|>", "<|return|>", "<|start|>assistant")
_LITERALS = (_ANALYSIS, _FINAL, *_BETWEEN)
_MARK = re.compile(f"{_TAG.pattern}|{'|'.join(map(re.escape, _LITERALS))}", re.IGNORECASE)
_PARTIAL = re.compile(r"<\s*/?\s*([a-z]*)\s*$", re.IGNORECASE)

_FILLER = ("okay", "ok", "alright", "hmm", "hm", "so", "well", "right", "now", "first")
_FILLERS = re.compile(rf"\s*(?:(?:{'|'.join(_FILLER)})\b[\s,.…!-]*)*", re.IGNORECASE)
_USER_DOES = (
    "ask", "is ask", "is say", "is greet", "is just", "is want", "just ", "wants", "want ", "said",
    "says", "has ask", "has said", "seems", "mention", "greet", "sent", "'s question",
    "'s message", "'s request", "needs me",
)  # fmt: skip
_ALOUD = (
    *(f"the user{does}" if does[0] == "'" else f"the user {does}" for does in _USER_DOES),
    "user asks", "user asked", "user wants", "user says",
    "i need to figure", "i need to think", "i need to answer", "i need to respond",
    "i need to recall", "i should answer", "i should respond", "let me think", "let's think",
    "we need to answer", "we need to respond", "we are asked",
)  # fmt: skip
"""How a model begins that thinks aloud; nobody who is spoken to is called the user."""


class ReasoningFilter:
    """Takes a reply piece by piece, and gives back what may be spoken of it so far.

    thinking: the reply begins in the middle of a thought.
    perhaps: it may. Then nothing is given before the thought is closed or the reply is over.
    """

    def __init__(self, thinking: bool = False, perhaps: bool = False) -> None:
        self.thinking = thinking
        """The model is in the middle of a thought."""
        self.began_inside = False
        """A thought was closed that was never opened: the next reply will begin in one too."""
        self._perhaps = perhaps
        self._opened, self._closed = int(thinking), 0
        self._held = ""
        self._silent = True
        """Nothing has been given yet."""

    def without(self, text: str) -> str:
        """The spoken part of what is certain after `text`; a tag may come in several pieces.

        White space before the first word is dropped with the thought it follows.
        """
        self._held += text
        spoken = ""
        while mark := _MARK.search(self._held):
            before, self._held = self._held[: mark.start()], self._held[mark.end() :]
            kind = _kind(mark)
            if kind in ("close", "final"):
                self._close(lone=kind == "close" and not self._opened)
            elif kind == "between":
                self._held = ("" if self.thinking else before) + self._held
            else:
                if not self.thinking:
                    spoken += self._shown(before)
                self._opened += 1
                self.thinking, self._perhaps = True, False
        if self.thinking:
            self._held = self._held[len(self._held) - _begun(self._held) :]
        elif not (self._perhaps or self._is_aloud()):
            end = len(self._held) - _begun(self._held)
            certain, self._held = self._held[:end], self._held[end:]
            spoken += self._shown(certain)
        return spoken

    def rest(self, *, cut: bool = False) -> str:
        """What was held back, now that no more will come: nothing, if it is a thought.

        cut: the reply ran into its limit, so a thought that is not closed yet may be one.
        """
        held, self._held = self._held, ""
        if self.thinking:
            return ""
        if cut and not self._closed and self._silent and (self._perhaps or _aloud(held) == "yes"):
            self.thinking = True
            return ""
        return self._shown(held)

    def _close(self, lone: bool) -> None:
        """What was held is a thought, whether or not one was opened."""
        self.began_inside = self.began_inside or lone
        self._closed += 1
        # One that was opened inside another may be mentioned only, and never closed itself.
        self._perhaps = self._opened > self._closed
        self.thinking = False

    def _is_aloud(self) -> bool:
        return self._silent and not self._closed and _aloud(self._held) != "no"

    def _shown(self, text: str) -> str:
        if self._silent:
            text = text.lstrip()
        self._silent = self._silent and not text
        return text


def begun(text: str, *tags: str) -> int:
    """How many characters at the end of `text` may become one of `tags`."""
    return max(i for tag in tags for i in range(len(tag)) if text.endswith(tag[:i]))


def _begun(text: str) -> int:
    """How many characters at the end of `text` may become a mark."""
    literal = begun(text, *_LITERALS, "[THINK]", "[/THINK]")
    partial = _PARTIAL.search(text)
    if partial and any(name.startswith(partial[1].lower()) for name in _NAMES):
        return max(literal, len(partial[0]))
    return literal


def _kind(mark: re.Match[str]) -> str:
    text = mark[0].lower()
    if text in (_ANALYSIS, _FINAL):
        return "open" if text == _ANALYSIS else "final"
    if text in _BETWEEN:
        return "between"
    return "close" if mark[1] or mark[2] else "open"


def _aloud(text: str) -> str:
    """Whether a reply that begins so thinks aloud: "yes", "no", or "perhaps" while it is short."""
    begins = text[_end_of_fillers(text) :].lower().replace("’", "'")
    if begins.startswith(_ALOUD):
        return "yes"
    return "perhaps" if text and any(p.startswith(begins) for p in (*_ALOUD, *_FILLER)) else "no"


def _end_of_fillers(text: str) -> int:
    fillers = _FILLERS.match(text)
    return fillers.end() if fillers else 0
