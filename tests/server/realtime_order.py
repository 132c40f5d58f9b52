"""What a Realtime client may rely on: an observer that objects to any event out of order."""

ITEM_EVENTS = {
    "conversation.item.retrieved",
    "conversation.item.truncated",
    "conversation.item.deleted",
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "conversation.item.input_audio_transcription.failed",
}
ANSWERS = {
    "error", "session.updated", "rate_limits.updated", "input_audio_buffer.cleared",
    "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed", "input_audio_buffer.timeout_triggered",
}  # fmt: skip
DELTAS = {
    "response.output_text": "text",
    "response.output_audio": "audio",
    "response.output_audio_transcript": "audio",
}


class Observer:
    """Give it each event as it comes."""

    def __init__(self):
        self.ids, self.items, self.deleted = set(), {}, set()
        self.begun, self.sounding = False, None
        self.responses = {}

    def see(self, event):
        kind = event["type"]
        assert event["event_id"] not in self.ids
        self.ids.add(event["event_id"])
        assert self.begun == (kind != "session.created"), "a session is created once, and first"
        self.begun = True
        if kind.startswith("response."):
            self._response(kind, event)
        elif kind == "conversation.item.added":
            assert event["item"]["id"] not in self.items
            assert event["previous_item_id"] in {None, *self.items}
            self.items[event["item"]["id"]] = "added"
        elif kind == "conversation.item.done":
            assert self.items[event["item"]["id"]] == "added"
            assert event["item"]["status"] in ("completed", "incomplete")
            self.items[event["item"]["id"]] = "done"
        elif kind in ITEM_EVENTS:
            id = event["item"]["id"] if "item" in event else event["item_id"]
            assert id in self.items
            if kind == "conversation.item.deleted":
                assert id not in self.deleted
                self.deleted.add(id)
            elif kind in ("conversation.item.retrieved", "conversation.item.truncated"):
                assert id not in self.deleted
        elif kind == "output_audio_buffer.started":
            assert self.sounding is None, "a track carries one voice"
            self.sounding = event["response_id"]
        elif kind in ("output_audio_buffer.stopped", "output_audio_buffer.cleared"):
            if self.sounding == event["response_id"]:
                self.sounding = None
            else:
                assert kind.endswith("cleared"), "before it was heard"
        else:
            assert kind in {"session.created", *ANSWERS}, kind

    def _response(self, kind, event):
        if kind == "response.created":
            made = event["response"]
            assert made["status"] == "in_progress"
            assert made["id"] not in self.responses
            mine = self.responses[made["id"]] = Made(made["conversation_id"] is not None)
            others = [each for each in self.responses.values() if each is not mine]
            busy = any(each.in_conversation for each in others)
            assert not (mine.in_conversation and busy), "one response at a time"
            return
        if kind == "response.done":
            self.responses.pop(event["response"]["id"]).done(event["response"])
            return
        self.responses[event["response_id"]].see(kind, event)


class Made:
    """A response that is being made."""

    def __init__(self, in_conversation):
        self.in_conversation, self.outputs = in_conversation, 0
        self.output = self.part = None

    def done(self, response):
        assert response["status"] != "in_progress"
        assert self.output is self.part is None
        assert len(response["output"]) == self.outputs

    def see(self, kind, event):
        if kind == "response.output_item.added":
            assert self.output is None
            assert event["output_index"] == self.outputs
            self.outputs += 1
            self.output = event["item"]["id"]
            return
        assert event["output_index"] == self.outputs - 1
        if kind == "response.output_item.done":
            assert self.part is None
            assert event["item"]["id"] == self.output
            self.output = None
            return
        assert event["item_id"] == self.output
        if kind.startswith("response.function_call_arguments."):
            return
        assert event["content_index"] == 0
        stem, _, end = kind.rpartition(".")
        if stem == "response.content_part" and end == "added":
            assert self.part is None
            self.part, self.closed = event["part"]["type"], set()
        elif stem == "response.content_part":
            assert event["part"]["type"] == self.part
            assert self.closed == ({"text"} if self.part == "text" else {"audio", "transcript"})
            self.part = None
        else:
            assert self.part == DELTAS[stem]
            name = stem.rpartition("_")[2]
            if end == "delta":
                assert name not in self.closed
            if end == "done":
                self.closed.add(name)
