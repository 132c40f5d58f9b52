"""Replies from a GGUF chat model on llama.cpp, in this process.

What was computed for the last prompt is kept, and only what differs from it is computed for the
next: a turn costs its own words, not the conversation's.
"""

from __future__ import annotations

import codecs
import ctypes
import logging
from bisect import bisect_left
from collections.abc import Generator, Sequence
from contextlib import aclosing, closing
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import ConfigError, EngineError, Missing
from ..flow import Stream, Worker
from . import Delta, Message, Tool
from .cores import usable_cores
from .llama_prompt import ChatTemplate
from .prompt import exchanges, without_oldest, without_weakest
from .thoughts import CLOSE, Thoughts
from .tool_calls import Calls
from .tool_grammar import gbnf

if TYPE_CHECKING:
    from llama_cpp.llama_grammar import LlamaGrammar

logger = logging.getLogger(__name__)

SLICE = 256
"""Prompt tokens computed between two looks at whether anybody still waits. A CPU stops within
one, a GPU after one; and what whole slices gave is kept. More would only help a GPU."""
TOP_K = 40
"""Candidates that top_p chooses among: sorting a whole vocabulary would cost more than it gives."""
FORGET = 4
"""Exchanges forgotten at once when the context is full. The prompt then begins with the same
bytes for four turns, and only every fourth computes the whole conversation anew."""


