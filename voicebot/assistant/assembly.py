"""From settings to engines that can talk: which were chosen, why, and what would be better."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import engines
from ..config import AssistantSettings, Config, EngineChoice, RecordSettings
from ..conversation import Conversation, EndpointingSettings, Speaker
from ..conversation.degradation import DegradationPolicy
from ..conversation.fallbacks import Fallbacks
from ..conversation.prerendered import PrerenderedSpeech
from ..engines import ENGINES, ChatModel, Entry, Kind, Synthesizer, Transcriber, VoiceDetector
from ..engines.fault_injection import FaultSettings
from ..errors import ConfigError, EngineError, MissingDependency
from ..events import Event
from ..knowledge import DocumentIndex, RetrievalChatModel
from ..observability.provenance import Provenance, revision
from ..observability.turn_log import Observer, TurnLogger
from ..weights import manifest as weights
from . import local_servers, probe
from .on_demand import OnDemand, OnDemandEngines

if TYPE_CHECKING:
    from ..recording.recorder import Recorder

log = logging.getLogger(__name__)

EARS: tuple[Kind, ...] = ("vad", "stt")
DOES = {"vad": "detects speech", "stt": "listens", "llm": "answers", "tts": "speaks"}


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """The engine of one kind, ready to be loaded."""

    kind: Kind
    name: str
    options: dict[str, Any]
    better: str = field(default="", compare=False)
    """The command that gets a better one, where "auto" had to settle for less."""
    faults: FaultSettings = field(default_factory=FaultSettings)
    """What trouble it is in on purpose."""

    def __str__(self) -> str:
        model = f" ({Path(self.options['model']).name})" if "model" in self.options else ""
        better = f"; better: {self.better}" if self.better else ""
        return f"{self.name}{model} {DOES[self.kind]}{better}"


def choose(
    config: Config,
    models: Path,
    kinds: Iterable[Kind] = tuple(ENGINES),
    without: Container[str] = frozenset(),
) -> list[EngineSpec]:
    """The engine of each kind that these settings mean on this machine. Loads none of them.

    without: the names of engines that "auto" passes over.

    Raises:
        MissingDependency: no engine of a kind has all it needs, or the one named lacks its weights.
        ConfigError: an engine named does not exist.
    """
    return [_chosen(kind, config, models, without) for kind in kinds]


def choose_trusted(
    config: Config, models: Path, kinds: Iterable[Kind] = tuple(ENGINES)
) -> list[EngineSpec]:
    """As `choose`, of engines whose first request ended no process.

    Those that were not found well before are asked in child processes, all at once. Where "auto"
    chose one that ends its process, the next takes over.

    Raises:
        EngineError: an engine named, or the last of a kind, ended its process or hung.
    """
    known = probe.known()
    with ExitStack() as ending:

        def tried(chosen: EngineSpec) -> probe.Probe | None:
            if not engines.find(chosen.kind, chosen.name).native or known.has(chosen):
                return None
            return ending.enter_context(closing(probe.Probe(chosen)))

        # All are begun before the first is waited for.
        under_way = [(chosen, tried(chosen)) for chosen in choose(config, models, kinds)]
        return [_trusted(*each, config, models, known, tried) for each in under_way]


def _trusted(
    chosen: EngineSpec,
    probing: probe.Probe | None,
    config: Config,
    models: Path,
    known: probe.KnownEngines,
    tried: Callable[[EngineSpec], probe.Probe | None],
) -> EngineSpec:
    """That engine, or the next of its kind that answers."""
    kind, is_named = chosen.kind, config.choice(chosen.kind).engine != "auto"
    without: set[str] = set()
    while probing:
        if (failure := probing.failure()) is None:
            known.add(chosen)
            break
        # What it raised there it raises here, where what to do about it is known.
        if not failure.died and (is_named or failure.code != EngineError.exit_code):
            break
        without.add(chosen.name)
        try:
            following = None if is_named else choose(config, models, [kind], without)[0]
        except MissingDependency:
            following = None
        if following is None:
            raise EngineError(kind, failure.reason)
        log.warning("%s: %s; %s %s instead", kind, failure.reason, following.name, DOES[kind])
        chosen, probing = following, tried(following)
    return chosen


def _chosen(kind: Kind, config: Config, models: Path, without: Container[str]) -> EngineSpec:
    quotes = bool(config.documents.folder)
    chosen = _choose(kind, config.choice(kind), models, without, quotes)
    # Only for engines with a fault set; otherwise a reload would rebuild the others.
    return replace(chosen, faults=config.faults) if config.faults.fault(kind) else chosen


def _choose(
    kind: Kind, choice: EngineChoice, models: Path, without: Container[str], quotes: bool
) -> EngineSpec:
    """quotes: there are documents, so that the engine which quotes them has something to say."""
    if choice.engine != "auto":
        return EngineSpec(kind, choice.engine, _with_weights(kind, choice, models))
    if choice.auto_local and "openai" not in without and (local := _local()):
        return local
    better = ""
    for name, entry in ENGINES[kind].items():
        if name in without or _asks(kind, name, entry):
            continue
        absent, model = engines.lacking(entry), None
        if (entry.weights or entry.more) and not absent:
            # A model for trying out answers worse than documents are quoted, and better than
            # nothing is: see docs/answers.md.
            model = weights.find(name, models, trial=kind == "llm" and not quotes)
        if not absent and (model or not entry.weights):
            return EngineSpec(kind, name, {"model": str(model)} if model else {}, better)
        better = better or _getting(name, entry, models)
    raise MissingDependency(
        f"[{kind}] there is no engine that can run here; {better}{_others(kind)}"
    )


def _local() -> EngineSpec | None:
    """A chat server of this machine; None, and a word about it, where none can be used."""
    if absent := engines.lacking(ENGINES["llm"]["openai"]):
        fix = engines.install(ENGINES["llm"]["openai"])
        log.warning("[llm] auto_local needs %s; %s", absent[0], fix)
    elif server := local_servers.usable(local_servers.LOOK_S):
        # No key: none is needed, and whoever listens there need not learn ours.
        asked = {"url": server.url, "model": server.model, "key_env": ""}
        return EngineSpec("llm", "openai", asked)
    else:
        log.warning("[llm] auto_local: no chat server with a model answers on this machine")
    return None


def offers(config: Config) -> list[str]:
    """A line about the chat server of this machine that could be used, and is not."""
    choice = config.llm
    if choice.engine != "auto" or choice.auto_local:
        return []
    server = local_servers.usable()
    return [server.offer] if server else []


def _asks(kind: Kind, name: str, entry: Entry) -> list[str]:
    """The settings that only the user can give, so that nobody else can choose the engine."""
    return [
        setting
        for setting, parameter in engines.options(kind, name).items()
        if parameter.default is parameter.empty and not (entry.weights and setting == "model")
    ]


def _others(kind: Kind) -> str:
    """How to choose an engine that asks for settings."""
    ways = [
        f'engine = "{name}" with {" and ".join(asked)}'
        for name, entry in ENGINES[kind].items()
        if (asked := _asks(kind, name, entry))
    ]
    return f"; or set {', or '.join(ways)}, in [{kind}]" if ways else ""


def _getting(name: str, entry: Entry, models: Path) -> str:
    """One command that brings all an engine lacks."""
    steps = [engines.install(entry)] if engines.lacking(entry) else []
    if entry.weights and not weights.find(name, models):
        steps.append(_pull(name))
    return " && ".join(steps)


def _pull(engine: str) -> str:
    known = [model for model in weights.manifest().values() if model.engine == engine]
    # The one for a small machine is enough to be better than what is there.
    small = weights.profiles().get("small", [])
    return f"voicebot models pull {_smallest(known, small)}"


def _smallest(models: list[weights.Model], preferred: list[str]) -> str:
    among = [model for model in models if model.name in preferred] or models
    return min(among, key=lambda model: model.size).name


def _with_weights(kind: Kind, choice: EngineChoice, models: Path) -> dict[str, Any]:
    """The engine's settings, its `model` turned from a name into a path."""
    entry = engines.find(kind, choice.engine)
    if not (entry.weights or entry.more):
        return choice.options
    if model := choice.options.get("model"):
        return {**choice.options, "model": str(weights.resolve(model, models))}
    if found := weights.find(choice.engine, models, trial=True):
        return {**choice.options, "model": str(found)}
    if entry.more:
        return choice.options
    needs = _getting(choice.engine, entry, models)
    raise MissingDependency(f"[{kind}] {choice.engine} has no weights in {models}; {needs}")


