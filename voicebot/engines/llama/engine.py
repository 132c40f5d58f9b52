"""Replies from a GGUF chat model on llama.cpp, in this process.

What was computed for a conversation is kept, and only what differs from it is computed for its
next prompt: a turn costs its own words, not the conversation's. Replies take turns token by token.
"""

from __future__ import annotations

import codecs
import ctypes
import logging
import math
import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...concurrency.worker import Stream, Worker
from ...errors import ConfigError, EngineError, MissingDependency
from .. import Chance, Delta, Message, Tool
from ..call_options import OptionError, new_seed
from ..chat.prompt import Prompt, fitting
from ..chat.reasoning import CLOSE, ReasoningFilter
from ..chat.tool_calls import ToolCallParser
from ..cpu import has_unsafe_tiles, usable_cores
from .grammar import gbnf, gbnf_of_json
from .kv_cache import KVCache
from .sampling import Sampler, Sampling, is_grammar
from .template import ChatTemplate

if TYPE_CHECKING:
    import llama_cpp

logger = logging.getLogger(__name__)

SLICE = 256
"""Prompt tokens computed between two looks at whether anybody still waits, or another reply is due
sooner. A CPU stops within one, a GPU after one; and what whole slices gave is kept. More would
only help a GPU."""


COUNTS = 16
"""Tokens computed at once whose time tells what one takes: fewer are mostly overhead."""

_complaints: deque[str] = deque(maxlen=20)
"""What llama.cpp said last about what it could not do."""
_ERROR = 4  # of ggml's levels
_loading = Lock()
"""Held while a model is loaded: the library's defaults are for one at a time."""


@dataclass(slots=True, eq=False)
class _Reading:
    """What the model reads for one reply."""

    said: list[str]
    """What that replies to."""
    computed: int = 0
    """Tokens of it that were in the context when the reply had it last."""


