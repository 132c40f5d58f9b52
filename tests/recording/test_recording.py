"""What is kept of conversations, for whom, and how much."""

import logging
import stat
from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from recorded_room import record, recorded
from room import ChatModel, Room, Synthesizer, Transcriber

from voicebot import config
from voicebot.assistant.assembly import build
from voicebot.audio import join, silence
from voicebot.audio.recordings import decode
from voicebot.config import Config, EngineChoice, RecordSettings
from voicebot.engines.call_options import taken
from voicebot.errors import ConfigError
from voicebot.events import ClauseSpoken
from voicebot.recording.archive import Archive, RecordingHandle
from voicebot.recording.recorder import Recorder

OWN = {
    "vad": EngineChoice("room:LoudnessVad"),
    "stt": EngineChoice("recorded_room:Hears"),
    "llm": EngineChoice("recorded_room:Writes"),
    "tts": EngineChoice("room:Synthesizer"),
}
QUESTION = ("wait", 0.5), ("speak", 1.0), ("wait", 2.0)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def failing():
    return Room("Yes.", tts=Synthesizer(fails=True))


# What is kept


def test_the_sound_is_kept_as_it_was_heard_and_spoken(tmp_path):
    session = recorded(tmp_path, *QUESTION)
    heard, spoken = (
        join(list(decode(str(session.path.with_name(name)), rate)))
        for name, rate in (("heard.wav", 16000), ("spoken.wav", 24000))
    )
    assert heard.seconds == pytest.approx(3.5, abs=0.04)
    assert np.abs(heard.samples[8000:24000]).min() == pytest.approx(0.5, abs=1e-3)
    assert spoken.seconds == pytest.approx(0.9)


def test_what_each_engine_gave_is_kept_with_its_time(tmp_path):
    session = recorded(tmp_path, *QUESTION)
    stt, llm, tts = session.calls.values()
    assert [(round(at, 2), item.text) for at, item in stt.items] == [(0.2, "hello there")]
    assert [(round(at, 2), item.text) for at, item in llm.items] == [
        (0.05, "It "), (0.1, "is "), (0.15, "noon. "), (0.15, ""),
    ]  # fmt: skip
    assert tts.text == "It is noon."
    assert len(tts.items) == 9