@dataclass(frozen=True, slots=True)
class SpeechInput:
    """What it takes to understand speech; may be shared by many conversations."""

    stt: Transcriber
    settings: EndpointingSettings
    chosen: list[EngineSpec]

    def vad(self) -> VoiceDetector:
        """A voice detector of one's own: it remembers the sound before."""
        vad = next(c for c in self.chosen if c.kind == "vad")
        detector: VoiceDetector = engines.load("vad", vad.name, **vad.options)
        return detector

    def describe(self) -> list[str]:
        """One line an engine: what it does here, and the command that gets a better one."""
        return [str(chosen) for chosen in self.chosen]


@dataclass(frozen=True, slots=True)
class EngineSet(SpeechInput):
    """All it takes to hold conversations; may be shared by many."""

    llm: ChatModel
    tts: Synthesizer
    assistant: AssistantSettings
    fallbacks: Fallbacks = field(default_factory=Fallbacks, compare=False)
    observers: list[Callable[[], Observer]] = field(default_factory=list, compare=False)
    """Each makes one for every conversation that begins; a reload keeps them."""
    recorder: Recorder | None = field(default=None, compare=False)
    """Records every conversation, where that is asked for."""
    further: OnDemandEngines = field(default_factory=OnDemandEngines, compare=False)
    """What may be asked for by name in place of the usual engines."""
    identity: Provenance = field(init=False, compare=False)
    _with: dict[tuple[object, ...], EngineSet] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def __post_init__(self) -> None:
        told: list[Any] = [self.settings, self.assistant, self.fallbacks.policy.budget]
        told.append(self.fallbacks.speech)
        told += [each.faults for each in self.chosen]
        settings = [
            *map(asdict, told),
            self.llm.settings if isinstance(self.llm, RetrievalChatModel) else {},
        ]
        identity = Provenance(self.chosen, settings, getattr(self.tts, "rate", None))
        object.__setattr__(self, "identity", identity)  # the only way into a frozen one

    def conversation(self, speaker: Speaker, emit: Callable[[Event], None]) -> Conversation:
        account = self.account(emit, lambda: conversation.tts)
        conversation = Conversation(
            self.vad(),
            self.stt,
            self.llm,
            self.tts,
            speaker,
            account.note,
            endpointing=self.settings,
            instructions=self.assistant.instructions,
            patience=self.assistant.engine_timeout_s,
            fallbacks=self.fallbacks,
        )
        if self.recorder:
            self.recorder.record(conversation, spoke=self.identity.as_json())
        return conversation

    def describe(self) -> list[str]:
        """The same, what else can be asked for, and whether somebody listens in."""
        listens_in = [str(self.recorder)] if self.recorder else []
        return [*SpeechInput.describe(self), *map(str, self.further), *listens_in]

    def having(self, *models: OnDemand, informed: bool = True) -> EngineSet:
        """The same with these, which are loaded, in place of the usual engines of their kinds.

        informed: with the user's documents in view. Whoever closes these parts closes those.
        """
        if not models and (informed or self.llm is self.plain):
            return self
        if (wanted := (*models, informed)) not in self._with:
            changes: dict[str, Any] = {}
            for model in models:
                engine = model.loaded
                if model.kind == "llm" and isinstance(self.llm, RetrievalChatModel):
                    engine = self.llm.informing(engine)
                changes[model.kind] = engine
            others: dict[Kind, Any] = {model.kind: model.loaded_as for model in models}
            chosen = [others.get(usual.kind, usual) for usual in self.chosen]
            made = replace(self, chosen=chosen, **changes)
            self._with[wanted] = made if informed else replace(made, llm=made.plain)
        return self._with[wanted]

    def account(
        self, emit: Callable[[Event], None], mouth: Callable[[], Synthesizer]
    ) -> TurnLogger:
        """Of one conversation; `mouth` gives the voice that it has now."""
        return TurnLogger(self.identity, emit, mouth, self.observers)

    @property
    def plain(self) -> ChatModel:
        """The chat model without the user's documents."""
        return self.llm.llm if isinstance(self.llm, RetrievalChatModel) else self.llm

    def engine(self, kind: Kind) -> Any:
        """The one of a kind of which conversations share one."""
        return {"stt": self.stt, "llm": self.plain, "tts": self.tts}[kind]

    def new(self, before: EngineSet) -> list[Kind]:
        """The kinds of which these have another engine than those."""
        shared: tuple[Kind, ...] = ("stt", "llm", "tts")
        new = [kind for kind in shared if self.engine(kind) is not before.engine(kind)]
        vad = next(c for c in self.chosen if c.kind == "vad")
        return new if vad in before.chosen else ["vad", *new]

    def close(self, but: Iterable[EngineSet] = ()) -> None:
        """Close the engines, but not those that others of these parts use too."""
        used = [engine for parts in but for engine in parts._all()]
        with ExitStack() as closing:
            for engine in self._all():
                close = getattr(engine, "close", None)
                if close and not any(engine is other for other in used):
                    closing.callback(close)

    def _all(self) -> list[Any]:
        wrapper = [] if self.llm is self.plain else [self.llm]
        others = [other for other in (self.fallbacks.second_voice, self.recorder) if other]
        return [self.stt, self.plain, *wrapper, self.tts, *others, *self.further]


