"""What is written to the log, what never is, and what happens when it cannot be written."""

import io
import json
import logging
import os
import pickle
import re
import subprocess
import sys
from threading import Event, Thread

import pytest

from voicebot import context
from voicebot.config import LogSettings
from voicebot.errors import ConfigError, EngineError, Quoting
from voicebot.observability.log import Log, ThreadedHandler

OURS = logging.getLogger("voicebot.somewhere")
LIBRARY = logging.getLogger("httpcore.http11")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "voicebot.log"


def kept(path, what, verbose=False, **settings):
    """The lines that are in the file once `what` has been done."""
    with Log(verbose=verbose) as log:
        log.keep(LogSettings(str(path), **settings))
        what()
    return path.read_text().splitlines()


def objects(path, what, **settings):
    return [json.loads(line) for line in kept(path, what, **settings)]


def test_each_line_is_an_object_that_names_its_request(path):
    def serve():
        context.begin("abc")
        OURS.info("%d keys", 3)
        context.begin_turn(2)
        OURS.warning("late")
        context.begin("")
        OURS.info("idle")

    first, second, third = objects(path, serve)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("at"))
    said = {"level": "info", "logger": "voicebot.somewhere", "message": "3 keys", "request": "abc"}
    assert first == said
    assert (second["level"], second["request"]) == ("warning", "abc.2")
    assert "request" not in third


def test_a_thread_of_ones_own_belongs_to_no_request(path):
    def serve():
        context.begin("abc")
        thread = Thread(target=OURS.info, args=("from a thread",))
        thread.start()
        thread.join()
        context.begin("")

    (line,) = objects(path, serve)
    assert "request" not in line


def test_a_text_log_is_a_line_with_its_date_and_request(path):
    def serve():
        context.begin("abc")
        OURS.info("ready")
        context.begin("")

    (line,) = kept(path, serve, format="text")
    assert re.fullmatch(r"[\d-]+ [\d:,]+ INFO voicebot.somewhere: ready \[abc\]", line)


def test_nobody_can_forge_a_line_or_steer_a_terminal(path):
    def serve():
        OURS.info("GET /\n2026-01-01 INFO voicebot: all is well \x1b[2J é")

    (line,) = kept(path, serve, format="text")
    assert r"GET /\n2026-01-01 INFO voicebot: all is well \x1b[2J é" in line


def test_a_traceback_is_set_in_below_its_line(path):
    def fail():
        try:
            1 / 0  # noqa: B018 - it is meant to fail
        except ZeroDivisionError:
            OURS.exception("broken")

    line, *below = kept(path, fail, format="text")
    assert line.endswith("ERROR voicebot.somewhere: broken")
    assert below[0] == "  Traceback (most recent call last):"
    assert below[-1] == "  ZeroDivisionError: division by zero"
    (told,) = objects(path.with_name("other"), fail)
    assert told["error"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer %s",
        "sec-websocket-protocol: talk, openai-insecure-api-key.%s",
        "the key vb-%s",
        "[b'authorization', b'Bearer ek_%s']",
        '> TEXT \'{"event": "ready", "token": "%s", "window": 30}\'',
    ],
)
@pytest.mark.parametrize("format", ["json", "text"])
def test_a_secret_is_never_written(path, line, format):
    secret = "Q2hhcmxpZS1zLXNlY3JldC1vZi0zMi1ieXRlcw"
    (written,) = kept(path, lambda: OURS.info(line, secret), format=format)
    assert secret[:8] not in written
    assert "***" in written


def test_the_details_of_libraries_stay_out_of_the_file_even_when_they_are_told(path, capsys):
    def serve():
        LIBRARY.debug("send_request_headers")
        LIBRARY.warning("retrying")
        OURS.debug("prompt of 12 tokens")

    lines = objects(path, serve, level="debug", verbose=True)
    assert [line["message"] for line in lines] == ["retrying", "prompt of 12 tokens"]
    assert "send_request_headers" in capsys.readouterr().err


def test_people_are_only_warned(path, capsys):
    def serve():
        OURS.info("all is well")
        OURS.warning("no documents")

    assert len(kept(path, serve)) == 2
    assert capsys.readouterr().err == "voicebot: no documents\n"


def test_without_a_file_there_are_only_warnings(capsys):
    with Log() as log:
        log.keep(LogSettings())
        OURS.info("all is well")
        OURS.warning("no documents")
    assert capsys.readouterr().err == "voicebot: no documents\n"


def test_standard_error_can_be_the_log(capsys):
    with Log() as log:
        log.keep(LogSettings("-"))
        OURS.info("all is well")
    assert json.loads(capsys.readouterr().err)["message"] == "all is well"


def test_what_was_said_is_only_measured_unless_asked_for(path):
    turn = {"outcome": "answered", "heard": "when was it planted", "said": "In 1931.", "marks": {}}

    def serve():
        OURS.info("turn 1 answered", extra={"turn": turn})

    (line,) = objects(path, serve)
    heard = line["turn"]["heard"]
    assert (heard["words"], heard["characters"], len(heard["sha256"])) == (4, 19, 16)
    assert "planted" not in str(line)
    assert "1931" not in str(line)
    assert line["turn"]["outcome"] == "answered"
    (line,) = objects(path.with_name("other"), serve, transcripts=True)
    assert line["turn"] == turn


