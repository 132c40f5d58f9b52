"""A Kokoro voice by name, or a blend of several, read without torch and without unpickling."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from ...audio import Samples
from ...errors import ConfigError, MissingDependency
from ...spelling import there_is

LENGTHS = 510
"""A voice has a style for each length of text, in phonemes; longer texts are cut."""
STYLE = 256
"""Numbers in a style: half of them for the sound, half for the prosody."""

_BYTES = LENGTHS * STYLE * 4
_HEADER = 65_536
"""Bytes before the numbers of an array that numpy saved: more than it ever writes."""
_SHARE = re.compile(r"\s*([\w-]+)\s*(?:\*\s*(\d+(?:\.\d+)?|\.\d+)\s*)?")


def present(folder: Path) -> list[str]:
    """The names of the voices in the model's folder, in files of their own or in one of all."""
    files = {file.stem for file in (folder / "voices").glob("*") if file.suffix in (".bin", ".pt")}
    return sorted(files.union(*map(_names, _packs(folder))))


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


def load(folder: Path, spec: str) -> Samples:
    """The voice's styles, float32, shape (LENGTHS, STYLE); row n-1 is for n phonemes.

    Raises:
        ConfigError: no such voice, or its file is not one.
        MissingDependency: the folder holds no voice at all.
    """
    parts = shares(spec)
    if not (names := present(folder)):
        raise MissingDependency(
            f"no voices in {folder / 'voices'} and no voices-*.bin in {folder}; "
            "voicebot models pull kokoro"
        )
    for name in parts:
        if name not in names:
            raise ConfigError(f"[tts] kokoro has no voice {name!r}; {there_is(name, names)}")
    blend = sum(share * _read(folder, name) for name, share in parts.items())
    return np.asarray(blend, np.float32)


def _packs(folder: Path) -> list[Path]:
    """Files that hold many voices, as kokoro-onnx keeps them: voices-v1.0.bin, of numpy's npz."""
    return sorted([*folder.glob("voices*.bin"), *folder.glob("voices*.npz")])


def _names(pack: Path) -> list[str]:
    try:
        with ZipFile(pack) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, BadZipFile) as error:
        raise ConfigError(f"[tts] kokoro cannot read the voices in {pack}: {error}") from error


def _read(folder: Path, name: str) -> Samples:
    path = folder / "voices" / f"{name}.bin"
    try:
        if path.exists():
            data = path.read_bytes()
        elif (path := path.with_suffix(".pt")).exists():
            data = _tensor(path)
        else:
            path = next(pack for pack in _packs(folder) if name in _names(pack))
            data = _packed(path, name)
    except (OSError, BadZipFile, KeyError, ValueError, RuntimeError, zlib.error) as error:
        raise ConfigError(f"[tts] kokoro cannot read the voice in {path}: {error}") from error
    whole = len(data) == _BYTES
    styles = np.frombuffer(data if whole else b"", "<f4").astype(np.float32)
    if not len(styles) or not np.isfinite(styles).all():
        raise ConfigError(
            f"[tts] kokoro: {path} is not a voice, which is {LENGTHS} styles of {STYLE} numbers"
        )
    return styles.reshape(LENGTHS, STYLE)


def _packed(pack: Path, name: str) -> bytes:
    """The numbers of one of many voices."""
    with ZipFile(pack) as archive:
        if archive.getinfo(f"{name}.npy").file_size > _BYTES + _HEADER:
            raise ValueError(f"the size of {name} is not that of a voice")
        with archive.open(f"{name}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False).astype("<f4").tobytes()


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
