"""A stretch of speech through Whisper in a window no longer than it needs.

Whisper was trained on windows of 30 s, and most of its time on a CPU goes into encoding the
silence that fills one up. It reads shorter ones as well, if they are not too short: in less than
11 s, or with less than 4 s of silence behind the speech, it says short utterances twice or until
it is stopped. So each hypothesis says whether it can be believed. docs/recognition.md has figures.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...audio import Samples
from .. import Word

if TYPE_CHECKING:
    from ctranslate2 import StorageView  # type: ignore[import-untyped]  # these have no stubs
    from faster_whisper import WhisperModel  # type: ignore[import-untyped]
    from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]

SECONDS = (11, 12, 13, 15, 17, 20, 30)
"""Lengths of windows. A few, so that buffers are used again; none of which makes 80 or 128
positions of 20 ms, because CTranslate2 would take what it encoded for features. Of 128 spoken
utterances tiny.en gets caught in a loop in 2 at 11 s, in 8 at 8 s."""
TAIL = 4.0
"""Seconds of silence a short window ends with at least. Less has utterances said twice; more
costs time and errs as often."""
FULL = SECONDS[-1]

NO_SPEECH = 0.5
"""Chance that nobody speaks, as the model has it, above which text may be none."""
SILENCE = -1.0
"""Mean log-probability of a token below which such text is none: Whisper's own threshold."""
FAINT = 0.85
UNSURE = -0.8
"""Mean chance of speech, as the voice detector has it, below which the threshold is this."""
GUESSED = -1.5
"""Where speech is as faint as that, text of a lower mean log-probability is none, even if the model
believes that somebody speaks: it hears "Oh" and "Okay." in tunes."""
COMPRESSION = 2.4
"""Text that packs better than this says the same thing over and over; Whisper's own threshold."""
REPEATS = 4
"""Times in a row that people hardly ever say the same few tokens."""
UNSPACED = "\u0e00"
"""The first letter, in the order of Unicode, of those written without spaces: Thai's."""


@dataclass(frozen=True, slots=True, eq=False)
class Hypothesis:
    """What Whisper makes of a window."""

    text: str
    tokens: list[int]
    log_prob: float
    """Mean over the tokens."""
    no_speech: float
    """Chance that nobody speaks."""
    is_complete: bool
    """It came to an end by itself."""
    language: str
    encoded: StorageView
    tokenizer: Tokenizer

    def is_silence(self, certainty: float) -> bool:
        """Whether this is what Whisper says where nobody speaks: "you", "Thank you.", dots.

        certainty: the voice detector's mean chance where it hears speech.
        """
        if not any(letter.isalnum() for letter in self.text):
            return True
        least = UNSURE if certainty < FAINT else SILENCE
        if certainty < FAINT and self.log_prob < GUESSED:
            return True
        return self.no_speech > NO_SPEECH and self.log_prob < least

    @property
    def is_doubtful(self) -> bool:
        """Whether another window should be asked. Its probability says little: where that is low,
        the full window errs more often than the short one."""
        return not self.text or self.is_looping or says_again(self.text)

    @property
    def is_looping(self) -> bool:
        """Whether it says what nobody says."""
        data = self.text.encode()
        return (
            not self.is_complete
            or len(data) > COMPRESSION * len(zlib.compress(data))
            or _repeats(self.tokens, REPEATS)
        )


def lengths(seconds: float, short: bool) -> list[int]:
    """The windows to try for so much sound, in seconds, the last one full."""
    fitting = [length for length in SECONDS if length >= seconds + TAIL]
    return [fitting[0], FULL] if short and fitting and fitting[0] < FULL else [FULL]


