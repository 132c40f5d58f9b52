"""Settings: one TOML file, sane when empty, an error for every surprise; and what goes before it.

An engine's constructor signature is the schema of its section.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from . import engines, model_names
from .conversation.endpointing import EndpointingSettings
from .conversation.latency_budget import LatencySettings
from .conversation.pauses import SpeechSettings
from .engines import ENGINES, Kind
from .engines.fault_injection import FaultSettings
from .errors import ConfigError
from .overrides import Override
from .spelling import near, there_is

S = TypeVar("S")

INSTRUCTIONS = (
    "You are a voice assistant. Your answers are spoken aloud: answer in one to three short "
    "sentences of plain words, without lists, links, markup or emoji. If you do not know, say so."
)


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """Which engine, and the keyword arguments of its constructor."""

    engine: str = "auto"
    """A name from `voicebot engines`, "package.module:Class" of your own, or "auto"."""
    options: dict[str, Any] = field(default_factory=dict)
    auto_local: bool = False
    """Of [llm], with "auto": use a chat server that answers on this machine's loopback."""
    models: dict[str, EngineChoice] = field(default_factory=dict)
    """Others of the kind, by the names that a request may choose them by. Each names its engine."""


@dataclass(frozen=True, slots=True)
class AssistantSettings:
    """`[assistant]`: what the chat model is told, and how long an engine may be silent."""

    instructions: str = INSTRUCTIONS
    """What the language model is told before anything else."""
    engine_timeout_s: float = 30.0
    """An engine that gives nothing for this long fails its turn."""

    def __post_init__(self) -> None:
        if self.engine_timeout_s <= 0:
            raise ConfigError(
                f"[assistant] engine_timeout_s should be above 0, not {self.engine_timeout_s:g}"
            )


@dataclass(frozen=True, slots=True)
class DocumentSettings:
    """`[documents]`: the documents that answers are drawn from."""

    folder: str = ""
    """Where your .md and .txt files are; relative to this file. Empty: no documents."""
    passages: int = 4
    """How many passages a reply may draw on. More cost a language model time to read."""

    def __post_init__(self) -> None:
        if self.passages < 1:
            raise ConfigError(f"[documents] passages should be at least 1, not {self.passages}")