class Llama:
    """A chat model in a GGUF file, on llama.cpp in this process."""

    tells_passages = True

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
        are over a minute of speech. `threads` 0 takes all cores; where they could
        only wait by spinning, it leaves one to the voice during a reply. `gpu_layers` -1 puts all
        layers on a GPU where llama.cpp was built for one. `grammar`, in GBNF, confines replies.

        Raises:
            MissingDependency: there is no such file.
            ConfigError: it is no GGUF file, or none that can hold a conversation; a number or the
                grammar is wrong.
        """
        _check(Path(model))
        if context < 1:
            raise ConfigError(f"[llm] context is {context}; 4096 tokens hold a long conversation")
        import llama_cpp
        from jinja2 import TemplateError

        _redirect_log()
        _complaints.clear()
        cores = usable_cores()
        try:
            with _default_buffers(not has_unsafe_tiles()):
                self._llm = llama_cpp.Llama(
                    model,
                    n_ctx=context,
                    n_batch=SLICE,
                    n_threads=threads or _reply_threads(cores),
                    n_threads_batch=threads or cores,
                    n_gpu_layers=gpu_layers,
                    verbose=False,
                )
        except (ValueError, RuntimeError) as error:
            raise ConfigError(f"[llm] {model} {_refusal(context)}") from error
        except TemplateError as error:
            raise ConfigError(f"[llm] {model} has a broken chat template: {error}") from error
        if wrong := _unfit(self._llm):
            raise ConfigError(f"[llm] {model} {wrong}; `voicebot models list` shows chat models")
        self._vocab = llama_cpp.llama_model_get_vocab(self._llm.model)
        self._context = min(context, llama_cpp.llama_model_n_ctx_train(self._llm.model))
        if not 0 < max_tokens < self._context:
            raise ConfigError(
                f"[llm] max_tokens is {max_tokens}; it must be above 0 and leave room for a "
                f"question in the context of {self._context}"
            )
        if grammar and not is_grammar(self._vocab, grammar):
            raise ConfigError("[llm] grammar is no valid GBNF with a rule named root")
        self._max_tokens = max_tokens
        self._sampling = Sampling(temperature, top_p, grammar)
        self._template = ChatTemplate(self._llm)
        if not self._template.has_template:
            logger.warning("%s has no chat template: it continues texts, it does not answer", model)
        self._states = KVCache(self._llm)
        self._token_s = 0.0
        """Seconds that a token of a prompt took last."""
        self._holder: _Reading | None = None
        """The reply that the context was last computed for."""
        self._said: list[str] = []
        """What that replies to."""
        self.worker = Worker("llama", parks=True)
        # llama.cpp keeps only the pointer.
        self._abort = llama_cpp.ggml_abort_callback(lambda _: self.worker.abandoned)
        llama_cpp.llama_set_abort_callback(self._llm.ctx, self._abort, ctypes.c_void_p(None))

    async def reply(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        tools: Sequence[Tool] = (),
        must_call: bool = False,
        whole: bool = False,
        schema: Mapping[str, Any] | None = None,
        chances: int | None = None,
    ) -> Stream[Delta]:
        usual = self._sampling
        sampling = Sampling(
            usual.temperature if temperature is None else temperature,
            usual.top_p if top_p is None else top_p,
            usual.grammar,
            new_seed() if seed is None else seed,
            chances,
        )
        told = sampling.seed if sampling.temperature > 0 else None
        # No more than the settings allow: that much room is kept free for a reply.
        limit = min(max_tokens or self._max_tokens, self._max_tokens)
        work = self.worker.stream(
            self._reply, list(messages), tools, must_call, whole, limit, sampling, schema
        )
        async with aclosing(work) as deltas:
            async for delta in deltas:
                yield replace(delta, seed=told)
                told = None

    def close(self) -> None:
        self.worker.close()

    def _reply(
        self,
        messages: list[Message],
        tools: Sequence[Tool],
        must_call: bool,
        whole: bool,
        limit: int,
        sampling: Sampling,
        schema: Mapping[str, Any] | None,
    ) -> Generator[Delta | None]:
        if tools and must_call:
            sampling = replace(sampling, grammar=self._calling(tools))
        elif schema is not None:
            sampling = replace(sampling, grammar=self._following(schema, tools))
        try:
            yield from self._deltas(messages, tools, whole, limit, sampling)
        except (RuntimeError, ValueError) as error:
            if not self.worker.abandoned:  # else it is only our own abort
                raise EngineError("llm", f"llama.cpp failed: {error}") from error
            logger.debug("stopped early, with %d tokens computed", self._llm.n_tokens)

    def _deltas(
        self,
        messages: list[Message],
        tools: Sequence[Tool],
        whole: bool,
        limit: int,
        sampling: Sampling,
    ) -> Generator[Delta | None]:
        import llama_cpp

        prompt = self._prompt(messages, tools, limit, whole)
        if prompt.passages or prompt.forgotten:
            yield Delta(passages=prompt.passages, forgotten=prompt.forgotten)
        ids = prompt.ids
        read, written = len(ids), 0
        kept: int | None = None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        thoughts = ReasoningFilter(self._template.thinking)
        calls = ToolCallParser(tool.name for tool in tools)
        said = False
        pending_events: list[Chance] = []
        finish: Literal["stop", "length", "tool_calls"] = "length"
        compute = partial(self._compute, _Reading([message.text for message in messages]))
        with closing(Sampler(self._vocab, sampling)) as sampler:
            while written < limit:
                known = yield from compute(ids)
                kept = known if kept is None else kept
                token = sampler.choose(self._llm.ctx)
                if llama_cpp.llama_vocab_is_eog(self._vocab, token):
                    finish = "stop"
                    break
                written += 1
                if sampling.chances is not None and not thoughts.thinking:
                    pending_events.append(self._chance(token, sampling.chances))
                ids.append(token)
                if text := thoughts.without(decoder.decode(self._bytes(token))):
                    said = True
                    for delta in calls.deltas(text):
                        likely = tuple(pending_events)
                        pending_events.clear()
                        yield replace(delta, tokens=(read, written), kept=kept, chances=likely)
                if calls.over:
                    finish = "stop"
                    break
                yield None  # it may be thinking, and then nothing else is yielded
        rest = thoughts.without(decoder.decode(b"", final=True))
        rest += thoughts.rest(cut=finish == "length")
        if thoughts.thinking and not (said or rest):
            logger.warning("the model gave nothing but thoughts (max_tokens = %d)", limit)
        yield from calls.deltas(rest)
        yield from calls.rest()
        if calls.called:
            finish = "tool_calls"
        yield Delta(finish=finish, tokens=(read, written), kept=kept, chances=tuple(pending_events))

    def _prompt(
        self, messages: list[Message], tools: Sequence[Tool], limit: int, whole: bool
    ) -> Prompt:
        prompt = fitting(
            messages,
            lambda kept: self._template.ids(kept, tools, self._context - limit),
            self._context,
            limit,
            whole=whole,
        )
        if prompt.forgotten:
            logger.info("the context is full: %d exchanges are forgotten", prompt.forgotten)
        return prompt

    def _compute(self, reply: _Reading, ids: list[int]) -> Generator[None, None, int | None]:
        """Let the model read `ids`, a slice at a time. Other replies may be made in between.

        Returns how many of them it knew, if it had to look.
        """
        before: int | None = None
        while self._holder is not reply or self._llm.n_tokens < len(ids):
            if self._holder is not reply:
                known = self._take_over(reply, ids)
                before = known if before is None else before
            start = self._llm.n_tokens
            began = time.perf_counter()
            self._llm.eval(ids[start : start + SLICE])
            reply.computed = self._llm.n_tokens
            if (count := reply.computed - start) >= COUNTS:
                self._token_s = (time.perf_counter() - began) / count
            if reply.computed < len(ids):
                yield None
        return before

    def _take_over(self, reply: _Reading, ids: list[int]) -> int:
        """Make the context this reply's; how many of `ids` it holds then."""
        began = time.perf_counter()
        # A conversation that goes on leaves behind what it will never ask for again.
        goes_on = reply.said[: len(self._said)] == self._said
        # The last token is computed in any case: the next follows from it.
        known = self._states.recall(ids[:-1], keep=not goes_on)
        self._holder, self._said = reply, reply.said
        if reply.computed:
            again = max(0, reply.computed - known) * self._token_s
            self.worker.switch_s = time.perf_counter() - began + again
        logger.debug("prompt of %d tokens, %d of them kept from before", len(ids), known)
        return known

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

    def _chance(self, token: int, most: int) -> Chance:
        """How likely the model held the token that it has just been made to say."""
        import llama_cpp

        logits = np.ctypeslib.as_array(
            llama_cpp.llama_get_logits_ith(self._llm.ctx, -1), (self._llm.n_vocab(),)
        )
        largest = float(logits.max())
        total = largest + math.log(float(np.exp(logits - largest).sum()))
        best = np.argpartition(logits, -most)[-most:] if most else logits[:0].astype(int)
        others = sorted(((float(logits[i]), int(i)) for i in best), reverse=True)
        return Chance(
            self._bytes(token),
            float(logits[token]) - total,
            tuple((self._bytes(i), logit - total) for logit, i in others),
        )

    def _following(self, schema: Mapping[str, Any], tools: Sequence[Tool]) -> str:
        """A grammar of JSON that follows the schema, or of a call to one of the tools.

        Raises:
            OptionError: no grammar can be made of it.
        """
        calls = self._calling(tools) if tools else ""
        opening = f"{CLOSE}\n\n" if self._template.thinking else ""
        grammar = gbnf_of_json(schema, partial(is_grammar, self._vocab), opening, calls)
        if grammar is None:
            raise OptionError("schema", "llama.cpp can make no grammar of this JSON Schema")
        return grammar

    def _calling(self, tools: Sequence[Tool]) -> str:
        """A grammar of nothing but one call to one of the tools.

        Raises:
            EngineError: no grammar can be made of their names.
        """
        opening = f"{CLOSE}\n\n" if self._template.thinking else ""
        valid = partial(is_grammar, self._vocab)
        grammar = gbnf(tools, self._template.layout, valid, opening)
        if not valid(grammar):
            raise EngineError("llm", "llama.cpp can make no grammar of these functions' names")
        return grammar


