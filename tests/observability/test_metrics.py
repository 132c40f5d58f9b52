"""The figures that Prometheus reads, of conversations in the pretend room."""

import asyncio
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families
from room import ChatModel, InstantLoop, Room, Synthesizer, Transcriber, user

from voicebot.conversation import Typed
from voicebot.conversation.degradation import DegradationPolicy
from voicebot.conversation.fallbacks import Fallbacks
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.conversation.prerendered import PrerenderedSpeech
from voicebot.engines import Delta
from voicebot.events import Degraded, Failed, Transcript, TurnEnded
from voicebot.observability import metrics
from voicebot.observability.metrics import Metrics
from voicebot.observability.provenance import Provenance
from voicebot.observability.turn_log import TurnLogger

ASK = ("speak", 1.0)
STORY = "One two three. Four five six. Seven eight nine.".split()  # noqa: SIM905 - it is a story


class Figures:
    """What a page of metrics says."""

    def __init__(self, counted):
        page = counted.page({"talk": 1, "realtime": 0}, {"stt": 2})
        self.text = asyncio.run(page).decode()
        families = text_string_to_metric_families(self.text)
        self.samples = [sample for family in families for sample in family.samples]

    def __call__(self, name, **labels):
        (value,) = [
            sample.value
            for sample in self.samples
            if sample.name == f"voicebot_{name}" and sample.labels == labels
        ]
        return value

    def within(self, name, bound, **labels):
        """How many observations were at most so large."""
        return self(f"{name}_bucket", le=str(bound), **labels)


def counted(*script, fallbacks=None, **room):
    """The figures of one conversation."""
    metrics = Metrics()
    pretend = Room(**room, **({"fallbacks": fallbacks} if fallbacks else {}))
    account = TurnLogger(Provenance([]), pretend.note, observers=[metrics.observer])
    pretend.conversation.emit = account.note
    pretend.live(pretend.conversation.run(user(*script)))
    return Figures(metrics)


def noted(*events):
    metrics = Metrics()
    observer = metrics.observer()
    for event in events:
        observer.note(event)
    return Figures(metrics)


def test_an_answered_turn_is_counted_with_its_times():
    figures = counted(ASK, ("wait", 3.0), llm=ChatModel("Good", "morning."))
    assert figures("turns_total", outcome="answered") == 1
    # It was begun at the first pause, and heard as soon as the silence had lasted.
    assert figures.within("first_audio_seconds", 0.4, input="speech") == 0
    assert figures.within("first_audio_seconds", 0.5, input="speech") == 1
    assert figures("first_audio_seconds_count", input="text") == 0
    assert figures("turn_stage_seconds_sum", stage="recognition") == pytest.approx(0.2)
    assert figures("turn_stage_seconds_sum", stage="end_of_turn") == pytest.approx(0.48, abs=0.04)
    assert figures("turn_stage_seconds_count", stage="retrieval") == 0
    assert figures("question_characters_sum") == len("hello there")
    assert figures("reply_characters_sum") == len("Good morning.")


def test_how_fast_engines_work_is_told_in_parts_of_real_time():
    figures = counted(ASK, ("wait", 3.0), llm=ChatModel("Good", "morning."))
    recognition = figures("real_time_factor_ratio_sum", stage="recognition")
    assert recognition == pytest.approx(0.2 / 1.15, abs=0.01)
    assert figures("real_time_factor_ratio_sum", stage="synthesis") == pytest.approx(0.1)


def test_silence_within_an_answer_that_nobody_wrote_is_counted():
    figures = noted(TurnEnded({}, amounts={"underruns": 2.0, "underrun": 0.7}))
    assert figures("underruns_total") == 2
    assert figures("underrun_seconds_total") == pytest.approx(0.7)


def test_a_typed_question_is_kept_apart():
    figures = counted(Typed("what time is it"), ("wait", 3.0), llm=ChatModel("Noon."))
    assert figures("first_audio_seconds_count", input="text") == 1
    assert figures("first_audio_seconds_count", input="speech") == 0
    assert figures("turn_stage_seconds_count", stage="end_of_turn") == 0


def test_an_interruption_is_counted():
    figures = counted(ASK, ("wait", 2.0), ASK, ("wait", 9.0), llm=ChatModel(*STORY))
    assert figures("interruptions_total") == 1
    assert figures("turns_total", outcome="interrupted") == 1
    assert figures("turns_total", outcome="answered") == 1


def test_an_answer_begun_too_early_is_a_false_start_and_no_turn():
    figures = counted(ASK, ("wait", 0.3), ASK, ("wait", 3.0), llm=ChatModel("Yes."))
    assert figures("false_starts_total") == 1
    assert sum(s.value for s in figures.samples if s.name == "voicebot_turns_total") == 1


def test_a_failure_is_counted_by_stage_and_kind():
    failing = {"llm": ChatModel("Yes."), "tts": Synthesizer(fails=True)}
    figures = counted(ASK, ("wait", 3.0), **failing)
    assert figures("turns_total", outcome="failed") == 1
    assert figures("failures_total", stage="tts", kind="failed") == 1
    assert figures("first_audio_seconds_count", input="speech") == 0


