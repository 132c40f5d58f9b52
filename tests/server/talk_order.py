"""What a client of `/v1/talk` may rely on: an observer that objects to anything out of order."""


class Observer:
    """Give it each event and each frame as they come, over all connections of a conversation."""

    def __init__(self):
        self.events, self.received = [], {}
        self.number = self.turn = 0
        self._place = None
        self._silenced, self._ended = set(), set()

    def see(self, message):
        if isinstance(message, bytes):
            self._hear(message)
            return
        self.events.append(message)
        kind = message["event"]
        if "number" in message:
            assert message["number"] == self.number + 1, "told twice, or not at all"
            self.number += 1
            assert message["turn"] >= self.turn, "a turn that is over goes on"
            self.turn = message["turn"]
        if kind == "sound":
            turn, at = message["turn"], message["at"]
            assert turn not in self._silenced | self._ended
            assert at == self.received.get(turn, at if turn not in self.received else 0)
            self._place = turn
            self.received.setdefault(turn, at)
        elif kind == "sound_ended":
            turn = message["turn"]
            assert turn not in self._ended
            assert message["samples"] == self.received.get(turn, message["samples"])
            self._ended.add(turn)
        elif kind == "flushed":
            assert message["turn"] not in self._silenced
            self._silenced.add(message["turn"])

    def _hear(self, data):
        turn = self._place
        assert turn is not None, "sound that belongs nowhere"
        assert turn not in self._silenced, "sound after it was silenced"
        assert turn not in self._ended, "sound after its end"
        assert len(data) % 2 == 0
        self.received[turn] += len(data) // 2

    def all(self, kind):
        return [event for event in self.events if event["event"] == kind]

    def place(self, token):
        """How to go on from here on another connection."""
        turn = max(self.received, default=0)
        received = self.received.get(turn, 0)
        return {"type": "resume", "token": token, "number": self.number, "turn": turn,
                "received": received}  # fmt: skip