def _check(file: Path) -> None:
    """Look at the file before llama.cpp does, which says a page about it on stderr."""
    if not file.exists():
        raise MissingDependency(f"[llm] no model at {file}; `voicebot models pull` gets one")
    try:
        with file.open("rb") as head:
            magic = head.read(4)
    except OSError as error:
        raise ConfigError(f"[llm] {file} cannot be read: {error.strerror}") from error
    if magic != b"GGUF":
        raise ConfigError(f"[llm] {file} is no GGUF file, the only format llama.cpp reads")


def _refusal(context: int) -> str:
    """Why the library has loaded no model, in its words, and the way out."""
    marks = "error loading model: ", "failed to load model: "
    found = [said.partition(mark)[2] for said in _complaints for mark in marks if mark in said]
    reason = found[0] if found else "llama.cpp gives no reason"
    if reason.startswith("llama_model_loader"):  # which only says that it failed
        reason = "its beginning cannot be read"
    if "architecture" in reason:
        way = "a newer llama-cpp-python may know it, or take another model"
    elif found:
        way = "the file is damaged or incomplete, or was made for another llama.cpp: get it again"
    else:
        way = f"it may be too large for this machine with context = {context}"
    return f"cannot be loaded: {reason}; {way}"


def _unfit(llm: llama_cpp.Llama) -> str:
    """Why a model writes no text, if it does not: the library would abort the process."""
    import llama_cpp

    vocabulary = llama_cpp.llama_model_get_vocab(llm.model)
    kind = llm.metadata.get("general.architecture", "")
    if llama_cpp.llama_vocab_type(vocabulary) == llama_cpp.LLAMA_VOCAB_TYPE_NONE:
        return "has no vocabulary, so it cannot write"
    if llm.metadata.get(f"{kind}.pooling_type", "0") != "0":
        return "makes embeddings, so it cannot write"
    if llama_cpp.llama_model_has_encoder(llm.model):
        return f"is an encoder ({kind}), which takes no part in a conversation"
    return ""


