"""How the next token of a reply is chosen, by llama.cpp's own samplers.

The library's own loop keeps one sampler on the model; replies that take turns need one each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TOP_K = 40
"""Candidates that top_p chooses among: sorting a whole vocabulary would cost more than it gives."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen."""

    temperature: float
    """0 always takes the likeliest."""
    top_p: float
    grammar: str = ""
    """In GBNF, and valid; empty for none."""
    seed: int = 0
    """The same one draws the same tokens where the model gives the same chances."""
    chances: int | None = None
    """Tell how likely each token was, and of so many others at its place; None tells nothing."""


class Sampler:
    """What one reply is drawn with. It remembers where in the grammar the reply has got to."""

    def __init__(self, vocabulary: Any, sampling: Sampling) -> None:
        import llama_cpp

        self._chain = llama_cpp.llama_sampler_chain_init(
            llama_cpp.llama_sampler_chain_default_params()
        )
        if sampling.grammar:
            self._add(_grammar(vocabulary, sampling.grammar))
        if sampling.temperature <= 0:
            self._add(llama_cpp.llama_sampler_init_greedy())
            return
        self._add(llama_cpp.llama_sampler_init_top_k(TOP_K))
        self._add(llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1))
        self._add(llama_cpp.llama_sampler_init_temp(sampling.temperature))
        # The library takes 32 bits, of which the last value means any.
        self._add(llama_cpp.llama_sampler_init_dist(sampling.seed % llama_cpp.LLAMA_DEFAULT_SEED))

    def choose(self, context: Any) -> int:
        """The token to follow what `context` has computed last."""
        import llama_cpp

        return int(llama_cpp.llama_sampler_sample(self._chain, context, -1))

    def close(self) -> None:
        import llama_cpp

        llama_cpp.llama_sampler_free(self._chain)

    def _add(self, sampler: Any) -> None:
        import llama_cpp

        llama_cpp.llama_sampler_chain_add(self._chain, sampler)


def is_grammar(vocabulary: Any, text: str) -> bool:
    """Whether `text` is GBNF with a rule named root; llama.cpp says on stderr where it is not."""
    import llama_cpp

    if sampler := _grammar(vocabulary, text):
        llama_cpp.llama_sampler_free(sampler)
    return bool(sampler)


def _grammar(vocabulary: Any, text: str) -> Any:
    import llama_cpp

    if "\0" in text:  # where C would see the end of it
        return None
    return llama_cpp.llama_sampler_init_grammar(vocabulary, text.encode(), b"root")
