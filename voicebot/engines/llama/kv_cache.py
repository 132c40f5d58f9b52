"""What llama.cpp has computed for each of several conversations that take turns on one context.

A context holds one conversation. When another takes it over, a copy of what was computed is put
aside, and copied back when the first goes on: that takes milliseconds, computing it seconds.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..cpu import usable_memory

if TYPE_CHECKING:
    from llama_cpp import Llama

CONTEXTS = 4
"""As many full contexts may be put aside, the least recently used of which go first. More remembers
more conversations: a thousand tokens take 12 MB of a model with half a billion parameters, 130 of
one with 8."""
LEAST = 256 * 2**20
"""Bytes of copies that there is room for in any case."""
SHARE = 8
"""No more is put aside than the machine's memory divided by this."""
WORTH = 4
"""Tokens that are computed about as fast as a copy is looked after: 400 tokens of SmolLM2-135M are
put aside and another 400 taken up in 8 ms, while it computes one in 13."""

_SEQUENCE = 0  # the only one there is

Tokens = npt.NDArray[np.intc]


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    tokens: Tokens
    data: npt.NDArray[np.uint8]


class KVCache:
    """Use it in the one thread that uses the model."""

    def __init__(self, llm: Llama, room: int | None = None) -> None:
        """room: bytes of copies."""
        self._llm, self._room = llm, _room(llm) if room is None else room
        self._stored: list[_State] = []  # the least recently used first

    def recall(self, ids: Sequence[int], *, keep: bool) -> int:
        """Make the context hold as much of `ids` as is known, and nothing else; how many tokens.

        keep: what it holds besides may be asked for again.
        """
        wanted = np.array(ids, np.intc)
        live = self._llm.input_ids[: self._llm.n_tokens]
        known = _common(live, wanted)
        best = max(self._stored, key=lambda state: _common(state.tokens, wanted), default=None)
        if keep and len(live) - known >= WORTH:
            self._store(live.copy())
        if best and (more := _common(best.tokens, wanted)) - known >= WORTH:
            known = more if self._load(best, more) else 0
        return self._forget_after(known)

    def _store(self, tokens: Tokens) -> None:
        import llama_cpp

        size = llama_cpp.llama_state_seq_get_size(self._llm.ctx, _SEQUENCE)
        if size > self._room:
            return
        data = np.empty(size, np.uint8)
        llama_cpp.llama_state_seq_get_data(self._llm.ctx, _bytes(data), size, _SEQUENCE)
        # What the new one continues would only be in the way of others.
        self._stored = [s for s in self._stored if not _is_most(s.tokens, tokens)]
        self._stored.append(_State(tokens, data))
        while sum(state.data.nbytes for state in self._stored) > self._room:
            del self._stored[0]

    def _load(self, state: _State, used: int) -> bool:
        """Copy it back; if most of it is `used`, it goes on in the context and not here."""
        import llama_cpp

        self._stored = [other for other in self._stored if other is not state]
        if len(state.tokens) - used >= WORTH:
            self._stored.append(state)
        size = state.data.nbytes
        data = _bytes(state.data)
        self._llm.input_ids[: len(state.tokens)] = state.tokens
        return bool(llama_cpp.llama_state_seq_set_data(self._llm.ctx, data, size, _SEQUENCE))

    def _forget_after(self, known: int) -> int:
        import llama_cpp

        memory = llama_cpp.llama_get_memory(self._llm.ctx)
        if not known or not llama_cpp.llama_memory_seq_rm(memory, -1, known, -1):
            known = 0  # recurrent models cannot go back
            llama_cpp.llama_memory_clear(memory, True)
        self._llm.n_tokens = known
        return known


def _room(llm: Llama) -> int:
    wished = max(LEAST, CONTEXTS * llm.n_ctx() * token_bytes(llm))
    return min(wished, usable_memory() // SHARE)


def token_bytes(llm: Llama) -> int:
    """What a copy takes for each token, about: keys and values in two bytes each.

    Nothing for models that keep one state however long the conversation is.
    """
    import llama_cpp

    model = llm.model
    width: int = llama_cpp.llama_model_n_embd(model) // max(1, llama_cpp.llama_model_n_head(model))
    heads: int = llama_cpp.llama_model_n_head_kv(model)
    layers: int = llama_cpp.llama_model_n_layer(model)
    return 4 * layers * heads * width


def _common(one: Tokens, other: Tokens) -> int:
    """With how many tokens both begin."""
    length = min(len(one), len(other))
    differ = np.flatnonzero(one[:length] != other[:length])
    return int(differ[0]) if len(differ) else length


def _is_most(one: Tokens, other: Tokens) -> bool:
    """Whether `other` begins with nearly all of `one`."""
    return len(one) - _common(one, other) < WORTH


def _bytes(data: npt.NDArray[np.uint8]) -> Any:
    return data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