def _reply_threads(cores: int) -> int:
    """Threads to write a reply with, while which it is being spoken and others are listened to.

    Threads that sleep while they wait may be as many as there are cores: beside a recogniser and a
    voice two wrote 20 tokens a second and one wrote 9. Of threads that spin one is left out, or
    they wait at every layer for the one without a core: two wrote 1 a second.
    """
    import llama_cpp

    is_openmp = b"OPENMP = 1" in llama_cpp.llama_print_system_info()
    sleeps = is_openmp and os.environ.get("OMP_WAIT_POLICY", "").lower() == "passive"
    return cores if sleeps else max(1, cores - 1)


@contextmanager
def _default_buffers(extra: bool) -> Iterator[None]:
    """What a model loaded meanwhile may keep its weights in. The library has no setting for it.

    extra: weights may be laid out anew for this processor's AMX tiles and wide registers. In Q4_0
        that reads 386 prompt tokens a second instead of 308, so it is given up only where the
        tiles would end the process.
    """
    from llama_cpp import llama_cpp as library

    usual = library.llama_model_default_params

    def chosen() -> Any:
        params = usual()
        params.use_extra_bufts = extra
        return params

    with _loading:
        library.llama_model_default_params = chosen
        try:
            yield
        finally:
            library.llama_model_default_params = usual


@cache
def _redirect_log() -> Any:
    """Send what llama.cpp says to our log. Once, and the callback has to outlive every model."""
    import llama_cpp

    def say(level: int, text: bytes, _: Any) -> None:
        said = text.decode(errors="replace").rstrip()
        if level == _ERROR:
            _complaints.append(said)
        logger.debug("%s", said)

    callback = llama_cpp.llama_log_callback(say)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    return callback
