"""A conversation as the token ids of a GGUF model, in which control tokens are the model's own.

The model's chat template is rendered around placeholders, and the texts take their places only
when the template's control tokens have been recognised. Whatever a user says or a document holds
is therefore text to the model: `<|im_end|>` in it is nine characters, not the end of a turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError, EngineError
from .prompt import Turn
from .thoughts import CLOSE, OPEN

if TYPE_CHECKING:
    import llama_cpp

# A model without a template was not taught to converse: it goes on from the bare text.
PLAIN = "{% for message in messages %}{{ message.content }}\n{% endfor %}"

# Private-use characters survive what templates do to a text: trimming, testing, joining.
_PLACE = re.compile("\ue000(\\d+)\ue001")
_PROBE: list[Turn] = [("system", "a"), ("user", "b"), ("assistant", "c"), ("user", "d")]


class ChatTemplate:
    """Turns a conversation into a prompt's token ids.

    Raises:
        ConfigError: the model's template loses or changes what it is given.
    """

    def __init__(self, llm: llama_cpp.Llama) -> None:
        import llama_cpp
        from llama_cpp.llama_chat_format import Jinja2ChatFormatter

        self._llm = llm
        self._vocab = llama_cpp.llama_model_get_vocab(llm.model)
        self._bos = llm.token_bos() if llama_cpp.llama_vocab_get_add_bos(self._vocab) else -1
        control = llama_cpp.LLAMA_TOKEN_ATTR_CONTROL | llama_cpp.LLAMA_TOKEN_ATTR_UNKNOWN
        self._control = self._tokens_with(control)
        """Ids of the tokens no text may ever become, by what they look like."""
        self._control_pattern = _any_of(self._control)
        # Part of the text for llama.cpp, and so recognised in any; some models mark turns with
        # them all the same.
        self._markup_pattern = _any_of(self._tokens_with(llama_cpp.LLAMA_TOKEN_ATTR_USER_DEFINED))
        template = llm.metadata.get("tokenizer.chat_template")
        self.has_template = template is not None
        self._format = Jinja2ChatFormatter(
            template=PLAIN if template is None else template,
            eos_token=self._look(llm.token_eos()),
            bos_token=self._look(llm.token_bos()),
        )
        self._folds_system = False
        self.thinking = False
        """The prompt ends in the middle of a thought, so the reply goes on with it."""
        self._probe()

    @property
    def thought_ids(self) -> frozenset[int]:
        """Control tokens that begin and end a thought, where the model has such."""
        return frozenset(self._control[tag] for tag in (OPEN, CLOSE) if tag in self._control)

    def ids(self, turns: Sequence[Turn]) -> list[int]:
        """The prompt that asks for the assistant's next turn."""
        if self._folds_system:
            turns = _folded(turns)
        literals = self._literals([role for role, _ in turns])
        marks = {m for text in literals for m in self._markup_pattern.findall(text) if m.strip()}
        marks |= {OPEN, CLOSE}  # one may be the template's, and the other the end of it
        ids: list[int] = []
        run = ""
        for i, literal in enumerate(literals):
            # Template and texts share a run between control tokens, so that words which lie
            # across their border get the ids that the model was trained on.
            *pieces, last = self._control_pattern.split(literal)
            for text, token in zip(pieces[::2], pieces[1::2], strict=True):
                ids += [*self._plain(run + text), self._control[token]]
                run = ""
            run += last
            if i < len(turns):
                run += _defused(turns[i][1].strip(), marks)
        ids += self._plain(run)
        if self._bos >= 0 and ids[:1] != [self._bos]:
            ids.insert(0, self._bos)
        return ids

    def _probe(self) -> None:
        turns: Sequence[Turn] = _PROBE
        try:
            literals = self._literals([role for role, _ in turns])
        except EngineError:
            # Many a template knows no system role: then the user says it.
            self._folds_system, turns = True, _folded(turns)
            try:
                literals = self._literals([role for role, _ in turns])
            except EngineError as error:
                raise ConfigError(f"[llm] {self._llm.model_path}: {error.reason}") from error
        self.thinking = literals[-1].rfind(OPEN) > literals[-1].rfind(CLOSE)

    def _literals(self, roles: Sequence[str]) -> list[str]:
        """The template's own text before, between and after what the turns say."""
        messages = [
            {"role": role, "content": f"\ue000{place}\ue001"} for place, role in enumerate(roles)
        ]
        try:
            # Reasoning models that can answer at once do: nobody listens to a minute of thought.
            prompt = self._format(messages=messages, enable_thinking=False).prompt  # type: ignore[arg-type]  # the library's types name each role
        except Exception as error:
            raise EngineError("llm", f"its chat template refuses: {error}") from error
        pieces = _PLACE.split(prompt)
        if pieces[1::2] != [str(place) for place in range(len(roles))]:
            raise EngineError("llm", "its chat template loses, repeats or moves what is said")
        return pieces[::2]

    def _plain(self, text: str) -> list[int]:
        if not text:
            return []
        return self._llm.tokenize(text.encode(errors="replace"), add_bos=False, special=False)

    def _tokens_with(self, attributes: int) -> dict[str, int]:
        import llama_cpp

        every = range(self._llm.n_vocab())
        found = (i for i in every if llama_cpp.llama_vocab_get_attr(self._vocab, i) & attributes)
        return {look: i for i in found if (look := self._look(i))}

    def _look(self, token: int) -> str:
        import llama_cpp

        text = llama_cpp.llama_vocab_get_text(self._vocab, token) if token >= 0 else b""
        return text.decode(errors="replace")


def _any_of(tokens: dict[str, int]) -> re.Pattern[str]:
    """Finds the longest of them first; nothing where there are none."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first)) or '(?!)'})")


def _defused(text: str, marks: set[str]) -> str:
    for mark in marks:
        text = text.replace(mark, f"{mark[0]} {mark[1:]}")
    return text


def _folded(turns: Sequence[Turn]) -> list[Turn]:
    """What the system says, at the head of what the user says first."""
    if len(turns) < 2 or turns[0][0] != "system":
        return list(turns)
    (_, system), (role, text), *rest = turns
    return [(role, f"{system}\n\n{text}"), *rest]
