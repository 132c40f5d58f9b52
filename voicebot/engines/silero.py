"""Speech or not, one 32 ms window at a time: Silero VAD on onnxruntime.

The weights of silero-vad 6.2.3 (MIT) lie beside this file, because that package needs torch, in a
graph that takes a half to a quarter of the time of the published ones: scripts/silero_graph.py.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ..audio import Samples
from ..concurrency.batching import MicroBatcher
from ..errors import EngineError, MissingDependency

if TYPE_CHECKING:
    from onnxruntime import InferenceSession  # type: ignore[import-untyped]  # it has no stubs

RATE = 16000
WINDOW = 512
CONTEXT = 64
"""Samples of the window before that the network reads again."""
SILENT, FORGETS = 0.1, 31
"""After so many windows in a row (a second) with less than this chance of speech, what was heard
before is forgotten. With that in mind the network hears the next word late: of 156 words spoken
2.5 s after a question one in twenty takes over 0.29 s, over 0.22 s once it is forgotten."""
TOGETHER = 16
"""Windows of as many streams judged at once, in 0.3 ms. Each costs a third of what one alone does,
and in larger batches no less; smaller ones keep the loop for less long."""
BATCH = 250
"""Windows of a recording at once. More take more memory, and are no faster."""
WEIGHTS = Path(__file__).parent / "silero_vad" / "silero_vad_16k.onnx"

_Given: TypeAlias = tuple[Samples, Samples]
"""A window behind its context, shape (1, CONTEXT + WINDOW), and the state before it."""


class Silero:
    """The voice detector of one stream: it remembers the sound before, until a long silence."""

    rate = RATE
    window = WINDOW

    def __init__(self) -> None:
        _session()  # fails here rather than in the first conversation
        self._state = _nothing()
        self._silent = 0  # windows in a row
        self._heard = np.zeros((1, CONTEXT + WINDOW), np.float32)

    async def probability(self, window: Samples) -> float:
        """Chance in [0, 1] that this window holds speech.

        Raises:
            ValueError: not `window` samples.
        """
        if window.shape != (WINDOW,):
            raise ValueError(f"silero takes {WINDOW} samples at a time, not {window.shape}")
        self._heard = np.concatenate((self._heard[:, -CONTEXT:], window[None]), 1, dtype=np.float32)
        chance, self._state = await _detection().do((self._heard, self._state))
        self._silent = self._silent + 1 if chance < SILENT else 0
        if self._silent == FORGETS:
            self._state = _nothing()
        return chance


def _nothing() -> Samples:
    return np.zeros((2, 1, 128), np.float32)


@cache
def _detection() -> MicroBatcher[_Given, tuple[float, Samples]]:
    """On the loop: to wake a thread and to be woken by it costs more than to judge a window."""
    return MicroBatcher(_detect, TOGETHER)


def _detect(given: list[_Given]) -> list[tuple[float, Samples]]:
    chances, states = _run(
        np.concatenate([heard for heard, _ in given])[None],
        np.concatenate([state for _, state in given], axis=1),
    )
    # Copies, or each stream would keep the states of all of them in memory.
    return [(chance, states[:, i : i + 1].copy()) for i, chance in enumerate(chances[0].tolist())]


def probabilities(samples: Samples) -> Samples:
    """What a fresh `Silero` says of each window of a recording at 16 kHz, at a third of the cost.

    It forgets nothing, since nobody waits for it. The last window is filled up with silence.
    """
    count = -(-len(samples) // WINDOW)
    if not count:
        return np.zeros(0, np.float32)
    padded = np.zeros(CONTEXT + count * WINDOW, np.float32)
    padded[CONTEXT : CONTEXT + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + WINDOW)[::WINDOW]
    state, chances = _nothing(), []
    for at in range(0, count, BATCH):
        found, state = _run(np.ascontiguousarray(windows[at : at + BATCH, None]), state)
        chances.append(found[:, 0])
    return np.concatenate(chances)


@cache
def _session() -> InferenceSession:
    """One session for all streams: their memory is passed in and out, not kept inside."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # The network is too small to share out: a second thread costs more than it does.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            str(WEIGHTS), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises a dozen types of its own
        raise MissingDependency(f"[vad] silero: {WEIGHTS} cannot be loaded: {error}") from error


def _run(windows: Samples, states: Samples) -> tuple[Samples, Samples]:
    """The chances, shape (windows, streams), and the states behind the last window.

    windows: shape (windows of each stream, streams, CONTEXT + WINDOW).
    states: shape (2, streams, 128).
    """
    try:
        chances, after = _session().run(None, {"input": windows, "state": states})
    except Exception as error:  # as above
        raise EngineError("vad", f"silero: {error}") from error
    return chances, after
