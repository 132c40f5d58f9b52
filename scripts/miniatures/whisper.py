"""Whisper models built in a second: real files for the real library, with a script for a mind.

The decoder ignores the sound and says its script, a letter at each position. Its cross-attention
moves forward with each letter, so that words can be aligned; and it can tell a short window from
a full one, so that it can be made to fail on the former.

    python scripts/miniatures/whisper.py FOLDER "What it hears."
    python scripts/miniatures/whisper.py FOLDER --size base    as large and slow as the real one
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
from faster_whisper.tokenizer import _LANGUAGE_CODES
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel

# For writing models CTranslate2 imports torch wherever it is installed: seconds, and for nothing.
torch_is_out = sys.modules.setdefault("torch", None) is None  # type: ignore[arg-type]
from ctranslate2.specs.whisper_spec import WhisperSpec  # noqa: E402 - only now

if torch_is_out:
    del sys.modules["torch"]

MELS = 80
SECONDS = 50
"""Encoder positions in one."""
POSITIONS = 30 * SECONDS
LENGTH = 448
"""Of the decoder, in tokens."""
FIRST = 3
"""Where the first letter comes out: after start, language and task goes "no timestamps"."""
PACE = 4
"""Encoder positions to a letter: 80 ms, so that a sentence takes as long as when spoken."""
LONG = 20 * SECONDS
"""Later positions exist only in a full window."""
FOCUS = 19
"""How sharply it looks: the aligner's median filter takes away a look at few positions."""
LANGUAGES = _LANGUAGE_CODES[:99]
DIMENSIONS = {"tiny": (384, 4, 6), "base": (512, 6, 8), "small": (768, 12, 12)}
"""Width, layers, heads of the published sizes."""
VOCABULARY = 51865
"""Tokens in the published sizes."""