def test_what_a_line_quotes_of_people_is_left_out_unless_asked_for(path):
    failure = EngineError("llm", Quoting("http://a answered 400", ": I cannot read 'planted'"))
    turn = {"outcome": "failed", "reason": failure.reason}

    def serve():
        OURS.warning("%s", failure)
        OURS.warning("%s", Quoting("a call that is no JSON", ': {"tree": "planted"'))
        OURS.info("turn 1 failed", extra={"turn": turn})

    lines = objects(path, serve)
    assert [line["message"] for line in lines] == [
        "llm: http://a answered 400",
        "a call that is no JSON",
        "turn 1 failed",
    ]
    assert lines[2]["turn"]["reason"] == "http://a answered 400"
    lines = objects(path.with_name("other"), serve, transcripts=True)
    assert lines[0]["message"] == "llm: http://a answered 400: I cannot read 'planted'"
    assert lines[1]["message"] == 'a call that is no JSON: {"tree": "planted"'
    assert lines[2]["turn"] == turn


def test_what_a_command_tells_its_user_is_whole(capsys):
    with Log():
        OURS.warning("%s", Quoting("a recording is damaged", ": half.flac"))
    assert capsys.readouterr().err == "voicebot: a recording is damaged: half.flac\n"


def test_nor_is_it_told_on_a_servers_standard_error(capsys):
    with Log() as log:
        log.keep(LogSettings())
        OURS.warning("%s", Quoting("a recording is damaged", ": half.flac"))
    assert capsys.readouterr().err == "voicebot: a recording is damaged\n"


def test_a_quoting_failure_comes_whole_from_another_process():
    failure = EngineError("llm", Quoting("answered 400", ": planted"))
    again = pickle.loads(pickle.dumps(failure))
    assert (str(again), again.bare) == ("llm: answered 400: planted", "llm: answered 400")


def test_the_file_is_for_its_owner_alone(path):
    kept(path, lambda: [OURS.info("x" * 1000) for _ in range(1500)], size_mb=1, keep=1)
    for file in (path, path.with_name("voicebot.log.1")):
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_file_is_begun_anew_before_it_grows_too_large(path):
    kept(path, lambda: [OURS.info("x" * 1000) for _ in range(3000)], size_mb=1, keep=2)
    sizes = [path.with_name(f"voicebot.log{n}").stat().st_size for n in ("", ".1", ".2")]
    assert max(sizes) <= 10**6
    assert not path.with_name("voicebot.log.3").exists()


def test_a_log_is_for_its_owners_eyes(path):
    before = os.umask(0)
    try:
        with Log() as log:
            log.keep(LogSettings(file=str(path)))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_opened_is_a_mistake_in_the_settings(tmp_path):
    with (
        Log() as log,
        pytest.raises(ConfigError, match=r"\[log\] file .*: cannot be written \(Is a directory\)"),
    ):
        log.keep(LogSettings(str(tmp_path)))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only some systems have a full disk")
def test_a_full_disk_is_told_once_and_stops_nobody(capsys):
    with Log() as log:
        log.keep(LogSettings("/dev/full"))
        for _ in range(3):
            OURS.info("all is well")
    assert capsys.readouterr().err.count("the log /dev/full cannot be written") == 1


class Terminal(io.StringIO):
    """Standard error, and when it was told that the log cannot be written."""

    def __init__(self):
        super().__init__()
        self.told = Event()

    def write(self, text):
        if "cannot be written" in text:
            self.told.set()
        return super().write(text)


@pytest.mark.skipif(sys.platform == "win32", reason="files have no limit there")
def test_once_there_is_room_again_the_log_tells_what_it_lacks(path, monkeypatch):
    import resource

    monkeypatch.setattr(sys, "stderr", Terminal())
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Log() as log:
        log.keep(LogSettings(str(path)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, unlimited[1]))
        try:
            for _ in range(600):
                OURS.info("x" * 100)
            assert sys.stderr.told.wait(10)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        OURS.info("there is room")
        OURS.info("and more")
    told = [json.loads(line)["message"] for line in path.read_text().splitlines()]
    (lost,) = [message for message in told if "lost" in message]
    assert re.fullmatch(r"up to \d+ lines of the log were lost: \[Errno 27\] File too large", lost)
    assert told[-1] == "and more"


def test_a_file_that_cannot_be_begun_anew_goes_on(path, capsys):
    older = path.with_name("voicebot.log.1")
    older.mkdir()
    lines = kept(path, lambda: [OURS.info("x" * 1000) for _ in range(1500)], size_mb=1, keep=1)
    assert len(lines) == 1500
    assert capsys.readouterr().err.count(f"the log {path} cannot be begun anew") == 1


class Stuck(logging.Handler):
    """Takes nothing until it is let."""

    def __init__(self):
        super().__init__()
        self.busy, self.free, self.told = Event(), Event(), []

    def handle(self, record):
        self.busy.set()
        self.free.wait(10)
        self.told.append(record.getMessage())


def test_lines_are_lost_rather_than_waited_for_and_their_number_is_told():
    stuck = Stuck()
    deferred = ThreadedHandler(stuck, waiting=3)

    def log(text):
        deferred.handle(logging.makeLogRecord({"msg": text, "levelno": logging.INFO}))

    log("first")
    assert stuck.busy.wait(10)
    for number in range(8):
        log(f"line {number}")
    stuck.free.set()
    deferred.close()
    lost = "5 lines of the log were lost: too many came at once"
    assert stuck.told == ["first", lost, "line 0", "line 1", "line 2"]


TALKS = """
import logging, sys
from voicebot import cli

def talks(args):
    for _ in range(9):
        print("for people", file=sys.stderr)
        logging.getLogger("voicebot").warning("for people")
    print("done")
    return 7

cli._engines = talks
cli.main(["engines"])
"""


def test_a_reader_of_standard_error_that_goes_kills_nobody():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", TALKS], stdout=subprocess.PIPE, stderr=write, text=True, timeout=50
    )
    os.close(write)
    assert (done.stdout, done.returncode) == ("done\n", 7)
