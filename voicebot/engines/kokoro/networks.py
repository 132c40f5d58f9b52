"""Kokoro's network: phoneme numbers and a style in, sound and durations out; on torch or ONNX.

The two give the same sound, sample for sample within rounding. As published they would not:
the generator adds fresh noise to its excitation at every call (Kokoro needs it: it is what
fricatives are made of; the random phases it also draws are dropped by its own interpolation and
change nothing). `steady` lays down one second of noise instead, the same always, both in torch
and in what `voicebot models export kokoro` writes. An export from elsewhere still draws its own.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from zipfile import is_zipfile

import numpy as np

from ...audio import Samples
from ...errors import ConfigError, MissingDependency
from ...spelling import there_is
from ..onnx_graph import EXACT_BYTES, brief, durations, exact_bytes, session
from ..phonemes import RATE, VOCABULARY

CHECKPOINT = "hexgrad/Kokoro-82M"
"""Only tells the package which defaults to take; nothing is fetched."""

PULL = "voicebot models pull kokoro"
SECTIONS = ("bert", "bert_encoder", "predictor", "text_encoder", "decoder")


class Network(Protocol):
    """Kokoro's network on one backend."""

    whole_speeds: bool
    """Its speed is a whole number: some published exports were traced with one."""

    def render(
        self, ids: Sequence[int], style: Samples, speed: float
    ) -> tuple[Samples, list[int] | None]:
        """The sound, and how many FRAMEs of it each id takes, a silent start and end around them.

        None where the network does not tell.
        """


def open_network(model: Path, backend: str, threads: int) -> Network:
    """The network in `model`, a folder or an .onnx file. "auto" is ONNX where there is one.

    Raises:
        ConfigError: no such backend, or a file is not a Kokoro network.
        MissingDependency: the folder does not hold it, or its library is not installed.
    """
    if backend not in ("auto", "onnx", "torch"):
        there = there_is(backend, ("auto", "onnx", "torch"))
        raise ConfigError(f"[tts] kokoro has no backend {backend!r}; {there}")
    exported, checkpoint = exports(model), checkpoints(model)
    if exported and backend != "torch":
        if importlib.util.find_spec("onnxruntime"):
            return OnnxNetwork(exported[0], threads)
        if backend == "onnx" or not checkpoint:
            raise MissingDependency("[tts] kokoro needs onnxruntime; voicebot install kokoro")
    if backend == "onnx":
        raise MissingDependency(
            f"no .onnx file in {model}; {PULL}, or voicebot models export kokoro"
        )
    if not checkpoint:
        raise MissingDependency(f"no .onnx or .pth file in {model}; {PULL}")
    return TorchNetwork(model, threads)


def exports(model: Path) -> list[Path]:
    """The ONNX files in a folder, best first; or the one that `model` is.

    Published exports keep theirs in onnx/. Full precision goes before what was made smaller: on a
    processor that is slower to run and sounds worse.
    """
    if model.is_file():
        return [model]
    found = [*model.glob("*.onnx"), *(model / "onnx").glob("*.onnx")]
    return sorted(found, key=lambda path: (path.name != "model.onnx", smaller(path), path))


def smaller(path: Path) -> bool:
    """Whether the name says that the weights are of fewer bits: kokoro-v1.0.int8.onnx."""
    return bool(re.search(r"int8|uint8|fp16|f16|q[48]|quant", path.name))


def checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.pth"))


def vocabulary(folder: Path) -> dict[str, int]:
    """The network's number for each phoneme, from config.json or tokenizer.json where one is there.

    Raises:
        ConfigError: the file does not hold it.
    """
    for name in ("config.json", "tokenizer.json"):
        path = folder / name
        if not path.exists():
            continue
        try:
            content = json.loads(path.read_text("utf-8"))
            symbols = content.get("vocab") or content.get("model", {}).get("vocab")
            if symbols:
                numbers = {str(symbol): int(number) for symbol, number in symbols.items()}
                return {symbol: n for symbol, n in numbers.items() if n}  # 0 is silence
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise ConfigError(f"[tts] kokoro cannot read {path}: {error}") from error
    if (folder / "config.json").exists():
        raise ConfigError(f"[tts] kokoro: {folder / 'config.json'} has no vocab; {PULL}")
    return VOCABULARY


class OnnxNetwork:
    """An exported network on onnxruntime: the faster on a CPU, and no torch."""

    def __init__(self, path: Path, threads: int) -> None:
        try:
            self._session = session(path, threads, told := durations(path))
        except Exception as error:  # its errors share no base
            raise ConfigError(f"[tts] kokoro cannot read {path}: {brief(error)}") from error
        if EXACT_BYTES in self._session.get_modelmeta().custom_metadata_map and not exact_bytes():
            raise ConfigError(
                f"[tts] kokoro: {path} would sound wrong on this processor, which has no VNNI; "
                "delete it, and the file that it was made from is taken"
            )
        inputs = {field.name: field.type for field in self._session.get_inputs()}
        outputs = {field.name: field.type for field in self._session.get_outputs()}
        # Exports differ in names, not in kinds: the sound is of real numbers, durations whole,
        # where the export tells them; inside the graph they are real numbers, too.
        sounds = [name for name, kind in outputs.items() if "float" in kind and name != told]
        self._ids = "tokens" if "tokens" in inputs else "input_ids"
        if not {self._ids, "style", "speed"} <= inputs.keys() or not sounds:
            raise ConfigError(
                f"[tts] kokoro: {path} takes {', '.join(inputs)}; "
                "a Kokoro network takes input_ids, style and speed"
            )
        self.whole_speeds = "int" in inputs["speed"]
        whole = [name for name, kind in outputs.items() if "int" in kind]
        self._outputs = sounds[:1] + (whole or ([told] if told else []))[:1]

    def render(
        self, ids: Sequence[int], style: Samples, speed: float
    ) -> tuple[Samples, list[int] | None]:
        pace = np.array([speed], np.int32 if self.whole_speeds else np.float32)
        sound, *durations = self._session.run(
            self._outputs, {self._ids: np.array([[0, *ids, 0]]), "style": style, "speed": pace}
        )
        frames = [int(n) for n in durations[0].reshape(-1)] if durations else None
        return np.asarray(sound, np.float32).reshape(-1), frames