def test_an_engine_that_hangs_is_a_failure_of_another_kind():
    hanging = {"llm": ChatModel("Yes."), "tts": Synthesizer(hangs=True)}
    figures = counted(ASK, ("wait", 9.0), patience=5.0, **hanging)
    assert figures("failures_total", stage="tts", kind="silent") == 1


def test_a_noise_is_a_rejected_transcript():
    figures = counted(ASK, ("wait", 3.0), stt=Transcriber(""))
    assert figures("transcripts_rejected_total") == 1
    assert figures("turns_total", outcome="nothing_heard") == 1
    assert figures("question_characters_count") == 0


def test_a_question_without_words_has_no_length():
    assert noted(Transcript(""))("question_characters_count") == 0


def test_what_was_given_up_to_be_in_time_is_counted():
    fallbacks = Fallbacks(DegradationPolicy(LatencySettings()), PrerenderedSpeech([]))
    figures = counted(
        ASK, ("wait", 6.0), llm=ChatModel("Yes."), stt=Transcriber(takes=0.5), fallbacks=fallbacks
    )
    assert figures("degradations_total", degradation="short_clause", preemptive="false") == 1
    assert figures("degradations_total", degradation="short_clause", preemptive="true") == 0


def test_what_is_given_up_before_it_is_late_is_told_apart():
    figures = noted(Degraded("single_decode", preemptive=True))
    assert figures("degradations_total", degradation="single_decode", preemptive="true") == 1


class Counting(ChatModel):
    async def reply(self, messages):
        yield Delta("Noon.")
        yield Delta(finish="stop", tokens=(50, 3), kept=40)


def test_tokens_are_counted_once_each_by_kind():
    figures = counted(ASK, ("wait", 3.0), llm=Counting())
    kinds = [figures("tokens_total", kind=kind) for kind in ("prompt", "cached", "output")]
    assert kinds == [10, 40, 3]
    assert (figures("prompt_tokens_sum"), figures("output_tokens_sum")) == (50, 3)


def test_an_engine_that_counts_no_tokens_leaves_their_figures_alone():
    assert counted(ASK, ("wait", 3.0), llm=ChatModel("Yes."))("prompt_tokens_count") == 0


def test_words_of_others_never_become_labels():
    figures = noted(Failed("my own stage", "it broke", "my kind"), Degraded("my degradation"))
    assert figures("failures_total", stage="other", kind="other") == 1
    assert figures("degradations_total", degradation="other", preemptive="false") == 1
    assert "my" not in {word for s in figures.samples for word in str(s.labels).split()}
    assert "my own stage" not in figures.text


def test_what_has_not_happened_yet_is_zero_and_not_absent():
    figures = noted()
    assert figures("turns_total", outcome="failed") == 0
    assert figures("failures_total", stage="llm", kind="silent") == 0
    assert figures("first_audio_seconds_count", input="speech") == 0


def test_conversations_and_calls_are_what_they_are_when_it_is_asked():
    figures = noted()
    assert (figures("sessions", protocol="talk"), figures("engine_calls", engine="stt")) == (1, 2)


def test_an_engine_that_was_exchanged_leaves_nothing_behind():
    metrics = Metrics()
    asyncio.run(metrics.page({}, {"stt": 2, "llm": 1}))
    assert b"voicebot_engine_calls{" not in asyncio.run(metrics.page({}, {}))


def test_two_servers_count_apart():
    one, other = Metrics(), Metrics()
    one.observer().note(Failed("llm", "it broke"))
    assert Figures(one)("failures_total", stage="llm", kind="failed") == 1
    assert Figures(other)("failures_total", stage="llm", kind="failed") == 0


def test_a_loop_that_is_held_up_is_seen_to_be():
    class Late(InstantLoop):
        """A loop whose clock jumps: somebody has kept it for a fifth of a second."""

        def time(self):
            return super().time() + (0.2 if self.jumped else 0.0)

        jumped = False

    async def life():
        loop = asyncio.get_running_loop()
        watching = asyncio.create_task(counts.watch_loop())
        await asyncio.sleep(metrics.LOOK_S * 4.5)
        loop.jumped = True
        await asyncio.sleep(metrics.LOOK_S)
        watching.cancel()
        await asyncio.wait([watching])

    counts = Metrics()
    with asyncio.Runner(loop_factory=Late) as runner:
        runner.run(life())
    figures = Figures(counts)
    assert figures.within("event_loop_lag_seconds", 0.001) == 4
    assert figures("event_loop_lag_seconds_count") == 5
    assert figures("event_loop_lag_seconds_sum") == pytest.approx(0.075, abs=0.01)


@pytest.mark.skipif(not shutil.which("promtool"), reason="there is no promtool here")
def test_prometheus_has_nothing_to_say_against_the_names():
    figures = counted(ASK, ("wait", 3.0), llm=ChatModel("Yes."))
    command = ["promtool", "check", "metrics"]
    done = subprocess.run(command, input=figures.text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_second_windows_go_on_being_counted_when_the_recogniser_is_exchanged():
    metrics = Metrics()
    for first, second in [(100, 2), (128, 4), (10, 1)]:  # the third is another, after a reload
        page = asyncio.run(
            metrics.page({}, {}, {"stt": {"first": first, "second": second}})
        ).decode()
    assert 'voicebot_recognition_windows_total{window="first"} 138.0' in page
    assert 'voicebot_recognition_windows_total{window="second"} 5.0' in page