@contextmanager
def ears(config: Config, models: Path) -> Iterator[SpeechInput]:
    """Load only what understands speech, and close it in the end. Raises as `assemble`."""
    chosen = choose_trusted(config, models, EARS)
    with ExitStack() as closing:
        loaded = SpeechInput(_load(chosen[1], closing), config.turn_detection, chosen)
        loaded.vad()  # fails here rather than in the first conversation
        yield loaded


@contextmanager
def mouth(config: Config, models: Path) -> Iterator[tuple[EngineSpec, Synthesizer]]:
    """Load only what speaks, and close it in the end. Raises as `assemble`."""
    (chosen,) = choose_trusted(config, models, ["tts"])
    with ExitStack() as closing:
        yield chosen, _load(chosen, closing)


@contextmanager
def assemble(config: Config, models: Path) -> Iterator[EngineSet]:
    """Load what these settings mean, and close it all in the end. Raises as `build`."""
    parts = build(config, models)
    try:
        yield parts
    finally:
        parts.close()


def build(config: Config, models: Path, now: EngineSet | None = None) -> EngineSet:
    """Load what these settings mean; whoever asked for it closes it.

    now: engines in use, of which those are taken over that these settings mean too. The others
        are built beside them. Where both do not fit into memory, loading fails and what there
        was stays as it is; but a system that promises more memory than it has kills the process,
        so where weights fill more than half of it, restart instead.

    Documents are read anew.

    Raises:
        ConfigError, MissingDependency: as `choose`, or as an engine's constructor.
        EngineError: as `choose_trusted`.
    """
    chosen = choose_trusted(config, models)
    further = _further(config, models, chosen, now)
    with ExitStack() as undoing:
        # An engine that cannot be built fails here, and those before it are closed again.
        stt, llm, tts = [
            now.engine(c.kind) if now and _is_same(c, now) else _load(c, undoing)
            for c in chosen
            if c.kind != "vad"
        ]
        if config.documents.folder:
            library = DocumentIndex(Path(config.documents.folder))
            llm = RetrievalChatModel(llm, library, passages=config.documents.passages)
            undoing.callback(llm.close)
        usual = next(c for c in chosen if c.kind == "tts")
        fallbacks = _fallbacks(config, usual, tts, now, undoing)
        observers = now.observers if now else []
        recorder = _recorder(config.record, now.recorder if now else None, undoing)
        parts = EngineSet(
            stt, config.turn_detection, chosen, llm, tts, config.assistant, fallbacks, observers,
            recorder, further,
        )  # fmt: skip
        parts.vad()
        undoing.pop_all()
    return parts