_STUN = re.compile(r"stun:[^:/?\s]+(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`[server]`: where `voicebot serve` listens, and who may use it."""

    host: str = "127.0.0.1"
    """The address to listen at; the default is reached from this machine alone."""
    port: int = 8124
    """0: any that is free."""
    tls_certificate: str = ""
    """PEM, with the chain; relative to this file. Empty: plain HTTP."""
    tls_key: str = ""
    """PEM; empty where it lies in the certificate's file."""
    keys: str = ""
    """The file of those who may come in, made by `voicebot keys add`; relative to this file."""
    open: bool = False
    """Let everybody in who can reach the address, without a key."""
    hosts: tuple[str, ...] = ()
    """Names that this machine is reached by, like ["voice.example"], where no key is asked for. Its
    own name, localhost and addresses count without; any other may be a web page's trick."""
    sessions: int = 100
    """Conversations at once; two cores listen to a hundred. One more is asked to come back."""
    origins: str = ""
    """Pages of others that may talk to this server, with spaces between: "https://a.example"."""
    proxies: tuple[str, ...] = ()
    """Addresses or networks of reverse proxies, like ["127.0.0.1", "10.0.0.0/8"], whose
    X-Forwarded-For, -Proto, -Host and -Port are believed; nobody else's are."""
    stun: str = ""
    """The server that tells calls over WebRTC this machine's address outside: "stun:host:port".
    Empty: none is asked, and calls go over loopback and the local network alone."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"[server] port should be from 0 to 65535, not {self.port}")
        if self.tls_key and not self.tls_certificate:
            raise ConfigError("[server] tls_key needs tls_certificate beside it")
        if self.stun and not _STUN.fullmatch(self.stun):
            raise ConfigError(f"[server] stun should be stun:HOST:PORT, not {self.stun!r}")
        networks(self.proxies)
        if self.sessions < 1:
            raise ConfigError(f"[server] sessions should be at least 1, not {self.sessions}")
        if self.keys and self.open:
            raise ConfigError("[server] keys and open = true contradict each other: keep one")


def networks(proxies: Sequence[str]) -> list[IPv4Network | IPv6Network]:
    """Raises: ConfigError, where one of them is neither an address nor a network."""
    try:
        return [ip_network(each) for each in proxies]
    except ValueError as error:
        raise ConfigError(f"[server] proxies should be addresses or networks: {error}") from None


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[log]`: what is logged, where, and for how long it is kept."""

    file: str = ""
    """Where the log is kept, relative to this file; "-" is standard error. Empty: nowhere, and
    only warnings are told on standard error."""
    format: Literal["json", "text"] = "json"
    """"json" is for programs, `voicebot turns` among them, "text" for people."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written: "debug", "info", "warning" or "error"."""
    size_mb: int = 10
    """How large a file may grow before the next one is begun."""
    keep: int = 5
    """How many older files are kept beside it."""
    transcripts: bool = False
    """Write down what was said. Otherwise only how long it was and a hash of it."""

    def __post_init__(self) -> None:
        if self.size_mb < 1:
            raise ConfigError(f"[log] size_mb should be at least 1, not {self.size_mb}")
        # Each is looked for whenever a new one is begun.
        if not 1 <= self.keep <= 9999:
            raise ConfigError(f"[log] keep should be from 1 to 9999, not {self.keep}")


@dataclass(frozen=True, slots=True)
class TracesSettings:
    """`[traces]`: the OpenTelemetry collector that turns are sent to."""

    endpoint: str = ""
    """The address of an OpenTelemetry collector that takes OTLP over HTTP: "http://localhost:4318".
    "env": what OTEL_EXPORTER_OTLP_ENDPOINT says. Empty: no traces are made. The standard's other
    variables, for headers, certificates, sampling and more, hold in both cases."""

    def __post_init__(self) -> None:
        if self.endpoint not in ("", "env") and not _is_address(self.endpoint):
            raise ConfigError(
                f"[traces] endpoint should look like http://localhost:4318, not {self.endpoint}"
            )


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # its port, or a half of its brackets
        return False


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """`[record]`: the folder of conversations that `voicebot replay` holds again."""

    folder: str = ""
    """Where each session is kept for `voicebot replay`, sound and all, relative to this file.
    Empty: nothing is."""
    size_mb: int = 500
    """How large the folder may grow before its oldest sessions go: an hour takes 150 to 250 MB."""
    failed_only: bool = False
    """Keep only the sessions in which a turn failed."""

    def __post_init__(self) -> None:
        if self.size_mb < 1:
            raise ConfigError(f"[record] size_mb should be at least 1, not {self.size_mb}")


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, section by section.

    Raises ConfigError where a value is out of its range or does not go with another.
    """

    turn_detection: EndpointingSettings = field(default_factory=EndpointingSettings)
    assistant: AssistantSettings = field(default_factory=AssistantSettings)
    latency: LatencySettings = field(default_factory=LatencySettings)
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    documents: DocumentSettings = field(default_factory=DocumentSettings)
    server: ServerSettings = field(default_factory=ServerSettings)
    log: LogSettings = field(default_factory=LogSettings)
    traces: TracesSettings = field(default_factory=TracesSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    faults: FaultSettings = field(default_factory=FaultSettings)
    vad: EngineChoice = field(default_factory=EngineChoice)
    stt: EngineChoice = field(default_factory=EngineChoice)
    llm: EngineChoice = field(default_factory=EngineChoice)
    tts: EngineChoice = field(default_factory=EngineChoice)

    def __post_init__(self) -> None:
        engine_timeout_s = self.assistant.engine_timeout_s
        self.latency.check(self.turn_detection, engine_timeout_s)
        for kind in ENGINES:
            for section, choice in _choices(kind, self.choice(kind)):
                timeout = choice.options.get("timeout", 0)
                if isinstance(timeout, int | float) and timeout > engine_timeout_s:
                    raise ConfigError(
                        f"[{section}] timeout ({timeout:g} s) is longer than [assistant] "
                        f"engine_timeout_s ({engine_timeout_s:g} s), after which it is given up"
                    )

        _check_names(self)

    def choice(self, kind: Kind) -> EngineChoice:
        chosen: EngineChoice = getattr(self, kind)
        return chosen

    def choosing(self, kind: Kind, name: str) -> Config:
        """The same with the model of that name for the usual one of its kind.

        Raises:
            ConfigError: there is no such model.
        """
        models = self.choice(kind).models
        found = next((models[each] for each in models if each.lower() == name.lower()), None)
        if found is None:
            raise ConfigError(f"[{kind}.models] has no {name!r}; {there_is(name, models)}")
        others = {each: model for each, model in models.items() if model is not found}
        chosen: dict[str, Any] = {kind: dataclasses.replace(found, models=others)}
        return dataclasses.replace(self, **chosen)


def _choices(kind: Kind, choice: EngineChoice) -> Iterator[tuple[str, EngineChoice]]:
    """Every engine of the kind, with the section it stands in."""
    yield kind, choice
    for name, model in choice.models.items():
        yield f"{kind}.models.{name}", model


def _check_names(config: Config) -> None:
    """
    Raises:
        ConfigError: one name means two models, or other servers' models of another kind.
    """
    owners: dict[str, str] = {}
    for kind in ENGINES:
        for name in config.choice(kind).models:
            section = f"{kind}.models.{name}"
            if fault := model_names.fault(name, kind):
                raise ConfigError(f"[{section}] {fault}")
            if (other := owners.setdefault(name.lower(), section)) != section:
                raise ConfigError(f"[{section}] and [{other}] have one name: change one of them")


def find(given: str | None = None) -> Path | None:
    """The settings file: `given`, or ./voicebot.toml, or the user's own; None if there is none.

    Raises:
        ConfigError: `given` is not a file.
    """
    if given:
        if not Path(given).is_file():
            raise ConfigError(f"{given}: no such file")
        return Path(given)
    places = (Path("voicebot.toml"), _users())
    return next((place for place in places if place and place.is_file()), None)


def _users() -> Path | None:
    """None for a user without a home, as a container's may be."""
    if sys.platform == "win32":
        folder = os.environ.get("APPDATA") or "~/AppData/Roaming"
    elif sys.platform == "darwin":
        folder = "~/Library/Application Support"
    else:
        folder = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    try:
        return Path(folder).expanduser() / "voicebot" / "voicebot.toml"
    except RuntimeError:
        return None


def read(path: Path | None, overrides: Sequence[Override] = ()) -> Config:
    """Read settings from `path`; what it leaves out keeps its default.

    overrides: go before the file, and the later of two before the earlier. A path among them is
        relative to the current folder.

    Raises:
        ConfigError: naming the file, or the overrides that are to blame, the section and the key.
    """
    table: dict[str, Any] = {}
    if path is not None:
        try:
            # Editors of Windows begin a file with a byte order mark.
            table = tomllib.loads(path.read_text("utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
            raise ConfigError(f"{path}: {error}") from error
    folder = path.parent if path else Path()
    try:
        return _config(table, overrides, folder)
    except ConfigError as error:
        blamed = _to_blame(table, overrides, folder, str(error))
        if not blamed:
            blamed = [str(path)] if path else [override.source for override in overrides]
        raise ConfigError(f"{', '.join(blamed)}: {error}") from error


def _to_blame(
    table: dict[str, Any], overrides: Sequence[Override], folder: Path, said: str
) -> list[str]:
    """The overrides without which the same would not be said of the settings."""
    blamed = []
    for at, override in enumerate(overrides):
        try:
            _config(table, [*overrides[:at], *overrides[at + 1 :]], folder)
        except ConfigError as error:
            if str(error) == said:
                continue
        blamed.append(override.source)
    return blamed


_NAMED = ("stt", "llm", "tts")
"""The sections that may have further engines, by name: one detector hears for all of them."""


def _config(table: dict[str, Any], overrides: Sequence[Override], folder: Path) -> Config:
    sections = [f.name for f in dataclasses.fields(Config)]
    for name in [*table, *(override.section for override in overrides)]:
        if name not in sections:
            raise ConfigError(f"[{name}] is not a section; {there_is(name, sections)}")
    for name, values in table.items():
        if not isinstance(values, dict):
            raise ConfigError(f"{name} should be a section, [{name}], not {values!r}")
    table = {name: _copied(values, 2) for name, values in table.items()}
    # The engine first: it says which other settings there are.
    for override in sorted(overrides, key=lambda each: not each.key.endswith("engine")):
        _override(*_place(table.setdefault(override.section, {}), override))
    return Config(**{name: _section(name, values, folder) for name, values in table.items()})


def _place(values: dict[str, Any], override: Override) -> tuple[dict[str, Any], Override]:
    """What an override is to be put into: a section, or the table of one of its models."""
    if override.section not in _NAMED or not override.key.startswith("models."):
        return values, override
    # The name may hold dots.
    name, _, key = override.key.removeprefix("models.").rpartition(".")
    if not name:
        wanted = f"{override.section}.models.{key}"
        raise ConfigError(f"{wanted} needs the name of a setting, like {wanted}.engine")
    models = values.setdefault("models", {})
    if not isinstance(models, dict):
        raise ConfigError(_no_tables(override.section, models))
    # Variables are written without regard to case.
    name = next((each for each in models if each.lower() == name.lower()), name)
    if not isinstance(table := models.setdefault(name, {}), dict):
        raise ConfigError(_no_table(f"{override.section}.models.{name}", table))
    return table, dataclasses.replace(override, key=key)


def _copied(values: Any, levels: int) -> Any:
    """The same tables, of which those of so many levels can be changed."""
    if not isinstance(values, dict) or levels < 0:
        return values
    return {key: _copied(value, levels - 1) for key, value in values.items()}


def _no_tables(section: str, values: Any) -> str:
    return f"[{section}] models should be tables, [{section}.models.NAME], not {values!r}"


def _no_table(section: str, values: Any) -> str:
    return f"[{section}] should be a table, not {values!r}"


def _override(values: dict[str, Any], override: Override) -> None:
    """Set one setting among the `values` of its section."""
    section, key = override.section, override.key
    hint = _hint(section, key, values)
    value = override.value
    if isinstance(value, str) and hint is bool:
        value = {"true": True, "false": False}.get(value.lower(), value)
    if not engines.fits(value, hint) and engines.fits(override.text, hint):
        value = override.text  # "1234" may be a name
    if get_origin(hint) is tuple and not isinstance(value, list):
        value = override.text.split()
    is_path = key in _PATHS.get(section, ()) and value not in ("", "-")
    if isinstance(value, str) and (is_path or (key == "model" and Path(value).exists())):
        value = os.path.abspath(value)
    if section in ENGINES and key == "engine" and value != values.get("engine", "auto"):
        for other in [*values]:
            if other != "models":
                del values[other]  # which is another engine's
    values[key] = value


def _hint(section: str, key: str, values: dict[str, Any]) -> Any:
    """The type of a setting; Any where that is not known."""
    settings = get_type_hints(Config)[section]
    if settings is not EngineChoice or key in ("engine", "auto_local"):
        return get_type_hints(settings).get(key, Any)
    kind: Kind = next(kind for kind in ENGINES if kind == section)
    try:
        parameter = engines.options(kind, str(values.get("engine", "auto"))).get(key)
    except ConfigError:  # no such engine, which is told when the section is read
        return Any
    return parameter.annotation if parameter else Any


_PATHS = {
    "documents": ("folder",),
    "server": ("tls_certificate", "tls_key", "keys"),
    "log": ("file",),
    "record": ("folder",),
}
"""Of each section, the settings that are paths below the file's own folder."""


def _section(name: str, values: dict[str, Any], folder: Path) -> Any:
    section = get_type_hints(Config)[name]
    if section is not EngineChoice:
        return _placed(name, _checked(name, values, section), folder)
    kind: Kind = next(kind for kind in ENGINES if kind == name)
    if kind not in _NAMED and isinstance(values.get("models"), dict):
        there = " and ".join(f"[{each}.models.NAME]" for each in _NAMED)
        raise ConfigError(f"[{kind}] has one engine for everybody; there is {there}")
    models = values.get("models", {}) if name in _NAMED else {}
    if not isinstance(models, dict):
        raise ConfigError(_no_tables(name, models))
    main = {key: value for key, value in values.items() if key != "models" or name not in _NAMED}
    others = {each: _model(kind, each, given, folder) for each, given in models.items()}
    return dataclasses.replace(_choice(kind, main, folder), models=others)


def _model(kind: Kind, name: str, values: Any, folder: Path) -> EngineChoice:
    """One more engine of the kind, which a request may choose by its name."""
    section = f"{kind}.models.{name}"
    if not isinstance(values, dict):
        raise ConfigError(_no_table(section, values))
    for key, value in values.items():
        if isinstance(value, dict):
            raise ConfigError(
                f"[{section}] {key} should be no table; quote a name that has a dot: "
                f'[{kind}.models."{name}.{key}"]'
            )
    engine = values.get("engine", "auto")
    if engine == "auto":
        key = next((key for key in values if near(key, ["engine"])), "")
        hint = f"; did you mean engine, not {key}?" if key and key != "engine" else ""
        known = " or ".join(map(repr, ENGINES[kind]))
        raise ConfigError(f"[{section}] should name its engine, engine = {known}{hint}")
    try:
        return _choice(kind, values, folder)
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"[{kind}]", f"[{section}]", 1)) from error


def _choice(kind: Kind, values: dict[str, Any], folder: Path) -> EngineChoice:
    options = dict(values)
    engine = options.pop("engine", "auto")
    if not isinstance(engine, str):
        raise ConfigError(f"[{kind}] engine should be a name, not {engine!r}")
    auto_local = options.pop("auto_local", False) if kind == "llm" else False
    if not isinstance(auto_local, bool):
        raise ConfigError(f"[llm] auto_local should be true or false, not {auto_local!r}")
    if auto_local and engine != "auto":
        raise ConfigError(f"[llm] auto_local is for engine = 'auto'; leave out it or {engine!r}")
    if engine == "auto" and options:
        key = next(iter(options))
        if meant := near(key, ("engine", "auto_local") if kind == "llm" else ("engine",)):
            raise ConfigError(f"[{kind}] {key} is not a setting; did you mean {meant}?")
        raise ConfigError(
            f"[{kind}] {key} is a setting of one engine: name it, "
            f"engine = {' or '.join(repr(known) for known in ENGINES[kind])}"
        )
    if engine != "auto":
        engines.check(kind, engine, options)
    model = options.get("model")
    if isinstance(model, str) and (folder / model).exists():
        options["model"] = str(folder / model)
    return EngineChoice(engine, options, auto_local)


def _placed(section: str, settings: S, folder: Path) -> S:
    """The settings with those of _PATHS that are not empty made paths below `folder`."""
    paths = {name: getattr(settings, name) for name in _PATHS.get(section, ())}
    for name, path in paths.items():
        if "\0" in path:
            raise ConfigError(f"[{section}] {name} should be a path, not {path!r}")
    placed = {name: str(folder / path) for name, path in paths.items() if path not in ("", "-")}
    return dataclasses.replace(settings, **placed)  # type: ignore[type-var]  # each is a dataclass


def _checked(name: str, values: dict[str, Any], settings: type[S]) -> S:
    types = get_type_hints(settings)
    for key, value in values.items():
        if key not in types:
            raise ConfigError(f"[{name}] {key} is not a setting; {there_is(key, types)}")
        if not engines.fits(value, types[key]):
            wanted = " or ".join(map(repr, get_args(types[key]))) or types[key].__name__
            wanted = "a list of texts" if get_origin(types[key]) is tuple else wanted
            raise ConfigError(f"[{name}] {key} should be {wanted}, not {value!r}")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return settings(**{**values, **lists})
