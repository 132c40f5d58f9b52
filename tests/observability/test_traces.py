"""The trace of each turn, as a collector of OpenTelemetry's gets it."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from otlp import collecting
from room import ChatModel, Drawing, Room, Synthesizer, Transcriber, user

from voicebot import config
from voicebot import context as request
from voicebot.assistant.assembly import EngineSpec
from voicebot.config import Config, LogSettings, TracesSettings
from voicebot.conversation import Typed
from voicebot.conversation.degradation import DegradationPolicy
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.conversation.timeline import GAPS
from voicebot.engines import Delta
from voicebot.errors import ConfigError, EngineError
from voicebot.events import Passage
from voicebot.observability import genai
from voicebot.observability.otlp import WAITING, Export
from voicebot.observability.provenance import Provenance
from voicebot.observability.traces import traced
from voicebot.observability.turn_log import TurnLogger

context = pytest.importorskip("opentelemetry.context")
propagate = pytest.importorskip("opentelemetry.propagate")

ROOT = Path(__file__).resolve().parents[2]
ASK = ("speak", 1.0)
CLIENT = 3
STAGES = ["recognition", "retrieval", "llm", "synthesis", "speaker"]
STORY = "One two three. Four five six. Seven eight nine.".split()  # noqa: SIM905 - it is a story
CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector():
    with collecting() as collector:
        yield collector


VOICE = EngineSpec("tts", "room:Synthesizer", {"voice": "anna"})


def told(spans, *script, chosen=(VOICE,), **room):
    """Have a conversation in the pretend room traced."""
    identity = Provenance(chosen)
    request.begin("abc")
    pretend = Room(**room)
    account = TurnLogger(identity, pretend.note, observers=[spans.observer])
    pretend.conversation.emit = account.note
    pretend.live(pretend.conversation.run(user(*script)))
    request.begin("")


@pytest.fixture
def spans(collector):
    """The spans of a conversation in the pretend room, once they have arrived."""

    def tell(*script, transcripts=False, **room):
        log = LogSettings(transcripts=transcripts)
        with traced(Config(traces=TracesSettings(collector.url), log=log)) as spans:
            told(spans, *script, **room)
        return collector.spans

    return tell


class Counting(ChatModel):
    """Tells how many tokens it has read and written."""

    async def reply(self, messages):
        async for delta in super().reply(messages):
            yield Delta(tokens=(31, 7), kept=20, finish="stop") if delta.finish else delta


def test_a_turn_is_one_trace_with_a_span_for_each_stage(spans, collector):
    llm = Counting("Good", "morning.", passages=(Passage("lease.md#3", "text", 2.5),))
    whole, *stages = spans(ASK, ("wait", 3.0), llm=llm)
    assert [span.about["voicebot.stage"] for span in stages] == STAGES
    assert {span.trace for span in stages} == {whole.trace}
    assert {span.parent for span in stages} == {whole.id}
    assert whole.parent == ""
    assert whole.name == "invoke_agent voicebot"
    assert whole.about["voicebot.turn.outcome"] == "answered"
    assert (whole.about["voicebot.request.id"], whole.about["voicebot.turn.id"]) == ("abc", "abc.1")
    assert not any(span.failed for span in [whole, *stages])
    assert whole.ends <= time.time()
    assert collector.paths == ["/v1/traces"]


def test_its_spans_have_the_times_of_its_marks(spans):
    llm = Counting("Good", "morning.", passages=(Passage("lease.md#3", "text"),))
    whole, stt, search, llm, tts, speaker = spans(ASK, ("wait", 3.0), llm=llm)

    def after(span):
        return [round(at - whole.begins, 2) for at in (span.begins, span.ends)]

    assert stt.begins > whole.begins  # once the first pause was heard
    assert after(stt)[1] - after(stt)[0] == pytest.approx(0.2)
    assert after(search) == [after(stt)[1]] * 2
    assert after(llm) == [after(search)[1], pytest.approx(after(search)[1] + 0.1)]
    assert llm.about["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.05)
    assert tts.begins >= llm.begins
    ((name, gate, _),) = whole.events
    assert name == "gate"
    assert speaker.begins == pytest.approx(gate, abs=0.01)
    assert whole.about["voicebot.first_audio_ms"] == round(1000 * (speaker.begins - whole.begins))
    assert speaker.ends == pytest.approx(whole.ends)
    assert speaker.ends - speaker.begins == pytest.approx(0.6, abs=0.01)


def test_it_tells_which_engines_did_it_and_what_they_used(spans):
    llm = Counting("Good", "morning.", passages=(Passage("lease.md#3", "text", 2.5),))
    _, _stt, search, llm, tts, _ = spans(ASK, ("wait", 3.0), llm=llm)
    assert tts.name == "synthesize room:Synthesizer"
    assert tts.about["gen_ai.operation.name"] == "synthesize"
    assert tts.about["gen_ai.provider.name"] == "room:Synthesizer"
    assert tts.about["voicebot.voice"] == "anna"
    assert (llm.name, llm.about["gen_ai.operation.name"]) == ("chat", "chat")
    assert llm.about["gen_ai.usage.input_tokens"] == 31
    assert llm.about["gen_ai.usage.output_tokens"] == 7
    assert llm.about["gen_ai.usage.cache_read.input_tokens"] == 20
    documents = json.loads(search.about["gen_ai.retrieval.documents"])
    assert documents == [{"id": "lease.md#3", "score": 2.5}]


def test_it_tells_what_the_words_were_drawn_with(spans):
    stages = spans(ASK, ("wait", 3.0), llm=Drawing("Good", "morning."))
    (llm,) = [span for span in stages if span.name == "chat"]
    assert llm.about["gen_ai.request.seed"] == 1


def test_what_a_server_of_others_does_is_a_call_of_it(spans):
    options = {"url": "http://localhost:11434/v1", "model": "qwen3:4b"}
    llm = ChatModel("Yes.")
    *_, llm, _, _ = spans(
        ASK, ("wait", 3.0), llm=llm, chosen=[EngineSpec("llm", "openai", options)]
    )
    assert (llm.name, llm.kind) == ("chat qwen3:4b", CLIENT)
    assert llm.about["gen_ai.provider.name"] == "openai"
    assert llm.about["gen_ai.request.model"] == "qwen3:4b"
    assert llm.about["gen_ai.request.temperature"] == 0.7


def test_the_waits_between_chunks_are_a_histogram_and_no_spans(spans):
    found = spans(ASK, ("wait", 9.0), llm=ChatModel(*STORY))
    assert len(found) == 5
    (llm,) = [span for span in found if span.name == "chat"]
    assert llm.about["voicebot.chunk_gap.bounds"] == list(GAPS)
    counts = llm.about["voicebot.chunk_gap.counts"]
    assert len(counts) == len(GAPS) + 1
    assert sum(counts) == len(STORY)  # after the first word: the others, and that it has ended


def test_what_was_given_up_is_an_event_at_its_time(spans):
    fallbacks = Fallbacks(DegradationPolicy(LatencySettings()), PrerenderedSpeech([]))
    llm, stt = ChatModel("Yes."), Transcriber(takes=0.5)
    whole, stt, *_ = spans(ASK, ("wait", 6.0), llm=llm, stt=stt, fallbacks=fallbacks)
    degradations = [
        (about["voicebot.degradation"], at)
        for name, at, about in whole.events
        if name == "degradation"
    ]
    assert [degradation for degradation, _ in degradations] == ["fewer_passages", "short_clause"]
    assert degradations[0][1] == pytest.approx(stt.ends, abs=0.01)


def test_a_failure_is_told_by_the_turn_and_by_the_stage_that_failed(spans):
    llm = ChatModel("Yes.")
    found = spans(ASK, ("wait", 3.0), llm=llm, tts=Synthesizer(fails=True))
    failed = [span for span in found if span.failed]
    assert [span.about.get("voicebot.stage") for span in failed] == [None, "synthesis"]
    assert {span.reason for span in failed} == {"tts: no voice"}
    assert {span.about["error.type"] for span in failed} == {"failed"}
    assert found[0].about["voicebot.turn.outcome"] == "failed"


class Deaf:
    async def transcribe(self, audio):
        raise EngineError("stt", "no ears")
        yield


def test_a_failed_recognition_has_a_span_and_the_excuse_that_was_heard(spans):
    fallbacks = Fallbacks(
        DegradationPolicy(LatencySettings()), PrerenderedSpeech(["", LatencySettings().apology])
    )
    whole, stt, speaker = spans(ASK, ("wait", 9.0), stt=Deaf(), fallbacks=fallbacks)
    assert (stt.about["voicebot.stage"], stt.reason) == ("recognition", "stt: no ears")
    assert speaker.about["voicebot.stage"] == "speaker"
    assert "voicebot.first_audio_ms" not in whole.about  # an excuse is no answer


def test_a_model_that_says_nothing_was_waited_for_all_the_same(spans):
    *_, llm = spans(ASK, ("wait", 9.0), llm=ChatModel("Yes.", takes=5.0), patience=2.0)
    assert (llm.about["voicebot.stage"], llm.about["error.type"]) == ("llm", "silent")
    assert llm.ends - llm.begins == pytest.approx(2.0, abs=0.01)


def test_an_engine_that_hangs_has_a_span_as_long_as_it_was_waited_for(spans):
    _, _, llm, tts = spans(
        ASK, ("wait", 9.0), llm=ChatModel("Yes."), tts=Synthesizer(hangs=True), patience=2.0
    )
    assert (tts.about["voicebot.stage"], tts.failed) == ("synthesis", True)
    assert tts.ends - tts.begins == pytest.approx(2.0, abs=0.01)
    assert not llm.failed


def turns(spans):
    """The spans that are whole turns, in their order: the pretend clock has no date."""
    whole = [span for span in spans if "voicebot.turn.id" in span.about]
    return sorted(whole, key=lambda span: span.about["voicebot.turn.id"])


def test_an_interrupted_turn_ends_where_it_was_cut_off(spans):
    found = spans(ASK, ("wait", 2.0), ASK, ("wait", 9.0), llm=ChatModel(*STORY))
    first, second = turns(found)
    assert first.about["voicebot.turn.outcome"] == "interrupted"
    assert second.about["voicebot.turn.outcome"] == "answered"
    parts = [span for span in found if span.parent == first.id]
    assert max(span.ends for span in parts) == pytest.approx(first.ends)
    assert {span.about["voicebot.stage"] for span in parts} == {*STAGES} - {"retrieval"}


def test_each_turn_is_a_trace_of_its_own(spans):
    found = spans(ASK, ("wait", 3.0), Typed("and now"), ("wait", 3.0), llm=ChatModel("Yes."))
    spoken, typed = turns(found)
    assert [each.about["voicebot.turn.id"] for each in (spoken, typed)] == ["abc.1", "abc.2"]
    assert spoken.trace != typed.trace
    parts = [span.about["voicebot.stage"] for span in found if span.parent == typed.id]
    assert parts == ["llm", "synthesis", "speaker"]


def test_a_conversation_that_begins_in_a_trace_stays_in_it(spans):
    token = context.attach(propagate.extract({"traceparent": CLIENTS}))
    try:
        found = spans(ASK, ("wait", 3.0), ASK, ("wait", 3.0), llm=ChatModel("Yes."))
    finally:
        context.detach(token)
    assert {span.trace for span in found} == {CLIENTS.split("-")[1]}
    parents = {span.parent for span in found if "voicebot.turn.id" in span.about}
    assert parents == {CLIENTS.split("-")[2]}


def test_a_client_that_samples_a_trace_out_is_obeyed(spans):
    token = context.attach(propagate.extract({"traceparent": CLIENTS[:-1] + "0"}))
    try:
        assert spans(ASK, ("wait", 3.0), llm=ChatModel("Yes.")) == []
    finally:
        context.detach(token)


def test_what_was_said_is_told_only_where_the_log_may_keep_it(spans, collector):
    passages = (Passage("lease.md#3", "The rent is due."),)
    spans(ASK, ("wait", 3.0), llm=ChatModel("Good", "morning.", passages=passages))
    assert not any(word in b"".join(collector.bodies) for word in (b"hello", b"morning", b"rent"))
    collector.bodies.clear()
    whole, *_ = spans(ASK, ("wait", 3.0), llm=ChatModel("Good", "morning."), transcripts=True)
    (asked,) = json.loads(whole.about["gen_ai.input.messages"])
    (answered,) = json.loads(whole.about["gen_ai.output.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "hello there"}]}
    assert answered["parts"][0]["content"] == "Good morning."


def test_of_an_interrupted_reply_only_what_was_heard_is_told(spans):
    found = spans(ASK, ("wait", 2.0), ASK, ("wait", 9.0), llm=ChatModel(*STORY), transcripts=True)
    (answered,) = json.loads(turns(found)[0].about["gen_ai.output.messages"])
    heard = answered["parts"][0]["content"]
    assert heard
    assert len(heard) < len(" ".join(STORY))


# The way to the collector


def test_the_standard_s_variables_are_honoured(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "butler")
    with Export("env") as export:
        export.tracer.start_span("one").end()
    (span,) = collector.spans
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["authorization"] == "Bearer abc"
    assert span.resource["service.name"] == "butler"


def test_a_variable_that_makes_no_sense_is_a_mistake_with_a_name(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")  # which must be as many as go at once
    with pytest.raises(ConfigError, match=r"\[traces\] OTEL_ variables .*: max_export_batch_size"):
        Export("env")


def test_the_settings_go_before_the_environment(collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with Export(collector.url + "/") as export:
        export.tracer.start_span("one").end()
    (span,) = collector.spans
    assert span.resource["service.name"] == "voicebot"


def test_a_dead_collector_is_told_of_once_and_once_that_it_is_back(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "5")  # milliseconds
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    caplog.set_level(logging.INFO)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as later, Export(f"http://127.0.0.1:{port}") as export:
        while not caplog.records:
            export.tracer.start_span("lost").end()
            threading.Event().wait(0.01)
        for _ in range(20):
            export.tracer.start_span("lost").end()
            threading.Event().wait(0.01)
        collector = later.enter_context(collecting(port))
        while not collector.bodies:
            export.tracer.start_span("one").end()
            threading.Event().wait(0.01)
    where = f"http://127.0.0.1:{port}/v1/traces"
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith(f"no traces reach {where}: ")
    assert last == f"traces reach {where} again"


def late(collector):
    """It answers at last those who have given it up, and who still complain until then."""
    collector.answers.set()
    for thread in threading.enumerate():
        if thread.name == "traces":
            thread.join()


def test_a_collector_that_never_answers_delays_nobody_and_is_not_waited_for(
    collector, monkeypatch, caplog
):
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    collector.answers.clear()
    with Export(collector.url) as export:
        for _ in range(4):
            export.tracer.start_span("held").end()
        collector.until(lambda it: it.bodies)  # now the way is blocked
        for _ in range(1000):
            export.tracer.start_span("lost").end()
    late(collector)
    assert len(collector.spans) <= 12
    (record,) = caplog.records
    assert "Queue full" in record.getMessage()


def test_what_is_given_up_at_the_end_is_told(collector, monkeypatch, caplog):
    monkeypatch.setattr("voicebot.observability.otlp.LAST_S", 0.1)
    collector.answers.clear()
    with Export(collector.url) as export:
        export.tracer.start_span("lost").end()
    late(collector)
    (record,) = caplog.records
    assert record.getMessage().endswith("/v1/traces: the last of them take too long")


def test_no_password_of_a_collector_gets_into_the_log(monkeypatch, caplog):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Export(f"http://me:secret@127.0.0.1:{port}") as export:
        export.tracer.start_span("lost").end()
    (record,) = caplog.records
    assert f"no traces reach http://127.0.0.1:{port}/v1/traces: " in record.getMessage()
    assert "secret" not in caplog.text


def test_more_turns_than_can_be_told_of_are_lost_and_told_of_once(collector, caplog):
    busy = threading.Event()
    with Export(collector.url) as export:
        for make in [busy.wait, *[lambda: None] * (WAITING + 5)]:
            export.later(make)
        busy.set()
    (record,) = caplog.records
    assert "more turns end than can be told of" in record.getMessage()


# Where no traces are wanted, or can be had


def alone(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)


def test_nothing_of_it_is_imported_unless_it_is_chosen():
    done = alone(
        "import sys, voicebot.commands.ask, voicebot.commands.talk, voicebot.server.serve\n"
        "from voicebot.config import Config\n"
        "from voicebot.observability.traces import traced\n"
        "with traced(Config()) as spans: assert spans is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_extra_one_line_says_how_to_get_it(tmp_path):
    settings = tmp_path / "voicebot.toml"
    settings.write_text('[traces]\nendpoint = "env"\n')
    code = "import sys; sys.modules['opentelemetry'] = None; from voicebot import cli; cli.main()"
    done = alone(code, "--config", str(settings), "ask", "--text", "hello")
    assert done.returncode == 4
    assert done.stderr == ("voicebot: [traces] needs OpenTelemetry; voicebot install otel\n")


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://host", "collector", "http://"])
def test_an_endpoint_that_is_no_address_is_a_wrong_setting(tmp_path, endpoint):
    (tmp_path / "voicebot.toml").write_text(f'[traces]\nendpoint = "{endpoint}"\n')
    with pytest.raises(ConfigError, match=r"\[traces\] endpoint should look like http://local"):
        config.read(tmp_path / "voicebot.toml")


def test_the_names_that_the_documentation_tells_are_ours():
    told = (ROOT / "docs" / "observability.md").read_text("utf-8")
    named = set(re.findall(r"voicebot\.[a-z_]+(?:\.[a-z_]+)*", told))
    ours = {value for value in vars(genai).values() if isinstance(value, str)}
    assert {"voicebot.first_audio_ms", "voicebot.turn.outcome"} <= named
    assert named - {"voicebot.log"} <= ours  # the example of a log's file


# A whole turn with real engines


def test_a_local_conversation_is_traced(collector, tmp_path):
    (tmp_path / "voicebot.toml").write_text(
        f'[documents]\nfolder = "{ROOT / "examples" / "house"}"\n[stt]\nengine = "pocketsphinx"\n'
        '[llm]\nengine = "extractive"\n[tts]\nengine = "espeak"\n[traces]\nendpoint = "env"\n'
    )
    command = [sys.executable, "-m", "voicebot", "--models", "none", "ask", "-o", "answer.wav"]
    done = subprocess.run(
        [*command, "--json", str(ROOT / "examples" / "question.wav")],
        cwd=tmp_path,
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url},
        capture_output=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    (end,) = [e for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "turn_ended"]
    whole, *stages = collector.spans
    assert whole.about["voicebot.turn.id"] == end["request"]
    assert [span.about["voicebot.stage"] for span in stages] == STAGES
    assert [span.name for span in stages] == [
        "transcribe pocketsphinx",
        "retrieval",
        "chat extractive",
        "synthesize espeak",
        "speaker",
    ]
    assert stages[0].about["voicebot.engine.version"] == end["spoke"]["engines"]["stt"]["version"]
    first = end["marks"]["speaker.first"]
    assert stages[-1].begins - whole.begins == pytest.approx(first, abs=0.002)
