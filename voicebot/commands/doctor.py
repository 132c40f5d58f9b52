"""`voicebot doctor` and `voicebot engines`: what is here, what is missing, and what to do."""

from __future__ import annotations

import inspect
import os
import platform
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__, engines
from ..assistant import local_servers
from ..assistant.assembly import EngineSpec, choose
from ..assistant.probe import Failure, Probe
from ..config import Config
from ..engines import ENGINES, Entry, Kind
from ..errors import EngineError, VoicebotError
from ..weights import manifest as weights

PACKAGES = (
    "numpy", "av", "soxr", "onnxruntime", "pocketsphinx", "espeakng-loader",
    "faster-whisper", "llama-cpp-python", "kokoro", "torch", "httpx", "huggingface-hub",
    "sounddevice",
)  # fmt: skip


def list_engines(models: Path) -> int:
    """Print every engine, whether it can run here or what it lacks, and its settings."""
    for kind, known in ENGINES.items():
        print(f"[{kind}]")
        for name, entry in known.items():
            print(f"  {name:13} {_state(name, entry, models):24} {entry.says}")
            for setting, parameter in engines.options(kind, name).items():
                print(f"      {_setting(setting, parameter)}")
    return 0


def engine_table() -> str:
    """The engines of voicebot and their settings, as the Markdown table of docs/engines.md."""
    rows = ["| | engine | what it is | settings |", "|---|---|---|---|"]
    for kind, known in ENGINES.items():
        for name, entry in known.items():
            if entry.distribution:
                continue
            settings = engines.options(kind, name).items()
            shown = ", ".join(f"`{_setting(*setting)}`" for setting in settings)
            rows.append(f"| {kind} | `{name}` | {entry.says} | {shown} |")
    return "\n".join(rows) + "\n"


def _state(name: str, entry: Entry, models: Path) -> str:
    if absent := engines.lacking(entry):
        return f"needs {', '.join(absent)}"
    if entry.weights and not weights.find(name, models):
        return "needs weights"
    return "present"


def _setting(name: str, parameter: inspect.Parameter) -> str:
    kind = getattr(parameter.annotation, "__name__", str(parameter.annotation))
    default = "needed" if parameter.default is parameter.empty else f"= {parameter.default!r}"
    return f"{name}: {kind} {default}"


def examine(config: Config, models: Path, source: Path | None) -> int:
    """Print the state of all that voicebot rests on, each engine asked something small.

    Returns 0 if all that was chosen answers, else the exit code of what does not.
    """
    print(f"voicebot {__version__}, Python {platform.python_version()}, {platform.platform()}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"processor: {cores} cores for this process")
    print(f"settings:  {source or 'none; the defaults'}")
    print(f"packages:  {', '.join(_versions())}")
    pulled = [name for name, model in weights.manifest().items() if weights.present(model, models)]
    print(f"weights:   {', '.join(pulled) or 'none'} in {models}")
    engines_work = _engines(config, models)
    _local()
    return max(engines_work, _devices())


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return found


def _engines(config: Config, models: Path) -> int:
    usual = [_answers(kind, config, models) for kind in ENGINES]
    further = [
        _answers(kind, config.choosing(kind, name), models, name)
        for kind in ENGINES
        for name in config.choice(kind).models
    ]
    return max(*usual, *further)


def _answers(kind: Kind, config: Config, models: Path, name: str = "") -> int:
    """Have the engine of this kind answer; where "auto" must pass it over, also the next.

    name: what a further model is called.
    """
    title = f"{kind}.models.{name}:" if name else f"{kind}:"
    without: set[str] = set()
    while True:
        try:
            (chosen,) = choose(config, models, [kind], without)
        except VoicebotError as error:
            print(f"{title:10} {error}")
            return error.exit_code
        print(f"{title:10} {chosen}", flush=True)
        failure, seconds = _tried(chosen)
        if failure is None:
            print(f"{'':10} {seconds}")
            return 1 if without else 0
        print(f"{'':10} FAILS: {failure.reason}")
        if config.choice(kind).engine != "auto" or failure.code != EngineError.exit_code:
            return failure.code
        without.add(chosen.name)


def _tried(chosen: EngineSpec) -> tuple[Failure | None, str]:
    """What is wrong with an engine; if nothing is, how it was tried."""
    if engines.find(chosen.kind, chosen.name).native:
        with closing(Probe(chosen)) as probe:
            return probe.failure(), f"answers, {probe.seconds:.1f} s after its process began"
    try:
        # What it would be asked may cost money, or reach a network.
        engine = engines.load(chosen.kind, chosen.name, **chosen.options)
    except VoicebotError as error:
        return Failure(str(error), error.exit_code, died=False), ""
    if close := getattr(engine, "close", None):
        close()
    return None, "can be asked"


def _local() -> None:
    """Print the chat servers of this machine, in use or not."""
    found = local_servers.find(local_servers.LOOK_S)
    for server in found:
        print(f"local:     {server}")
    if not found:
        ports = ", ".join(map(str, local_servers.PORTS))
        print(f"local:     no chat server on {local_servers.HOST} at {ports}")


def _devices() -> int:
    from ..audio.devices import devices

    try:
        found = devices()
    except VoicebotError as error:
        print(f"sound:     {error}")
        return 0  # talking needs a device; asking, transcribing and serving do not
    if not found:
        print("sound:     no microphone and no loudspeaker on this machine")
    for device in found:
        ways = [w for w, n in (("microphone", device.inputs), ("speaker", device.outputs)) if n]
        print(f"sound:     {device.index} {device.name} ({', '.join(ways)})")
    return 0
