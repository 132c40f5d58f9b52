"""The sound devices of this machine, as PortAudio knows them, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from typing import Any, Literal

from ..errors import ConfigError, MissingDependency

_CLOSING = 1.0
"""Seconds a device may take to close. Where it is gone, some drivers wait for it for ever."""


@dataclass(frozen=True, slots=True)
class Device:
    """A sound device, as PortAudio lists it."""

    index: int
    name: str
    inputs: int
    """Channels it records; 0 if it is no microphone."""
    outputs: int
    """Channels it plays; 0 if it is no loudspeaker."""
    default_in: bool = False
    default_out: bool = False


def devices() -> list[Device]:
    """Every sound device PortAudio knows.

    Raises:
        MissingDependency: sounddevice or PortAudio is not installed.
    """
    sounddevice = library()
    default_in, default_out = sounddevice.default.device
    return [
        Device(
            index=each["index"],
            name=each["name"],
            inputs=each["max_input_channels"],
            outputs=each["max_output_channels"],
            default_in=each["index"] == default_in,
            default_out=each["index"] == default_out,
        )
        for each in sounddevice.query_devices()
    ]


def choose(
    found: Sequence[Device], kind: Literal["microphone", "loudspeaker"], wanted: str | None = None
) -> Device:
    """The device whose number or name `wanted` is, or part of whose name; None: the default.

    Raises:
        ConfigError: no device or more than one is meant.
        MissingDependency: there is none of this kind at all.
    """
    recording = kind == "microphone"
    able = [each for each in found if (each.inputs if recording else each.outputs)]
    if not able:
        raise MissingDependency(
            f"no {kind} on this machine; plug one in, or use voicebot ask with files"
        )
    if wanted is None:
        default = [each for each in able if (each.default_in if recording else each.default_out)]
        return (default or able)[0]
    name = wanted.strip().lower()
    # A whole name goes before a part: "mic" means "mic" although there is "mic of the webcam".
    meant = [each for each in able if name in (str(each.index), each.name.lower())]
    meant = meant or [each for each in able if name and name in each.name.lower()]
    if len(meant) == 1:
        return meant[0]
    problem = (
        f"{wanted!r} could be any of" if meant else f"no {kind} is called {wanted!r}; there is"
    )
    names = ", ".join(f"{each.index} {each.name!r}" for each in meant or able)
    raise ConfigError(f"{problem} {names}")


def close(stream: Any) -> None:
    """Close a stream as far as its driver lets us."""
    closer = Thread(target=stream.close, name="close sound device", daemon=True)
    closer.start()
    closer.join(_CLOSING)


def library() -> Any:
    """The module sounddevice.

    Raises:
        MissingDependency: it or PortAudio is not installed.
    """
    try:
        return import_module("sounddevice")
    except ImportError as error:
        raise MissingDependency("no sounddevice; voicebot install audio") from error
    except OSError as error:
        raise MissingDependency(
            "no PortAudio; apt install libportaudio2 (Debian, Ubuntu), dnf install portaudio "
            "(Fedora), brew install portaudio (macOS)"
        ) from error
    except Exception as error:  # PortAudioError, which a module that failed to load cannot name
        raise MissingDependency(f"PortAudio cannot start: {error}") from error