def _is_same(chosen: EngineSpec, now: EngineSet) -> bool:
    # Weights may have been pulled anew, to the same place.
    commit = now.identity.revisions[chosen.kind].commit
    return chosen in now.chosen and revision(chosen).commit == commit


def _further(
    config: Config, models: Path, usual: list[EngineSpec], now: EngineSet | None
) -> OnDemandEngines:
    """What may be asked for by name. now: may have some of it already.

    Raises:
        ConfigError: one of them names no weights, lacks a setting, or has the name of a usual one.
    """
    found = []
    for kind in ENGINES:
        for name, choice in config.choice(kind).models.items():
            chosen = partial(_named, kind, name, choice, config, models)
            weights = str(choice.options.get("model", ""))
            model = OnDemand(kind, name, choice.engine, chosen, _build, model=weights)
            _check_further(model, config, usual)
            before = now.further.named(kind, name) if now else None
            found.append(before if before and before.is_same(model) else model)
    return OnDemandEngines(found)


def _named(kind: Kind, name: str, choice: EngineChoice, config: Config, models: Path) -> EngineSpec:
    """Raises: as `choose`."""
    chosen = _choose(kind, choice, models, frozenset(), quotes=False)
    engines.complete(kind, chosen.name, chosen.options)
    return replace(chosen, faults=config.faults) if config.faults.fault(kind) else chosen


