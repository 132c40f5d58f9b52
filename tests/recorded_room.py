"""Conversations in the pretend room that are recorded, and replayed with its settings."""

from room import NO_PAUSES, ChatModel, Room, Transcriber

from voicebot.config import Config, RecordSettings
from voicebot.conversation.latency_budget import LatencySettings
from voicebot.recording.recorder import Recorder
from voicebot.replay.compare import differences
from voicebot.replay.read import found, read
from voicebot.replay.run import replay

AS_IN_THE_ROOM = Config(latency=LatencySettings(degradations=""), speech=NO_PAUSES)
LONG = "The sun shines, and so it will for as long as anybody asks about it.".split()  # noqa: SIM905 - reads as the sentence it is


class Hears(Transcriber):
    def __init__(self):
        super().__init__("hello there")


class Writes(ChatModel):
    def __init__(self):
        super().__init__("It", "is", "noon.")


def record(folder, room, *script, recorder=None, **settings):
    """Hold the conversation and keep it; gives the room."""
    recorder = recorder or Recorder(RecordSettings(str(folder), **settings))
    recorder.record(room.conversation)
    try:
        return room.hear(*script)
    finally:
        recorder.close()


def recorded(folder, *script, words=("It", "is", "noon."), **room):
    """The one recording there is, once this was said in a room."""
    record(folder, Room(*words, **room), *script)
    (story,) = found(folder)
    return read(story)


def differing(session, config=AS_IN_THE_ROOM, parts=None, tolerance=0.001):
    return [str(d) for d in differences(session.events, replay(session, config, parts), tolerance)]