def build(
    folder: Path,
    text: str = "What time is it in Paris?",
    *,
    sure: float = 0.999,
    short_text: str | None = None,
    short_sure: float | None = None,
    language: str = "en",
    short_language: str | None = None,
    hears_speech: bool = True,
    aligned: bool = True,
    size: Literal["nano", "tiny", "base", "small"] = "nano",
) -> Path:
    """Write a model that hears `text`, each letter with the probability `sure`. Returns `folder`.

    `language` is what it detects. The ones called `short` are for windows of at most 20 s, where
    they differ. Without `hears_speech` it takes everything for silence, and unless it is
    `aligned` it looks nowhere in particular while it speaks. Any `size` but "nano" has the
    dimensions and so the cost of that model; most of its weights are zero, which is no faster.
    """
    tokenizer = _tokenizer(letters_only=size == "nano")
    count = tokenizer.get_vocab_size()
    silence = {"<|nospeech|>": 1e-6 if hears_speech else 0.99}
    full = _script(tokenizer, text, sure, {f"<|{language}|>": 0.9} | silence)
    short = _script(
        tokenizer,
        text if short_text is None else short_text,
        sure if short_sure is None else short_sure,
        {f"<|{short_language or language}|>": 0.9} | silence,
    )
    steps = max(len(full), len(short))
    needed = -(-(4 * steps + 2) // 64) * 64
    width, layers, heads = DIMENSIONS.get(size, (needed, 1, 2))
    if width < needed:
        raise ValueError(f"a script of {steps} steps does not fit into {size}")
    spec = _spec(width, layers, heads, count)
    _write(spec, full, short, width // heads, aligned)
    # CTranslate2 takes a model for multilingual if there is an empty token in its vocabulary.
    tokens = [tokenizer.id_to_token(at) for at in range(count)]
    spec.register_vocabulary(["" if token == "<|blank|>" else token for token in tokens])
    spec.config.suppress_ids = spec.config.suppress_ids_begin = []
    spec.config.lang_ids = [tokenizer.token_to_id(f"<|{code}|>") for code in LANGUAGES]
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    folder.mkdir(parents=True, exist_ok=True)
    spec.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"))
    features = {"feature_size": MELS, "sampling_rate": 16000, "hop_length": 160, "n_fft": 400}
    (folder / "preprocessor_config.json").write_text(json.dumps(features | {"chunk_length": 30}))
    return folder


def _tokenizer(letters_only: bool) -> Tokenizer:
    """Letters (bytes) as tokens, then Whisper's special ones in Whisper's order."""
    vocabulary = {letter: at for at, letter in enumerate(sorted(ByteLevel.alphabet()))}
    # faster-whisper forbids the first token of " -", " '" and " ♪". Were that a plain space,
    # no space could ever be said.
    merges = [("Ġ", "-"), ("Ġ", "'"), ("Ġ", "â")]
    for pair in merges:
        vocabulary["".join(pair)] = len(vocabulary)
    tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"]
    times = [f"{at * 0.02:.2f}" for at in range(POSITIONS + 1)]
    names = ["blank", "endoftext", "startoftranscript", *LANGUAGES, *tasks, *times]
    if not letters_only:  # between them as many as it takes that are never said
        rest = VOCABULARY - len(vocabulary) - len(names)
        vocabulary |= {f"unsaid{at}": len(vocabulary) + at for at in range(rest)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = [AddedToken(f"<|{name}|>", special=True, normalized=False) for name in names]
    tokenizer.add_special_tokens(specials)
    return tokenizer


def _script(
    tokenizer: Tokenizer, text: str, sure: float, start: dict[str, float]
) -> list[dict[int, float]]:
    """What is said at each position of the decoder: tokens and their logits, all others at 0."""
    others = tokenizer.get_vocab_size()

    def logit(chance: float) -> float:
        return float(np.log(chance * others / (1 - chance)))

    said = tokenizer.encode(" " + text).ids if text else []
    said.append(tokenizer.token_to_id("<|endoftext|>"))
    if len(said) > LENGTH // 2:
        raise ValueError(f"a script of {len(said)} letters is too long; {LENGTH // 2} at most")
    opening = {tokenizer.token_to_id(token): logit(chance) for token, chance in start.items()}
    return [opening, *[{}] * (FIRST - 1), *({token: logit(sure)} for token in said)]


def _write(
    spec: WhisperSpec,
    full: list[dict[int, float]],
    short: list[dict[int, float]],
    head: int,
    aligned: bool,
) -> None:
    """Put the scripts into the first layer; the others add nothing to it.

    Its state is one-hot: the position, and in a full window moved up by as many. It starts as if
    the window were short; the second head of its attention, `head` wide, finds out.
    """
    layer, decoder = spec.decoder.layer[0], spec.decoder
    steps, width = max(len(full), len(short)), len(layer.ffn.layer_norm.gamma)
    is_full, peak = width - 1, np.sqrt(width)
    # Every other dimension: on a CPU without VNNI, products of int8 are added up in pairs, and two
    # large ones side by side are cut off.
    in_short = 2 * np.arange(steps)
    in_full = in_short + 2 * steps

    places = spec.encoder.position_encodings.encodings
    places[:, :head] = _phases(np.arange(POSITIONS), head)
    places[LONG:, is_full] = 1
    decoder.position_encodings.encodings[np.arange(steps), in_short] = 1

    query, memory, output = layer.attention.linear
    if aligned:
        # The first head looks where this letter was said. Each row sums to zero, because a
        # normalised one-hot is not zero elsewhere.
        said_at = (np.arange(steps) - FIRST) * PACE
        query.weight[:head, in_short] = _phases(said_at, head).T * (FOCUS / width)
        query.weight[:head, is_full - 1] = -query.weight[:head].sum(1)
        memory.weight[:head, :head] = np.eye(head)
    # The second looks everywhere alike: a third of a full window is marked, of a short one nothing.
    memory.weight[width + head, is_full] = 1
    output.weight[is_full, head] = 3 * np.sqrt((head / 2) / width)
    # The position and the mark together, more than either alone, move the state.
    layer.ffn.linear_0.weight[in_short, in_short] = 5
    layer.ffn.linear_0.weight[in_short, is_full] = 5
    layer.ffn.linear_0.bias[:] = -5 * 1.2 * peak
    layer.ffn.linear_1.weight[in_full, in_short] = 2

    for dimensions, script in ((in_short, short), (in_full, full)):
        for dimension, said in zip(dimensions, script, strict=False):
            for token, logit in said.items():
                decoder.projection.weight[token, dimension] = logit / peak


def _phases(at: NDArray[Any], width: int) -> NDArray[np.float32]:
    """A row for each place, more alike the nearer the places; each of mean zero."""
    turns = np.geomspace(np.pi / POSITIONS, np.pi / 16, width // 4)
    angles = at[:, None] * turns
    rows = np.concatenate((np.cos(angles), np.sin(angles)), 1)
    return np.concatenate((rows, -rows), 1).astype(np.float32)


def _zeros(*shape: int) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def _spec(width: int, layers: int, heads: int, count: int) -> WhisperSpec:
    """A Whisper model in which every weight is zero; only the norms are neutral."""
    spec = WhisperSpec(layers, heads, layers, heads)

    def norm(part: Any) -> None:
        part.gamma, part.beta = np.ones(width, np.float32), _zeros(width)

    def linear(part: Any, outputs: int, inputs: int) -> None:
        part.weight, part.bias = _zeros(outputs, inputs), _zeros(outputs)

    def feed_forward(part: Any) -> None:
        norm(part.layer_norm)
        linear(part.linear_0, 4 * width, width)
        linear(part.linear_1, width, 4 * width)

    def attention(part: Any, *outputs: int) -> None:
        norm(part.layer_norm)
        for one, size in zip(part.linear, outputs, strict=True):
            linear(one, size, width)

    encoder, decoder = spec.encoder, spec.decoder
    for convolution, inputs in ((encoder.conv1, MELS), (encoder.conv2, width)):
        convolution.weight = _zeros(width, inputs, 3)
        convolution.bias = _zeros(width)
    encoder.position_encodings.encodings = _zeros(POSITIONS, width)
    decoder.position_encodings.encodings = _zeros(LENGTH, width)
    decoder.embeddings.weight = _zeros(count, width)
    linear(decoder.projection, count, width)
    norm(encoder.layer_norm)
    norm(decoder.layer_norm)
    for layer in [*encoder.layer, *decoder.layer]:
        attention(layer.self_attention, 3 * width, width)
        feed_forward(layer.ffn)
    for layer in decoder.layer:
        attention(layer.attention, width, 2 * width, width)
    return spec


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("text", nargs="?", default="What time is it in Paris?")
    parser.add_argument("--size", choices=["nano", *DIMENSIONS], default="nano")
    arguments = parser.parse_args()
    build(arguments.folder, arguments.text, size=arguments.size)
