"""A Kokoro voice by name, or a blend of several, read without torch and without unpickling."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from ..audio import Samples
from ..errors import ConfigError, Missing

LENGTHS = 510
"""A voice has a style for each length of text, in phonemes; longer texts are cut."""
STYLE = 256
"""Numbers in a style: half of them for the sound, half for the prosody."""

_BYTES = LENGTHS * STYLE * 4
_SHARE = re.compile(r"\s*([\w-]+)\s*(?:\*\s*(\d+(?:\.\d+)?|\.\d+)\s*)?")


def present(model: Path) -> list[str]:
    """The names of the voices in the model's folder."""
    files = (model / "voices").glob("*")
    return sorted({file.stem for file in files if file.suffix in (".bin", ".pt")})


def shares(spec: str) -> dict[str, float]:
    """The voices of "af_heart", "af_heart,am_adam" or "af_heart*0.7+am_adam*0.3", adding up to 1.

    Raises:
        ConfigError: it is not written like that.
    """
    found: dict[str, float] = {}
    for part in re.split(r"[,+]", spec):
        if not (match := _SHARE.fullmatch(part)):
            raise ConfigError(
                f"[tts] kokoro cannot read voice {spec!r}; write af_heart, af_heart,am_adam "
                "or af_heart*0.7+am_adam*0.3"
            )
        found[match[1]] = found.get(match[1], 0.0) + float(match[2] or 1)
    total = sum(found.values())
    if not total:
        raise ConfigError(f"[tts] kokoro: the shares of voice {spec!r} add up to nothing")
    return {name: share / total for name, share in found.items()}


def load(model: Path, spec: str) -> Samples:
    """The voice's styles, float32, shape (LENGTHS, STYLE); row n-1 is for n phonemes.

    Raises:
        ConfigError: no such voice, or its file is not one.
        Missing: the folder holds no voice at all.
    """
    parts = shares(spec)
    if not (names := present(model)):
        raise Missing(f"no voices in {model / 'voices'}; voicebot models pull kokoro")
    for name in parts:
        if name not in names:
            raise ConfigError(f"[tts] kokoro has no voice {name!r}; there is {', '.join(names)}")
    blend = sum(share * _read(model / "voices", name) for name, share in parts.items())
    return np.asarray(blend, np.float32)


def _read(voices: Path, name: str) -> Samples:
    path = voices / f"{name}.bin"
    try:
        if path.exists():
            data = path.read_bytes()
        else:
            path = voices / f"{name}.pt"
            data = _tensor(path)
    except (OSError, BadZipFile, KeyError, ValueError, RuntimeError) as error:
        raise ConfigError(f"[tts] kokoro cannot read the voice in {path}: {error}") from error
    whole = len(data) == _BYTES
    styles = np.frombuffer(data if whole else b"", "<f4").astype(np.float32)
    if not len(styles) or not np.isfinite(styles).all():
        raise ConfigError(
            f"[tts] kokoro: {path} is not a voice, which is {LENGTHS} styles of {STYLE} numbers"
        )
    return styles.reshape(LENGTHS, STYLE)


def _tensor(path: Path) -> bytes:
    """What torch.save keeps of the one tensor in the file: its numbers, uncompressed.

    The pickle beside them, which says how to put them together, could run code and is not read;
    a voice has one shape, which its size proves.
    """
    with ZipFile(path) as archive:
        names = archive.namelist()
        numbers = [name for name in names if re.fullmatch(r"[^/]+/data/\d+", name)]
        orders = [archive.read(n) for n in names if re.fullmatch(r"[^/]+/byteorder", n)]
        if len(numbers) != 1 or orders not in ([], [b"little"]):
            raise ValueError("it is not one little-endian tensor")
        if archive.getinfo(numbers[0]).file_size != _BYTES:  # before it is unpacked into memory
            raise ValueError("its size is not that of a voice")
        return archive.read(numbers[0])