def _check_further(model: OnDemand, config: Config, usual: list[EngineSpec]) -> None:
    section = f"{model.kind}.models.{model.name}"
    try:
        model.choose()
    except MissingDependency:
        pass  # it is told with the others, and may come later
    except ConfigError as error:
        reason = str(error).removeprefix(f"[{model.kind}] ")
        raise ConfigError(f"[{section}] {reason}") from error
    for each in usual:
        # What "auto" finds here may change with what is pulled.
        is_named = config.choice(each.kind).engine != "auto"
        if is_named and revision(each).name.lower() == model.name.lower():
            raise ConfigError(
                f"[{section}] has the name of what [{each.kind}] has already; choose another"
            )


def _fallbacks(
    config: Config, usual: EngineSpec, tts: Any, now: EngineSet | None, undoing: ExitStack
) -> Fallbacks:
    budget = config.latency
    language = tts.language_of(None) if hasattr(tts, "language_of") else ""
    chosen = _second_voice(usual.name, language) if "fallback_voice" in budget.enabled else None
    second_voice: Synthesizer | None = None
    if chosen:
        # The same voice has the same one in reserve.
        same = now and now.fallbacks.second_voice and usual in now.chosen
        second_voice = now.fallbacks.second_voice if now and same else _load(chosen, undoing)
    return Fallbacks(
        DegradationPolicy(budget), PrerenderedSpeech(budget.sentences), second_voice, config.speech
    )


def _second_voice(usual: str, language: str) -> EngineSpec | None:
    """The voice in reserve of one that speaks `language`: it takes some milliseconds a clause.

    hibari sounds like Kokoro, which it learnt from; espeak-ng has a process of its own, which is
    begun anew if it dies, and every language. None where there is no other.
    """
    english = language[:2] in ("en", "")  # or nobody says
    if english and usual not in ("hibari", "espeak") and not _lacks("hibari"):
        return EngineSpec("tts", "hibari", {})
    if usual == "espeak" or _lacks("espeak"):
        return None
    return EngineSpec("tts", "espeak", {"voice": language} if language else {})


def _lacks(voice: str) -> bool:
    return bool(engines.lacking(engines.find("tts", voice)))


def _recorder(
    settings: RecordSettings, now: Recorder | None, undoing: ExitStack
) -> Recorder | None:
    """now: what records already."""
    if not settings.folder or (now and now.settings == settings):
        return now if settings.folder else None
    from ..recording.recorder import Recorder

    recorder = Recorder(settings)
    undoing.callback(recorder.close)
    return recorder


def _load(chosen: EngineSpec, undoing: ExitStack) -> Any:
    engine = _build(chosen)
    if close := getattr(engine, "close", None):
        undoing.callback(close)
    return engine


def _build(chosen: EngineSpec) -> Any:
    engine = engines.load(chosen.kind, chosen.name, **chosen.options)
    return chosen.faults.around(chosen.kind, engine)