class TorchNetwork:
    """The checkpoint in the network of the package `kokoro`, on the GPU where there is one."""

    whole_speeds = False

    def __init__(self, folder: Path, threads: int) -> None:
        self._model = kmodel(folder)
        import torch

        if threads:
            torch.set_num_threads(threads)  # of the whole process: torch has no other way
        self._model.to("cuda" if torch.cuda.is_available() else "cpu")

    def render(
        self, ids: Sequence[int], style: Samples, speed: float
    ) -> tuple[Samples, list[int] | None]:
        import torch

        sound, frames = self._model.forward_with_tokens(
            torch.tensor([[0, *ids, 0]], device=self._model.device),
            torch.tensor(style, device=self._model.device),
            speed,
        )
        return sound.reshape(-1).float().cpu().numpy(), frames.reshape(-1).tolist()


def kmodel(folder: Path) -> Any:
    """The package's KModel with the folder's weights, in evaluation mode, with steady noise.

    Raises:
        ConfigError: a file in the folder is not what its name says.
        MissingDependency: a file or the package is not there.
    """
    config, weights = folder / "config.json", checkpoints(folder)
    for present, name in ((config.exists(), "config.json"), (weights, ".pth file")):
        if not present:
            raise MissingDependency(f"no {name} in {folder}; {PULL}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, on how the package builds its layers
        network = package().KModel
        try:
            model = network(repo_id=CHECKPOINT, config=str(config), model=str(weights[0]))
        except Exception as error:  # of json, pickle, zip, torch and bare asserts
            raise ConfigError(f"[tts] kokoro cannot read {weights[0]}: {brief(error)}") from error
        _check(model, weights[0])
    return steady(model.eval())


def steady(model: Any) -> Any:
    """The same model, whose excitation has the same noise at every call."""
    import torch

    source = model.decoder.generator.m_source.l_sin_gen
    frame = int(source.upsample_scale)
    seed = torch.Generator().manual_seed(0)
    table = torch.randn(RATE, source.dim, generator=seed)

    def forward(f0: Any) -> tuple[Any, Any, Any]:
        """Pitch, shape (1, samples, 1), held over `frame`s, to harmonics with noise."""
        harmonics = torch.arange(1, source.dim + 1, device=f0.device)
        voiced = (f0 > source.voiced_threshold).float()
        # Turns in a frame, added up. In double: the sum grows large and its fraction is all.
        steps = (f0[:, frame // 2 :: frame].double() * harmonics / source.sampling_rate) % 1
        turns = torch.cumsum(steps, dim=1) * frame
        place = (torch.arange(f0.shape[1], device=f0.device).double() + 0.5) / frame - 0.5
        left = place.clamp(min=0).floor()
        part = (place.clamp(min=0) - left)[None, :, None]
        before = left.long()
        after = (before + 1).clamp(max=turns.shape[1] - 1)
        phase = (turns[:, before] * (1 - part) + turns[:, after] * part) % 1
        sines = torch.sin(2 * torch.pi * phase.float()) * source.sine_amp
        level = voiced * source.noise_std + (1 - voiced) * source.sine_amp / 3
        noise = level * table.to(f0.device)[torch.arange(f0.shape[1], device=f0.device) % RATE]
        return sines * voiced + noise, voiced, noise

    source.forward = forward
    return model


def package() -> Any:
    """kokoro.model, without running kokoro/__init__.

    That would import spaCy (3 s, 300 MB), take over the log, and load phonemizer, whose licence
    (GPL-3) ours does not fit.
    """
    spec = importlib.util.find_spec("kokoro")
    if spec is None or not importlib.util.find_spec("torch"):
        raise MissingDependency("[tts] kokoro needs torch here; voicebot install kokoro-torch")
    ours = "kokoro" not in sys.modules
    sys.modules.setdefault("kokoro", importlib.util.module_from_spec(spec))
    try:
        importlib.import_module("loguru").logger.disable("kokoro")  # as kokoro/__init__ does
        return importlib.import_module("kokoro.model")
    finally:
        if ours:  # whoever imports it after us gets the whole package
            del sys.modules["kokoro"]


def _check(model: Any, path: Path) -> None:
    """Refuse weights of something else: the package takes what fits and says nothing."""
    import torch

    saved = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    for section in SECTIONS:
        wanted = set(getattr(model, section).state_dict())
        names = {name.removeprefix("module.") for name in saved.get(section, {})}
        # Not all: published weights lack what later versions of the package added.
        if len(wanted & names) < len(wanted) / 2:
            raise ConfigError(f"[tts] kokoro: {path} has no weights for Kokoro's {section}")
