"""Kokoro as an ONNX file of our own: of the checkpoint, or of a published one in a quicker form.

That of the checkpoint tells durations, which published exports leave out.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...audio import Samples
from ...errors import EngineError, MissingDependency
from ..onnx_graph import brief
from .networks import PULL, OnnxNetwork, checkpoints, exports, kmodel
from .rewrite import rewrite

log = logging.getLogger(__name__)

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
_REWRITTEN = 1e-5
"""The same for a graph and its quicker form: 100 dB."""


def export(model: Path, out: Path | None = None) -> Path:
    """Write the ONNX file, model.onnx beside what it is made of unless `out` names another.

    model: a folder, or a published .onnx file. Returns the path written. The file is tried
    against torch first, or against the published file that it was made of, and is not there at
    all until it has passed.

    Raises:
        ConfigError: a file in the folder is not what its name says.
        EngineError: the export failed, or does not give the same sound, or would not be quicker.
        MissingDependency: there is nothing to make it of, or a package is not there.
    """
    folder = model if model.is_dir() else model.parent
    target = out or folder / "model.onnx"
    published = [path for path in exports(model) if path != target]
    checkpoint = kmodel(folder) if model.is_dir() and checkpoints(folder) else None
    if checkpoint is None and not published:
        raise MissingDependency(
            f"no .pth and no other .onnx file than {target.name} in {folder}; {PULL}"
        )
    for package in ("onnx", "onnxruntime"):
        if not importlib.util.find_spec(package):
            raise MissingDependency(f"the export needs {package}; voicebot install kokoro-export")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch:
        plain, quick = Path(scratch) / "plain.onnx", Path(scratch) / "quick.onnx"
        if checkpoint is None:
            OnnxNetwork(published[0], threads=0)  # says what is wrong with it
            _steadied(published[0], plain)
        else:
            wanted = [_render(checkpoint, *_sentence(phonemes)) for phonemes in _TRIED]
            _write(checkpoint, plain)
            _compare(_sounds(plain), wanted, _TOLERANCE, "torch")
        try:
            _quicken(plain, quick)
            _compare(_sounds(quick), _sounds(plain), _REWRITTEN, "the graph it was made of")
        except EngineError as error:
            if checkpoint is None:
                raise
            log.warning("the plain graph is kept: %s", error.reason)
            quick = plain
        quick.replace(target)
    return target


def _sentence(phonemes: int) -> tuple[list[int], Samples]:
    """Letters of the alphabet and a style, the same at every call."""
    rng = np.random.default_rng(phonemes)
    return rng.integers(43, 69, phonemes).tolist(), rng.normal(0, 0.1, (1, 256)).astype(np.float32)


def _render(model: Any, ids: list[int], style: Samples) -> tuple[Samples, list[int]]:
    import torch

    sound, frames = model.forward_with_tokens(torch.tensor([[0, *ids, 0]]), torch.tensor(style), 1)
    return sound.reshape(-1).numpy(), frames.tolist()


def _sounds(network: Path) -> list[tuple[Samples, list[int] | None]]:
    opened = OnnxNetwork(network, threads=0)
    try:
        return [opened.render(*_sentence(phonemes), 1.0) for phonemes in _TRIED]
    except Exception as error:  # onnxruntime's share no base
        raise EngineError("tts", f"kokoro's export fails: {brief(error)}") from error


def _compare(
    made: Sequence[tuple[Samples, list[int] | None]],
    wanted: Sequence[tuple[Samples, list[int] | None]],
    tolerance: float,
    whose: str,
) -> None:
    for (sound, frames), (expected, durations) in zip(made, wanted, strict=True):
        if frames != durations or len(sound) != len(expected):
            raise EngineError(
                "tts", f"kokoro's export does not give the durations that {whose} does"
            )
        difference = float(np.std(sound - expected) / np.std(expected))
        if not difference <= tolerance:  # so that NaN is one too
            raise EngineError("tts", f"kokoro's export is {difference:.2%} away from {whose}")


def _steadied(published: Path, to: Path) -> None:
    """Copy a graph, with seeds for its noise, or two of its forms could not be compared."""
    import onnx

    model = onnx.load(published)
    for at, node in enumerate(model.graph.node):
        if node.op_type.startswith("Random") and not any(a.name == "seed" for a in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("seed", float(at)))
    onnx.save(model, to)


def _quicken(plain: Path, to: Path) -> None:
    import onnx

    model = onnx.load(plain)
    if not rewrite(model):
        raise EngineError("tts", "kokoro's export has nothing in it that can be made quicker")
    onnx.save(model, to)


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
