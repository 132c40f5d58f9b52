"""An engine's first request in a child process: engines that end it, hang, or eat memory."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from voicebot.assistant.assembly import EngineSpec
from voicebot.assistant.probe import KnownEngines, Probe

ENGINES = '''
import os, signal, sys, threading, time
import ctypes

class Dying:
    """Answers with a signal, as a native library does."""
    def __init__(self, by: str = "SIGILL", thread: bool = False):
        self.by, self.thread = by, thread
    async def reply(self, messages):
        print("a library's chatter")
        if self.by == "SIGSEGV":
            ctypes.string_at(0)
        die = lambda: os.kill(os.getpid(), getattr(signal, self.by))
        if self.thread:
            other = threading.Thread(target=die)
            other.start()
            other.join()
        die()
        yield

class Hanging:
    async def reply(self, messages):
        time.sleep(60)
        yield

class Leaving:
    async def reply(self, messages):
        print("cannot allocate tensors", file=sys.stderr, flush=True)
        os._exit(3)
        yield

class Eating:
    async def reply(self, messages):
        eaten = []
        while True:
            eaten.append(bytes(1) * 10**7)
            time.sleep(0.01)
        yield

class Raising:
    async def reply(self, messages):
        raise ValueError("no such tensor")
        yield

class Well:
    def __init__(self, model: str = ""):
        pass
    async def reply(self, messages):
        from voicebot.engines import Delta
        print("a library's chatter")
        yield Delta("Yes.")
        yield Delta(finish="stop")
'''


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder in which `odd:Dying` and its like can be imported."""
    (tmp_path / "odd.py").write_text(ENGINES)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def chosen(name, **options):
    return EngineSpec("llm", f"odd:{name}", options)


@pytest.mark.parametrize("thread", [False, True])
@pytest.mark.parametrize("by", ["SIGILL", "SIGSEGV", "SIGABRT", "SIGKILL"])
def test_an_engine_that_ends_its_process_is_named_with_the_signal_and_a_way_out(place, by, thread):
    failure = Probe(chosen("Dying", by=by, thread=thread)).failure()
    assert failure.died
    assert f"odd:Dying died of {by} at its first request; " in failure.reason
    assert "\n" not in failure.reason
    assert failure.reason.rpartition("; ")[2]


@pytest.mark.parametrize(
    ("kind", "name", "by", "way"),
    [
        ("llm", "llama", "SIGILL", "pip install .*--no-binary llama-cpp-python llama-cpp-python"),
        ("llm", "llama", "SIGSEGV", "pip install --force-reinstall --no-deps llama-cpp-python`"),
        ("stt", "whisper", "SIGILL", "lacks what faster-whisper was built for"),
        ("stt", "whisper", "SIGKILL", "take a smaller model"),
    ],
)
def test_the_way_out_is_the_library_s(place, monkeypatch, kind, name, by, way):
    if name == "llama":
        pytest.importorskip("llama_cpp")
    # In the child the engine of that name is one that dies.
    (place / "sitecustomize.py").write_text(
        "from voicebot import engines\n"
        f"usual = engines.load\n"
        f"engines.load = lambda kind, name, **settings: usual('llm', 'odd:Dying', by={by!r})\n"
        "from voicebot.engines import first_request\n"
        f"first_request.REQUESTS[{kind!r}] = first_request.answer\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(place), *sys.path]))
    failure = Probe(EngineSpec(kind, name, {})).failure()
    assert f"{name} died of {by}" in failure.reason
    assert re.search(way, failure.reason)


def test_an_engine_that_hangs_is_stopped(place):
    began = time.monotonic()
    failure = Probe(chosen("Hanging"), limit=1.5).failure()
    assert failure.died
    assert "gave no answer in 1.5 s" in failure.reason
    assert time.monotonic() - began < 30


def test_an_engine_that_eats_the_memory_is_stopped_before_it_is_gone(place):
    failure = Probe(chosen("Eating"), memory=300 * 10**6).failure()
    assert failure.died
    assert "MB of memory" in failure.reason


def test_an_engine_that_leaves_is_told_with_its_last_words(place):
    failure = Probe(chosen("Leaving")).failure()
    assert failure.died
    assert "status 3 (cannot allocate tensors)" in failure.reason


def test_an_engine_that_raises_ends_no_process(place):
    failure = Probe(chosen("Raising")).failure()
    assert (failure.died, failure.code) == (False, 1)
    assert "no such tensor" in failure.reason


def test_an_engine_that_answers_is_well_whatever_it_prints(place, capfd):
    assert Probe(chosen("Well")).failure() is None
    assert capfd.readouterr() == ("", "")


def test_a_probe_that_is_closed_leaves_no_process(place):
    probe = Probe(chosen("Hanging"))
    pid = probe._process.pid
    probe.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_was_found_well_is_remembered_until_its_files_change(place):
    model = place / "model.gguf"
    model.write_bytes(b"one")
    engine = chosen("Well", model=str(model))
    known = KnownEngines(place / "cache" / "probes.json")
    assert not known.has(engine)
    known.add(engine)
    assert known.has(engine)
    assert not known.has(chosen("Well", model="another"))
    model.write_bytes(b"other")
    assert not known.has(engine)


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}', "[1, 2]", "\xff"])
def test_a_damaged_memory_is_none(place, content):
    file = place / "probes.json"
    file.write_text(content, "latin-1")
    known = KnownEngines(file)
    assert not known.has(chosen("Well"))
    known.add(chosen("Well"))
    assert known.has(chosen("Well"))