class Llama:
    def __init__(
        self,
        model: str,
        context: int = 4096,
        max_tokens: int = 256,
        temperature: float = 0.7,
        top_p: float = 0.9,
        threads: int = 0,
        gpu_layers: int = -1,
        grammar: str = "",
    ) -> None:
        """The chat model in the GGUF file `model`.

        `context` tokens hold the conversation and the reply, `max_tokens` of them the reply: 256
        are over a minute of speech. `threads` 0 takes all cores for a prompt and leaves one to the
        voice during a reply. `gpu_layers` -1 puts all layers on a GPU where llama.cpp was built
        for one. `grammar`, in GBNF, confines replies.

        Raises:
            Missing: there is no such file.
            ConfigError: it is no GGUF file, or none that can hold a conversation; a number or the
                grammar is wrong.
        """
        _check(Path(model))
        if context < 1:
            raise ConfigError(f"[llm] context is {context}; 4096 tokens hold a long conversation")
        import llama_cpp
        from jinja2 import TemplateError
        from llama_cpp.llama_grammar import LlamaGrammar

        _redirect_log()
        cores = usable_cores()
        try:
            self._llm = llama_cpp.Llama(
                model,
                n_ctx=context,
                n_batch=SLICE,
                # The prompt has the machine for itself; the reply is being spoken while it is
                # made, and a model that shares a core waits for it at every layer: with two busy
                # cores two threads made 2 tokens a second, one made 14.
                n_threads=threads or max(1, cores - 1),
                n_threads_batch=threads or cores,
                n_gpu_layers=gpu_layers,
                verbose=False,
            )
        except (ValueError, RuntimeError) as error:
            raise ConfigError(
                f"[llm] {model} cannot be loaded: damaged, made for a newer llama.cpp, or too "
                f"large for this machine with context = {context}"
            ) from error
        except TemplateError as error:
            raise ConfigError(f"[llm] {model} has a broken chat template: {error}") from error
        self._vocab = llama_cpp.llama_model_get_vocab(self._llm.model)
        self._context = min(context, llama_cpp.llama_model_n_ctx_train(self._llm.model))
        if not 0 < max_tokens < self._context:
            raise ConfigError(
                f"[llm] max_tokens is {max_tokens}; it must be above 0 and leave room for a "
                f"question in the context of {self._context}"
            )
        if grammar and not self._valid(grammar):  # llama.cpp has said on stderr where it goes wrong
            raise ConfigError("[llm] grammar is no valid GBNF with a rule named root")
        self._max_tokens = max_tokens
        self._sampling: dict[str, Any] = {
            "temp": temperature,
            "top_p": top_p,
            "top_k": TOP_K,
            "min_p": 0.0,
            "grammar": LlamaGrammar.from_string(grammar, verbose=False) if grammar else None,
        }
        self._template = ChatTemplate(self._llm)
        if not self._template.has_template:
            logger.warning("%s has no chat template: it continues texts, it does not answer", model)
        self._worker = Worker("llama")
        # llama.cpp keeps only the pointer.
        self._abort = llama_cpp.ggml_abort_callback(lambda _: self._worker.abandoned)
        llama_cpp.llama_set_abort_callback(self._llm.ctx, self._abort, ctypes.c_void_p(None))

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        tools: Sequence[Tool] = (),
        must_call: bool = False,
    ) -> Stream[Delta]:
        asked = {"temp": temperature, "top_p": top_p}
        sampling = self._sampling | {k: v for k, v in asked.items() if v is not None}
        # No more than the settings allow: that much room is kept free for a reply.
        limit = min(max_tokens or self._max_tokens, self._max_tokens)
        work = self._worker.stream(self._reply, list(messages), tools, must_call, limit, sampling)
        async with aclosing(work) as deltas:
            async for delta in deltas:
                yield delta

    def close(self) -> None:
        self._worker.close()

    def _reply(
        self,
        messages: list[Message],
        tools: Sequence[Tool],
        must_call: bool,
        limit: int,
        sampling: dict[str, Any],
    ) -> Generator[Delta]:
        if tools and must_call:
            sampling["grammar"] = self._calling(tools)
        try:
            yield from self._deltas(messages, tools, limit, sampling)
        except (RuntimeError, ValueError) as error:
            if not self._worker.abandoned:  # else it is only our own abort
                raise EngineError("llm", f"llama.cpp failed: {error}") from error
        if self._worker.abandoned:
            logger.debug("stopped early, with %d tokens computed", self._llm.n_tokens)

    def _deltas(
        self, messages: list[Message], tools: Sequence[Tool], limit: int, sampling: dict[str, Any]
    ) -> Generator[Delta]:
        import llama_cpp

        ids = self._fitting(messages, tools)
        kept = self._rewound(ids)
        logger.debug("prompt of %d tokens, %d of them kept from before", len(ids), kept)
        for start in range(kept, len(ids), SLICE):
            if self._worker.abandoned:
                return
            self._llm.eval(ids[start : start + SLICE])
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        thoughts = Thoughts(self._template.thinking)
        calls = Calls(tool.name for tool in tools)
        said, written = False, 0
        finish: Literal["stop", "length", "tool_calls"] = "length"
        with closing(self._llm.generate(ids, **sampling)) as tokens:
            for token in islice(tokens, limit):
                if self._worker.abandoned:  # it may be thinking, and then nothing is yielded
                    return
                if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                    finish = "stop"
                    break
                written += 1
                if text := thoughts.without(decoder.decode(self._bytes(token))):
                    said = True
                    yield from calls.deltas(text)
                if calls.over:
                    finish = "stop"
                    break
        rest = thoughts.without(decoder.decode(b"", final=True)) + thoughts.rest()
        if thoughts.thinking and not said:
            raise EngineError("llm", f"thought for max_tokens = {limit} and said nothing; raise it")
        yield from calls.deltas(rest)
        yield from calls.rest()
        if calls.called:
            finish = "tool_calls"
        yield Delta(finish=finish, tokens=(len(ids), written))

    def _fitting(self, messages: list[Message], tools: Sequence[Tool]) -> list[int]:
        """The prompt, less the oldest exchanges, then the weakest passages, if it is too long."""
        room: int = self._context - self._max_tokens

        def ids(kept: Sequence[Message]) -> list[int]:
            return self._template.ids(kept, tools)

        def fits(count: int) -> bool:
            return len(ids(without_oldest(messages, count))) <= room

        if len(prompt := ids(messages)) <= room:
            return prompt
        most = exchanges(messages)
        cuts = [*range(FORGET, most, FORGET), most]
        cut = cuts[min(bisect_left(cuts, True, key=fits), len(cuts) - 1)]
        logger.info("the context is full: %d exchanges are forgotten", cut)
        messages = without_oldest(messages, cut)
        while len(prompt := ids(messages)) > room and (fewer := without_weakest(messages)):
            messages = fewer
        if len(prompt) > room:
            raise EngineError(
                "llm",
                f"the question takes {len(prompt)} tokens with its instructions, and there is "
                f"room for {room} (context {self._context} less max_tokens {self._max_tokens})",
            )
        return prompt

    def _rewound(self, ids: list[int]) -> int:
        """Forget what was computed from where `ids` differ; how many of them are still known."""
        import llama_cpp

        # The last one is computed again in any case: the reply begins with what follows from it.
        same = min(self._llm.n_tokens, len(ids) - 1)
        differ = np.flatnonzero(self._llm.input_ids[:same] != ids[:same])
        kept = int(differ[0]) if len(differ) else same
        memory = llama_cpp.llama_get_memory(self._llm.ctx)
        if not llama_cpp.llama_memory_seq_rm(memory, -1, kept, -1):
            kept = 0  # recurrent models cannot go back
            llama_cpp.llama_memory_clear(memory, True)
        self._llm.n_tokens = kept
        return kept

    def _bytes(self, token: int) -> bytes:
        """A token's text, often part of a character only; control tokens have none."""
        import llama_cpp

        shown = token in self._template.shown_ids
        for size in (64, 4096):
            buffer = ctypes.create_string_buffer(size)
            length = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, size, 0, shown)
            if length >= 0:
                break
        return buffer.raw[: max(0, length)]

    def _calling(self, tools: Sequence[Tool]) -> LlamaGrammar:
        """A grammar of nothing but one call to one of the tools."""
        from llama_cpp.llama_grammar import LlamaGrammar

        opening = f"{CLOSE}\n\n" if self._template.thinking else ""
        text = gbnf(tools, self._template.layout, self._valid, opening)
        return LlamaGrammar.from_string(text, verbose=False)

    def _valid(self, grammar: str) -> bool:
        import llama_cpp

        sampler = llama_cpp.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
        if sampler:
            llama_cpp.llama_sampler_free(sampler)
        return bool(sampler)


def _check(file: Path) -> None:
    """Look at the file before llama.cpp does, which says a page about it on stderr."""
    if not file.exists():
        raise Missing(f"[llm] no model at {file}; `voicebot models pull` gets one")
    try:
        with file.open("rb") as head:
            magic = head.read(4)
    except OSError as error:
        raise ConfigError(f"[llm] {file} cannot be read: {error.strerror}") from error
    if magic != b"GGUF":
        raise ConfigError(f"[llm] {file} is no GGUF file, the only format llama.cpp reads")


@cache
def _redirect_log() -> Any:
    """Send what llama.cpp says to our log. Once, and the callback has to outlive every model."""
    import llama_cpp

    def say(level: int, text: bytes, _: Any) -> None:
        logger.debug("%s", text.decode(errors="replace").rstrip())

    callback = llama_cpp.llama_log_callback(say)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return callback