def recognise(
    model: WhisperModel,
    samples: Samples,
    length: int,
    language: str,
    task: str = "transcribe",
    beam: int = 1,
) -> Hypothesis:
    """What is said, in the language given or else the one detected.

    task: "transcribe", or "translate" for English.
    beam: how many hypotheses are followed at once.
    """
    from faster_whisper.tokenizer import Tokenizer
    from faster_whisper.transcribe import (  # type: ignore[import-untyped]
        get_suppressed_tokens,
    )

    features = model.feature_extractor
    # Silence fills the window up as sound, the way it did when Whisper was trained.
    fill = length * features.sampling_rate - len(samples)
    encoded = model.encode(features(samples, padding=fill))
    network = model.model
    if not language and network.is_multilingual:
        language = network.detect_language(encoded)[0][0][0].strip("<|>")
    tokenizer = Tokenizer(
        model.hf_tokenizer, network.is_multilingual, task=task, language=language or "en"
    )
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
    seconds = len(samples) / features.sampling_rate
    # No language takes more tokens; a model that loops would go on to the end of its memory, and
    # cannot be stopped. The full window comes last, so it gets room for doubt.
    room = 32 + 20 * seconds if length == FULL else 8 + 12 * seconds
    limit = min(int(room), model.max_length // 2)
    result = network.generate(
        encoded,
        [prompt],
        beam_size=beam,
        max_length=2 * limit,  # it leaves half of that to the prompt
        return_scores=True,
        return_no_speech_prob=True,
        suppress_blank=True,
        suppress_tokens=list(get_suppressed_tokens(tokenizer, [-1])),
    )[0]
    tokens = result.sequences_ids[0]
    count = len(tokens)
    return Hypothesis(
        tokenizer.decode(tokens).strip(),
        tokens,
        # The score leaves out the token that ended it.
        float(result.scores[0]) * count / (count + 1),
        float(result.no_speech_prob),
        count < limit,
        tokenizer.language_code,
        encoded,
        tokenizer,
    )


def words(model: WhisperModel, hypothesis: Hypothesis, seconds: float) -> list[Word]:
    """Its words, with times in the window, from where the decoder looked while it said them."""
    from faster_whisper.transcribe import merge_punctuations

    frames = round(seconds * model.frames_per_second)
    tokens = [token for token in hypothesis.tokens if token < hypothesis.tokenizer.eot]
    (found,) = model.find_alignment(hypothesis.tokenizer, [tokens], hypothesis.encoded, frames)
    merge_punctuations(found, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
    return [
        Word(
            word["word"].strip(),
            min(float(word["start"]), seconds),
            min(float(word["end"]), seconds),
            min(1.0, float(word["probability"])),
        )
        for word in _timed(found, seconds)
        if word["word"].strip()
    ]


def _timed(found: list[dict[str, Any]], seconds: float) -> list[dict[str, Any]]:
    """The same words; where the decoder looked nowhere in particular, evenly by their letters."""
    found = [word for word in found if word["word"]]
    times = np.array([(word["start"], word["end"]) for word in found])
    if np.isfinite(times).all() and np.count_nonzero(times[:, 1] > times[:, 0]) * 2 > len(found):
        return found
    ends = np.cumsum([len(word["word"]) for word in found])
    ends = ends * seconds / ends[-1]
    starts = [0.0, *ends[:-1]]
    return [
        word | {"start": start, "end": end}
        for word, start, end in zip(found, starts, ends, strict=True)
    ]


def says_again(text: str) -> bool:
    """Whether words follow that were said just before: two or more, or the only one there is.

    People say "hold on, hold on" and "bye bye"; Whisper says an utterance again in the silence
    behind it, or a part of it. Of 128 spoken utterances 2 are such.
    """
    said = re.findall(r"[\w']+", text.casefold())
    if len(said) > 1 and len(set(said)) == 1:
        return True
    # Writing without spaces: four characters, because Japanese doubles two in many words.
    unspaced = [letter for letter in "".join(said) if letter >= UNSPACED]
    return _repeats(said, 2, least=2) or _repeats(unspaced, 2, least=4)


def _repeats(row: Sequence[int | str], times: int, least: int = 1) -> bool:
    """Whether a few neighbours, at least so many, come `times` times in a row."""
    said = np.array(row)
    for size in range(least, len(said) // times + 1):
        again = said[size:] == said[:-size]
        needed = size * (times - 1)
        # As many equal neighbours in a row as that: the running sum grows by as many.
        total = np.concatenate(([0], np.cumsum(again)))
        if (total[needed:] - total[:-needed] == needed).any():
            return True
    return False
