"""Kokoro's checkpoint as an ONNX file that tells durations, which published exports leave out."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..errors import EngineError, Missing
from .kokoro_backends import OnnxNetwork, kmodel
from .onnx_graph import brief

_OPSET = 17
"""The newest that torch's older exporter, the one that can follow Kokoro's code, writes well."""
_TRACED = 12
"""Phonemes in the text it is traced with; any number does."""
_TRIED = (5, 24)
"""Phonemes in the texts it is tried on: not the traced length, or a frozen one would pass."""
_TOLERANCE = 0.1
"""Largest difference allowed, as a part of the sound's level (root mean square). Phases of weak
frequencies jump at the least rounding: an input changed by a ten-millionth changes torch's own
sound by 0.02, and an error in the graph by a quarter or more."""


def export(folder: Path, out: Path | None = None) -> Path:
    """Write the ONNX file, `folder`/model.onnx unless `out` names another. Returns its path.

    It is tried against torch first, and is not there at all until it has passed.

    Raises:
        ConfigError: a file in the folder is not what its name says.
        EngineError: the export failed, or does not give the same sound.
        Missing: the checkpoint or a package is not there.
    """
    model = kmodel(folder)
    for package in ("onnx", "onnxruntime"):
        if not importlib.util.find_spec(package):
            raise Missing(f"the export needs {package}; voicebot install kokoro-torch")
    target = out or folder / "model.onnx"
    target.parent.mkdir(parents=True, exist_ok=True)
    expected = [_render(model, *_sentence(phonemes)) for phonemes in _TRIED]
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        written = Path(scratch) / "model.onnx"
        _write(model, written)
        network = OnnxNetwork(written, threads=0)
        for phonemes, (sound, frames) in zip(_TRIED, expected, strict=True):
            ids, style = _sentence(phonemes)
            _compare(network.render(ids, style, 1.0), sound, frames)
        written.replace(target)
    return target


def _sentence(phonemes: int) -> tuple[list[int], Samples]:
    """Letters of the alphabet and a style, the same at every call."""
    rng = np.random.default_rng(phonemes)
    return rng.integers(43, 69, phonemes).tolist(), rng.normal(0, 0.1, (1, 256)).astype(np.float32)


def _render(model: Any, ids: list[int], style: Samples) -> tuple[Samples, list[int]]:
    import torch

    sound, frames = model.forward_with_tokens(torch.tensor([[0, *ids, 0]]), torch.tensor(style), 1)
    return sound.reshape(-1).numpy(), frames.tolist()


def _compare(made: tuple[Samples, list[int] | None], sound: Samples, frames: list[int]) -> None:
    if made[1] != frames or len(made[0]) != len(sound):
        raise EngineError("tts", "kokoro's export does not give the durations that torch does")
    difference = float(np.std(made[0] - sound) / np.std(sound))
    if not difference < _TOLERANCE:  # so that NaN is one too
        raise EngineError("tts", f"kokoro's export is {difference:.0%} away from torch's sound")


def _write(model: Any, path: Path) -> None:
    import torch

    _without_complex_numbers(model.decoder.generator.stft)
    model.forward = model.forward_with_tokens  # its own takes a string
    ids, style = _sentence(_TRACED)
    with warnings.catch_warnings(), _without_padding(torch.nn.utils.rnn):
        warnings.simplefilter("ignore")  # about tracing, which `_TRIED` answers
        try:
            torch.onnx.export(
                model,
                (torch.tensor([[0, *ids, 0]]), torch.tensor(style), torch.tensor([1.0])),
                str(path),
                input_names=["input_ids", "style", "speed"],
                output_names=["waveform", "duration"],
                dynamic_axes={"input_ids": {1: "n"}, "waveform": {0: "s"}, "duration": {0: "n"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        except Exception as error:  # of every part of torch
            raise EngineError("tts", f"kokoro cannot be exported: {brief(error)}") from error


@contextmanager
def _without_padding(rnn: Any) -> Iterator[None]:
    """One text at a time needs no padding, which the exporter is loud about."""
    pack, unpack = rnn.pack_padded_sequence, rnn.pad_packed_sequence
    rnn.pack_padded_sequence = lambda rows, *_, **__: rows
    rnn.pad_packed_sequence = lambda rows, **_: (rows, None)
    try:
        yield
    finally:
        rnn.pack_padded_sequence, rnn.pad_packed_sequence = pack, unpack


def _without_complex_numbers(stft: Any) -> None:
    """Give torch's transform and its inverse as convolutions, which ONNX has.

    The package has such a stand-in too, but its inverse comes out a quarter quieter.
    """
    import torch
    from torch.nn.functional import conv1d, conv_transpose1d, pad

    size, hop, window = stft.filter_length, stft.hop_length, stft.window.double()
    bins = size // 2 + 1
    turns = torch.outer(torch.arange(bins), torch.arange(size)) % size / size
    cosine, sine = torch.cos(2 * torch.pi * turns), -torch.sin(2 * torch.pi * turns)
    sine[[0, -1]] = 0.0  # not the 1e-16 it comes out as, whose sign would decide the phase
    twice = torch.full((bins, 1), 2.0)  # a bin stands for its mirror image, the outer ones do not
    twice[[0, -1]] = 1.0
    analysis = (torch.cat([cosine, sine]) * window).float()[:, None]
    scale = twice / size
    synthesis = (torch.cat([cosine * scale, sine * scale]) * window).float()[:, None]
    overlap = (window**2).float()[None, None]

    def transform(sound: Any) -> tuple[Any, Any]:
        edge = size // 2
        spectrum = conv1d(pad(sound[:, None], (edge, edge), "reflect"), analysis, stride=hop)
        real, imaginary = spectrum[:, :bins], spectrum[:, bins:]
        # ONNX has no atan2, and what stands for it is wrong where the imaginary part is 0.
        flat = torch.where(real < 0, torch.pi, 0.0)
        phase = torch.where(imaginary == 0, flat, torch.atan2(imaginary, real))
        return torch.sqrt(real**2 + imaginary**2), phase

    def inverse(magnitude: Any, phase: Any) -> Any:
        parts = torch.cat([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=1)
        inside = slice(size // 2, -(size // 2))
        sound = conv_transpose1d(parts, synthesis, stride=hop)[..., inside]
        weight = conv_transpose1d(torch.ones_like(magnitude[:, :1]), overlap, stride=hop)
        return sound / weight[..., inside]

    stft.transform, stft.inverse = transform, inverse
