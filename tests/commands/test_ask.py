"""Whole turns through `voicebot ask` in a child process, with the engines everybody has."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

from voicebot.audio import Audio, join, silence
from voicebot.audio.recordings import WavWriter, decode
from voicebot.engines.pocketsphinx.engine import PocketSphinx

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
EMBEDDED = f"""
[vad]
engine = "silero"
[stt]
engine = "pocketsphinx"
[llm]
engine = "extractive"
[tts]
engine = "espeak"
[documents]
folder = "{EXAMPLES / "house"}"
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "voicebot.toml").write_text(EMBEDDED)
    return tmp_path


def ask(place, *arguments, **how):
    command = [sys.executable, "-m", "voicebot", "--models", "none", "ask", *arguments]
    return subprocess.run(command, capture_output=True, cwd=place, timeout=55, check=False, **how)


def events(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def kinds(done):
    return [event["event"] for event in events(done)]


def texts(done, kind):
    return [event["text"] for event in events(done) if event["event"] == kind]


def sound(path):
    return join(list(decode(str(path), 16000)))


def write(path, audio):
    with WavWriter(str(path)) as wav:
        wav.write(audio)
    return str(path)


def understood(audio):
    """The words a recogniser hears in it."""
    import asyncio

    async def hear(engine):
        return " ".join([segment.text async for segment in engine.transcribe(audio)])

    engine = PocketSphinx()
    try:
        return asyncio.run(hear(engine)).split()
    finally:
        engine.close()


def test_a_spoken_question_gets_a_spoken_answer(place):
    done = ask(place, str(EXAMPLES / "question.wav"), "-o", "answer.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert texts(done, "transcript") == ["when was the old apple tree planted"]
    assert "1931" in " ".join(texts(done, "clause_spoken"))
    answer = sound(place / "answer.wav")
    assert answer.seconds > 2
    heard = understood(answer)
    assert {"apple", "tree", "planted"} & set(heard), heard


def test_the_events_come_in_the_order_things_happen(place):
    done = ask(place, str(EXAMPLES / "question.wav"), "-o", "answer.wav", "--json")
    order = [
        "speech_started",
        "speech_paused",
        "speech_ended",
        "transcript",
        "passages",
        "clause_spoken",
    ]
    assert [kind for kind in kinds(done) if kind in order][: len(order)] == order
    last = events(done)[-1]
    assert last["event"] == "turn_ended"
    assert last["spoke"]["engines"]["stt"]["engine"] == "pocketsphinx"
    assert (last["spoke"]["voice"], last["spoke"]["rate"]) == ("en-us", 22050)
    (request,) = {event["request"] for event in events(done)}
    assert request.endswith(".1")
    marks = last["marks"]
    assert marks["gate"] >= 0.45, "no answer before the silence has proved the end"
    assert marks["gate"] <= marks["speaker.first"]
    assert set(marks) >= {"stt.last", "llm.first", "tts.first", "speaker.first"}


def test_people_are_told_question_answer_passages_and_timeline(place):
    done = ask(place, str(EXAMPLES / "question.wav"), "-o", "answer.wav", text=True)
    begins = [line.partition(":")[0] for line in done.stdout.splitlines()]
    assert begins == ["question", "passages", "answer", "timeline"], (
        "nothing is degraded for a file"
    )
    assert "The old apple tree was planted in 1931" in done.stdout
    assert "pocketsphinx listens" in done.stderr


def test_a_file_with_several_questions_is_one_conversation(place):
    done = ask(place, str(EXAMPLES / "two-questions.wav"), "-o", "answer.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert kinds(done).count("turn_ended") == len(texts(done, "transcript")) == 2
    assert "interrupted" not in kinds(done)
    assert kinds(done)[-1] == "turn_ended"


def test_a_typed_question_is_answered_aloud(place):
    done = ask(place, "--text", "When was the apple tree planted?", "-o", "a.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert "1931" in " ".join(texts(done, "clause_spoken"))
    assert sound(place / "a.wav").seconds > 2


def test_sound_goes_in_and_out_through_pipes(place):
    question = (EXAMPLES / "question.wav").read_bytes()
    done = ask(place, "-", "-o", "-", input=question)
    assert done.returncode == 0, done.stderr
    (place / "piped.wav").write_bytes(done.stdout)
    assert sound(place / "piped.wav").seconds > 2
    assert b"question: when was" in done.stderr


def test_a_reader_that_has_seen_enough_ends_it_without_a_trace(place):
    command = [sys.executable, "-m", "voicebot", "--models", "none", "ask", "--json"]
    command += [str(EXAMPLES / "two-questions.wav"), "-o", "a.wav"]
    with subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert "speech_started" in child.stdout.readline()
        child.stdout.close()
        errors = child.stderr.read()
    assert child.returncode == 1
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors


def test_what_the_documents_do_not_hold_is_said_plainly(place):
    done = ask(place, "--text", "Who won the election in Peru?", "-o", "a.wav", "--json")
    assert done.returncode == 0
    assert "passages" not in kinds(done)
    assert "documents" in " ".join(texts(done, "clause_spoken"))


@pytest.mark.parametrize(
    "audio",
    [
        silence(3, 16000),
        silence(3, 8000),
        Audio(np.random.default_rng(0).normal(0, 0.05, 96000).astype(np.float32), 16000),
    ],
    ids=["silence", "silence on the telephone", "noise"],
)
def test_where_nobody_speaks_the_exit_code_is_3(place, audio):
    done = ask(place, write(place / "quiet.wav", audio), "-o", "a.wav", "--json")
    assert done.returncode == 3, done.stderr
    assert b"voicebot: no question was found in" in done.stderr
    assert not texts(done, "transcript")


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_a_question_is_heard_at_any_rate(place, rate):
    path = write(place / "q.wav", Audio(_at(rate), rate))
    done = ask(place, path, "-o", "a.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert "apple" in " ".join(texts(done, "transcript"))


def _at(rate):
    parts = list(decode(str(EXAMPLES / "question.wav"), rate))
    return np.concatenate([part.samples for part in parts])


def test_a_long_recording_is_searched_to_its_end_in_little_memory(place):
    quiet = Audio(np.zeros(16000 * 300, np.float32), 16000)
    question = join([quiet, sound(EXAMPLES / "question.wav")])
    done = ask(place, write(place / "long.wav", question), "-o", "a.wav", "--json")
    assert done.returncode == 0, done.stderr
    assert texts(done, "transcript") == ["when was the old apple tree planted"]


ENGINES = """
import time
import numpy
from voicebot.audio import Audio
from voicebot.engines import Delta, Speech
from voicebot.errors import EngineError
from voicebot.concurrency.worker import Worker

def sound(seconds, rate):
    return Audio(numpy.full(int(seconds * rate), 0.1, numpy.float32), rate)

class Story:
    async def reply(self, messages):
        yield Delta("Once upon a time. There was a king. He had a daughter. ")

class Raising:
    async def synthesize(self, text):
        if "king" in text:
            raise EngineError("tts", "the voice is lost")
        yield Speech(sound(0.5, 24000))

class Hanging:
    def __init__(self):
        self.worker = Worker("hanging")
    def _speak(self, text):
        yield Speech(sound(0.5, 24000))
        if text != "Hello there.":  # which is asked before it is trusted
            time.sleep(1000)
    def synthesize(self, text):
        return self.worker.stream(self._speak, text)

class Broken:
    async def synthesize(self, text):
        yield 1 / 0
"""


def own(place, voice, degradations=""):
    (place / "mine.py").write_text(ENGINES)
    (place / "voicebot.toml").write_text(
        f'[assistant]\nengine_timeout_s = 1\n[latency]\ndegradations = "{degradations}"\n'
        f'[llm]\nengine = "mine:Story"\n[tts]\nengine = "mine:{voice}"'
    )


def test_in_a_file_no_other_voice_goes_on(place):
    own(place, "Raising", degradations="fallback_voice")
    done = ask(place, "--text", "hello", "-o", "a.wav", "--json")
    assert done.returncode == 1
    assert not [event for event in events(done) if event["event"] == "degraded"]
    assert texts(done, "clause_spoken") == ["Once upon a time."]


@pytest.mark.parametrize(
    ("voice", "reason"),
    [("Raising", "the voice is lost"), ("Hanging", "nothing came for 1 s")],
)
def test_an_engine_that_fails_in_mid_answer_is_told_and_what_was_made_is_kept(place, voice, reason):
    own(place, voice)
    done = ask(place, "--text", "hello", "-o", "a.wav", "--json")
    assert done.returncode == 1
    failed = [event for event in events(done) if event["event"] == "failed"]
    assert [(event["stage"], event["reason"]) for event in failed] == [("tts", reason)]
    assert texts(done, "clause_spoken") == ["Once upon a time."], "a clause is told when it sounds"
    assert sound(place / "a.wav").seconds == pytest.approx(0.5, abs=0.05)
    assert b"Traceback" not in done.stderr


def test_a_bug_in_an_engine_is_loud(place):
    own(place, "Broken")
    done = ask(place, "--text", "hello", "-o", "a.wav")
    assert done.returncode == 1
    assert b"ZeroDivisionError" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("moment", ["imports", "speech_started", "transcript", "clause_spoken"])
def test_ctrl_c_ends_it_at_any_moment_without_a_trace(place, moment):
    command = [sys.executable, "-m", "voicebot", "--models", "none", "ask"]
    command += [str(EXAMPLES / "question.wav"), "-o", "a.wav", "--json"]
    with subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        if moment == "imports":
            assert child.stdout
            os.read(child.stderr.fileno(), 1)  # the first line tells which engines were loaded
        else:
            next(line for line in child.stdout if moment in line)
        family = descendants(child.pid)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert child.returncode == 130, errors
    assert "Traceback" not in errors
    assert gone(family), "no process is left behind"


def descendants(pid):
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def gone(pids):
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


def test_an_answer_is_written_in_the_format_that_its_name_ends_in(place):
    done = ask(place, "--text", "When was the old apple tree planted?", "-o", "answer.mp3")
    assert done.returncode == 0, done.stderr
    with av.open(str(place / "answer.mp3")) as container:
        assert container.format.name == "mp3"
    assert sound(place / "answer.mp3").seconds > 2


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_document_steers_no_terminal(place, form):
    folder = place / "documents"
    folder.mkdir()
    (folder / "trap.md").write_text("The boiler \x1b]52;c;aGFja2Vk\x07 is in \x9b2J the cellar.")
    settings = (place / "voicebot.toml").read_text().partition("[documents]")[0]
    (place / "voicebot.toml").write_text(f'{settings}[documents]\nfolder = "documents"')
    done = ask(place, "--text", "Where is the boiler?", "-o", "a.wav", *form)
    assert done.returncode == 0, done.stderr
    told = (done.stdout + done.stderr).decode()
    assert "cellar" in told
    assert not set(told) & {"\x1b", "\x07", "\x9b"}