def test_a_memory_that_cannot_be_written_costs_a_probe_and_no_more(place):
    (place / "cache").write_text("no folder")
    known = KnownEngines(place / "cache" / "probes.json")
    known.add(chosen("Well"))
    assert not known.has(chosen("Well"))


def voicebot(place, settings, *arguments):
    (place / "voicebot.toml").write_text(settings)
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")]),
        "XDG_CACHE_HOME": str(place / "cache"), "VOICEBOT_MODELS": str(place / "none"),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "voicebot", *arguments], cwd=place, env=environment,
        capture_output=True, text=True, timeout=55, check=False,
    )  # fmt: skip


CRASHING = '[llm]\nengine = "odd:Dying"\nby = "SIGILL"'


def test_ask_tells_the_engine_and_the_signal_in_one_line(place):
    done = voicebot(place, CRASHING, "ask", "--text", "Hello?", "-o", "a.wav")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("voicebot: llm: odd:Dying died of SIGILL at its first request; ")


def test_doctor_tells_it_and_ends_with_a_code_but_looks_at_the_others_too(place):
    done = voicebot(place, CRASHING, "doctor")
    assert done.returncode == 1
    assert "FAILS: odd:Dying died of SIGILL" in done.stdout
    assert re.search(r"tts: +\w+.* speaks", done.stdout)
    assert "Traceback" not in done.stderr


def test_serve_does_not_tell_an_address_before_its_engines_are_tried(place):
    done = voicebot(place, CRASHING, "serve", "--port", "0")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "died of SIGILL" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_ctrl_c_ends_a_probe_and_the_command(place):
    with (place / "odd.py").open("a") as more:
        more.write(
            "class Told(Hanging):\n"
            "    def __init__(self):\n"
            f"        open({str(place / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        )
    (place / "voicebot.toml").write_text('[llm]\nengine = "odd:Told"')
    environment = {**os.environ, "PYTHONPATH": f"{place}:{os.environ.get('PYTHONPATH', '')}"}
    asking = subprocess.Popen(
        [sys.executable, "-m", "voicebot", "ask", "--text", "Hello?", "-o", "a.wav"],
        cwd=place, env=environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (place / "pid").exists() or not (place / "pid").read_text():
        assert asking.poll() is None
        time.sleep(0.05)
    asking.send_signal(signal.SIGINT)
    _, said = asking.communicate(timeout=55)
    assert asking.returncode == 130
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((place / "pid").read_text()), 0)


AUTO = """
import sys
from pathlib import Path
from voicebot import engines
from voicebot.assistant.assembly import assemble
from voicebot.config import read
from voicebot.engines import ENGINES, Entry

usual = dict(ENGINES["llm"])
ENGINES["llm"].clear()
for name, entry in {
    "first": Entry("odd:Dying", "dies"), "second": Entry("odd:Raising", "raises"), **usual
}.items():
    ENGINES.register("llm", name, entry)
with assemble(read(Path("voicebot.toml")), Path("none")) as parts:
    print(*[chosen.name for chosen in parts.chosen])
"""


def test_where_auto_chose_an_engine_that_dies_the_next_takes_over(place):
    # In the child there are only the engines that everybody has.
    auto = AUTO.replace('"first": Entry', '"odd:Dying": Entry').replace('"second"', '"odd:Raising"')
    (place / "voicebot.toml").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", auto], cwd=place, capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(place)}, timeout=55,
    )  # fmt: skip
    assert done.stdout.split()[2] in ("llama", "extractive"), done.stderr
    assert "odd:Dying died of SIGILL" in done.stderr
    assert "odd:Raising answers instead" in done.stderr
    assert "no such tensor" in done.stderr


def test_where_a_command_dies_every_thread_is_told(place):
    settings = '[log]\nfile = "all.log"\n[llm]\nengine = "odd:Later"'
    with (place / "odd.py").open("a") as more:
        more.write(
            "class Later(Well):\n"
            "    def __init__(self):\n"
            "        self.first = 'probe_child' in sys.argv[0]\n"
            "    async def reply(self, messages):\n"
            "        if not self.first:\n"
            "            os.kill(os.getpid(), signal.SIGILL)\n"
            "        async for delta in Well.reply(self, messages):\n"
            "            yield delta\n"
        )
    done = voicebot(place, settings, "ask", "--text", "Hello?", "-o", "a.wav")
    assert done.returncode == -signal.SIGILL
    assert "Fatal Python error: Illegal instruction" in (place / "all.log").read_text()
    done = voicebot(place, '[llm]\nengine = "odd:Later"', "ask", "--text", "Hello?", "-o", "a.wav")
    assert done.returncode == -signal.SIGILL
    assert "Fatal Python error: Illegal instruction" in done.stderr
    assert 'odd.py", line' in done.stderr
