"""`voicebot turns`: the last turns of a log, for people, for programs and as a page."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from voicebot.commands import turns
from voicebot.errors import ConfigError, InputError

MARKS = {
    "stt.first": 0.4, "gate": 0.5, "stt.last": 0.5, "llm.first": 0.6, "tts.first": 0.8,
    "speaker.first": 1.0, "llm.last": 1.4, "tts.last": 2.0, "end": 4.0,
}  # fmt: skip
SPOKE = {"engines": {"stt": {"engine": "whisper", "model": "small"}}, "voice": "anna"}


def line(number=1, marks=MARKS, **record):
    turn = {"session": "abc", "number": number, "outcome": "answered", "marks": marks, **record}
    return json.dumps(
        {"at": f"2026-01-01T00:00:{number:02}Z", "request": f"abc.{number}", "turn": turn}
    )


@pytest.fixture
def log(tmp_path):
    def write(*lines, name="v.log"):
        (tmp_path / name).write_bytes(
            b"".join((x.encode() if isinstance(x, str) else x) + b"\n" for x in lines)
        )
        return tmp_path / name

    return write


@pytest.fixture
def shown(capsys, monkeypatch):
    """What is printed of a log, on so many columns."""

    def show(path, columns=60, last=10, **how):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert turns.run(str(path), last=last, page=how.get("page"), as_lines="lines" in how) == 0
        return capsys.readouterr().out

    return show


def test_a_turn_is_shown_with_its_words_engines_and_waterfall(log, shown):
    record = {"heard": "what time is it", "said": {"words": 3}, "degradations": ["x y"]}
    record["spoke"] = {**SPOKE, "seed": 7}
    assert shown(log(line(**record)), columns=50).splitlines() == [
        "2026-01-01T00:00:01Z  abc.1  answered",
        "  heard: what time is it",
        "  said: 3 words",
        "  degraded: x y",
        "  by whisper small, voice anna, seed 7",
        "  stt     ............#####                  0.40",
        "  gate                ....#                  0.50",
        "  llm                     ...#############   0.60",
        "  tts                        ......#######   0.80",
        "  speaker                          ......#   1.00",
        "",
    ]


@pytest.mark.parametrize("columns", [20, 47, 80, 200])
def test_lines_fit_the_terminal(log, shown, columns):
    told = shown(log(line(heard="word " * 99)), columns)
    assert max(map(len, told.splitlines())) <= max(columns, 40)


def test_a_failed_turn_says_where_and_why(log, shown):
    told = shown(log(line(outcome="failed", stage="tts", reason="no voice", marks={})))
    assert told.splitlines()[0].endswith("failed (tts: no voice)")


def test_only_the_last_are_shown_and_rotated_files_belong_to_the_log(log, shown):
    log(line(1), line(2), name="v.log.10")
    log(line(3), name="v.log.2")
    log(line(99), name="v.log.old")
    path = log('{"message": "no turn"}', line(4), line(5))
    told = shown(path, last=4)
    assert re.findall(r"abc\.\d+", told) == ["abc.2", "abc.3", "abc.4", "abc.5"]
    assert re.findall(r"abc\.\d+", shown(path, last=99)) == [f"abc.{n}" for n in range(1, 6)]


def test_a_log_that_is_just_being_begun_anew_still_has_its_older_files(log, shown):
    older = log(line(1), name="v.log.1")
    assert "abc.1" in shown(older.with_name("v.log"))


def test_broken_lines_are_passed_over_and_counted(log, capsys):
    broken = [
        b"\xff\xfe", line()[:40], "[]", '"turn"', '{"turn": 3, "at": 1}', "[" * 9999,
        line(marks={"gate": "soon"}), line(marks=[1]), line(marks={"gate": float("nan")}),
        line(outcome=None), line(spoke=3), line(spoke={"engines": [1]}), line(degradations=3),
    ]  # fmt: skip
    turns.run(str(log(*broken, line(7))), last=99, page=None, as_lines=False)
    told = capsys.readouterr()
    assert told.err == f"{len(broken)} broken lines were passed over\n"
    assert re.findall(r"abc\.\d+", told.out) == ["abc.7"]


def test_a_log_cannot_steer_a_terminal(log, shown):
    marks = {"\x1b[2Jstt.first": 0.4}
    assert "\x1b" not in shown(log(line(heard="\x1b[2Jgone", outcome="\x1b]0;x", marks=marks)))


def test_text_that_no_file_can_hold_is_shown_all_the_same(log, tmp_path, shown):
    half = "half of an emoji: \ud83d"  # as JSON from a client may have it, and the log after it
    path = log(line(heard=half, marks={f"{half}.first": 0.5}))
    assert shown(path).encode()
    (told,) = shown(path, lines=True).encode().splitlines()
    assert json.loads(told)["heard"] == half
    shown(path, page=str(tmp_path / "t.html"))
    assert "half of an emoji: \\ud83d" in (tmp_path / "t.html").read_text("utf-8")


def test_engines_may_tell_of_themselves_what_they_like(log, shown):
    engines = {"stt": {"engine": 5, "model": ["a"]}, "llm": {"engine": None}}
    assert "by 5 ['a'], " in shown(log(line(spoke={"engines": engines})))


def test_records_are_printed_for_programs(log, shown):
    (told,) = map(json.loads, shown(log(line(heard="hé")), lines=True).splitlines())
    assert (told["request"], told["heard"], told["marks"]) == ("abc.1", "hé", MARKS)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_needs_nothing_from_anywhere_and_escapes_everything(log, tmp_path, shown):
    evil = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>"
    marks = {f"{evil}.first": 0.5, "speaker.first": 1.0}
    path = log(line(heard=evil, outcome=evil, marks=marks, spoke={"voice": evil}))
    assert shown(path, page=str(tmp_path / "t.html")) == f"{tmp_path / 't.html'}\n"
    text = (tmp_path / "t.html").read_text()
    page = Page(text)
    assert {"script", "img", "link", "iframe"}.isdisjoint(tag for tag, _ in page.tags)
    assert not any(name in ("src", "href") or name.startswith("on")
                   for _, attributes in page.tags for name in attributes)  # fmt: skip
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert sum(evil in words for words in page.words) >= 3
    assert any("default-src 'none'" in str(a.get("content")) for _, a in page.tags)


def test_the_latest_turn_is_first_on_the_page(log, tmp_path, shown):
    shown(log(line(1), line(2)), page=str(tmp_path / "t.html"))
    text = (tmp_path / "t.html").read_text()
    assert text.index("abc.2") < text.index("abc.1")


def test_a_mistake_says_what_to_do(log, tmp_path):
    with pytest.raises(ConfigError, match=r"FILE of a log, or \[log\] file in the settings"):
        turns.run("", last=10, page=None, as_lines=False)
    with pytest.raises(ConfigError, match="--last should be at least 1, not 0"):
        turns.run("v.log", last=0, page=None, as_lines=False)
    with pytest.raises(ConfigError, match=r"--html .*v\.log would overwrite the log itself"):
        turns.run(str(log(line())), last=1, page=str(tmp_path / "v.log"), as_lines=False)
    assert "answered" in (tmp_path / "v.log").read_text()
    with pytest.raises(InputError, match=r"nowhere\.log: no such file or directory"):
        turns.run(str(tmp_path / "nowhere.log"), last=1, page=None, as_lines=False)
    with pytest.raises(ConfigError, match="cannot be written"):
        turns.run(str(log(line())), last=1, page=str(tmp_path / "no" / "t.html"), as_lines=False)


def test_the_log_of_the_settings_is_shown_without_colours_to_a_pipe(log, tmp_path):
    log(line())
    (tmp_path / "voicebot.toml").write_text('[log]\nfile = "v.log"')
    command = [sys.executable, "-m", "voicebot", "turns", "--last", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("2026-01-01T00:00:01Z  abc.1  answered\n")
    assert "\x1b" not in done.stdout


def test_all_turns_are_shown_however_many_are_asked_for(log, shown):
    assert shown(log(line()), last=10**30).startswith("2026-01-01T00:00:01Z")


def test_a_log_without_turns_says_so(log, shown):
    assert shown(log()) == "no turns yet\n"