def test_only_their_owner_may_read_recordings(tmp_path):
    session = recorded(tmp_path / "kept", *QUESTION)
    folder = session.path.parent
    for path, mode in (
        (tmp_path / "kept", 0o700),
        (folder, 0o700),
        *((f, 0o600) for f in folder.iterdir()),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_only_what_failed_is_kept_if_that_is_asked_for(tmp_path):
    record(tmp_path, Room("Yes."), *QUESTION, failed_only=True)
    assert names(tmp_path) == []
    record(tmp_path, failing(), *QUESTION, failed_only=True)
    assert len(names(tmp_path)) == 1


def test_engines_have_the_options_they_had(tmp_path):
    class Fast(Synthesizer):
        def synthesize(self, text, *, speed=1.0):
            return super().synthesize(text)

    room, recorder = Room(tts=Fast()), Recorder(RecordSettings(str(tmp_path)))
    recorder.record(room.conversation)
    recorder.close()
    assert taken(room.conversation.tts.synthesize) == {"speed"}
    assert room.conversation.tts == room.tts


def test_a_reload_goes_on_with_the_same_folder_unless_told_otherwise(tmp_path):
    def settings(**record):
        return Config(**OWN, record=RecordSettings(str(tmp_path), **record))

    first = build(settings(), tmp_path)
    second = build(settings(), tmp_path, first)
    assert second.recorder is first.recorder
    first.close(but=[second])
    record(tmp_path, room := Room("Yes."), *QUESTION, recorder=second.recorder)
    assert room.all(ClauseSpoken)
    third = build(settings(failed_only=True), tmp_path, second)
    assert third.describe()[-1].startswith(
        "[record] keeps every conversation in which a turn fails"
    )
    fourth = build(replace(settings(), record=RecordSettings()), tmp_path, third)
    assert fourth.recorder is None
    second.close()
    third.close()
    assert len(names(tmp_path)) == 1


# How much is kept


def second(handle):
    """Write a second of sound: 32 kB."""
    handle.write({"at": 0}, silence(1.0, 16000), "heard")


def test_the_oldest_go_when_the_folder_is_full(tmp_path):
    archive = Archive(str(tmp_path), 100_000)
    tapes = [RecordingHandle(archive) for _ in range(5)]
    for handle in tapes:
        second(handle)
        handle.end(keep=True)
    archive.close()
    assert names(tmp_path) == sorted(handle.name for handle in tapes[2:])


def test_so_do_those_that_were_there_before(tmp_path):
    before = Archive(str(tmp_path), 100_000)
    tapes = [RecordingHandle(before) for _ in range(3)]
    for handle in tapes:
        second(handle)
        handle.end(keep=True)
    before.close()
    (tmp_path / "mine.txt").write_text("kept")
    (tmp_path / "20261121T120000000Z-mine").mkdir()
    after = Archive(str(tmp_path), 100_000)
    second(new := RecordingHandle(after))
    after.close()
    kept = sorted(handle.name for handle in [*tapes[1:], new])
    assert names(tmp_path) == sorted([*kept, "20261121T120000000Z-mine", "mine.txt"])


def test_a_session_that_fills_half_of_it_ends_early_and_that_is_told(tmp_path, caplog):
    archive = Archive(str(tmp_path), 100_000)
    handle = RecordingHandle(archive)
    for _ in range(100):
        second(handle)
    handle.end(keep=True)
    archive.close()
    assert sum(file.stat().st_size for file in (tmp_path / handle.name).iterdir()) < 50_000
    assert [r.getMessage() for r in caplog.records] == [
        f"the recording {handle.name} ends early: [record] size_mb is full"
    ]


# What goes wrong


def test_what_the_disk_cannot_take_is_lost_but_no_turn(tmp_path, caplog):
    folder = tmp_path / "kept"
    recorder = Recorder(RecordSettings(str(folder)))
    folder.rmdir()
    folder.write_text("in the way")
    room = Room("Yes.")
    recorder.record(room.conversation)
    room.hear(*QUESTION)
    recorder.close()
    assert room.all(ClauseSpoken) == [ClauseSpoken("Yes.")]
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert " is lost: " in line


def test_too_much_at_once_loses_the_recording_and_is_told_once(tmp_path, caplog):
    archive = Archive(str(tmp_path), 10**9, waiting=200_000)
    lost, kept = RecordingHandle(archive), RecordingHandle(archive)
    second(lost)
    lost.write({"at": 0}, silence(10.0, 16000), "heard")
    lost.write({"at": 0}, silence(10.0, 16000), "heard")
    lost.end(keep=True)
    second(kept)
    kept.end(keep=True)
    archive.close()
    assert names(tmp_path) == [kept.name]
    assert [r.getMessage() for r in caplog.records] == [
        f"the recording {lost.name} is lost: the disk is too slow"
    ]


def test_a_long_line_counts_as_what_it_is(tmp_path, caplog):
    archive = Archive(str(tmp_path), 10**9, waiting=200_000)
    handle = RecordingHandle(archive)
    handle.write({"at": 0, "sent": "x" * 300_000}, size=300_000)
    handle.end(keep=True)
    archive.close()
    assert "the disk is too slow" in caplog.text


def test_what_has_been_written_waits_no_more(tmp_path, caplog):
    archive = Archive(str(tmp_path), 10**9, waiting=100_000)
    handle = RecordingHandle(archive)
    for _ in range(5):
        second(handle)
        while archive.waiting:
            Event().wait(0.01)
    handle.end(keep=True)
    archive.close()
    assert caplog.records == []


def test_an_engine_may_give_numbers_of_its_own_kind(tmp_path):
    class Sure(Transcriber):
        async def transcribe(self, audio):
            async for segment in super().transcribe(audio):
                yield type(segment)(segment.text, 0.0, 1.0, confidence=np.float32(0.5))

    session = recorded(tmp_path, *QUESTION, stt=Sure())
    ((_, segment),) = next(iter(session.calls.values())).items
    assert segment.confidence == 0.5


def test_a_folder_that_cannot_be_made_is_told_at_the_start(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"\[record\] folder .*file/kept: Not a directory"):
        Recorder(RecordSettings(str(tmp_path / "file" / "kept")))


def test_the_folder_lies_beside_the_settings(tmp_path):
    (tmp_path / "voicebot.toml").write_text('[record]\nfolder = "kept"')
    assert config.read(tmp_path / "voicebot.toml").record.folder == str(tmp_path / "kept")
    (tmp_path / "voicebot.toml").write_text("[record]\nsize_mb = 0")
    with pytest.raises(ConfigError, match=r"\[record\] size_mb should be at least 1, not 0"):
        config.read(tmp_path / "voicebot.toml")


def test_a_conversation_that_crashes_is_kept_as_a_failure(tmp_path):
    class Broken(ChatModel):
        async def reply(self, messages):
            raise RuntimeError("a bug")
            yield

    with pytest.raises(BaseExceptionGroup):
        record(tmp_path, Room(llm=Broken()), *QUESTION, failed_only=True)
    assert len(names(tmp_path)) == 1
