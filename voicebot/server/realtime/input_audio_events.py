"""What a Realtime client is told of its user's sound. No I/O."""

from __future__ import annotations

from collections.abc import Callable

from ...audio import Audio
from .items import Item, Items, Part
from .response import Send


class InputAudioEvents:
    """The user's speech, which becomes items and then text.

    add: puts an item at the end of `items` and tells of it.
    wants_text: whether the client asked for transcripts.
    """

    def __init__(
        self,
        items: Items,
        add: Callable[[Item], None],
        wants_text: Callable[[], bool],
        new_id: Callable[[str], str],
        send: Send,
    ) -> None:
        self._items, self._add, self._wants_text = items, add, wants_text
        self._new_id, self._send = new_id, send
        self._item: str | None = None  # of the speech that is being heard

    @property
    def is_speech(self) -> bool:
        """Whether the user has begun to speak and not finished."""
        return self._item is not None

    def started(self, at: float) -> None:
        """The user speaks since `at` seconds of their sound."""
        self._item = self._new_id("item")
        self._send(
            "input_audio_buffer.speech_started",
            audio_start_ms=round(at * 1000), item_id=self._item,
        )  # fmt: skip

    def stopped(self, at: float) -> None:
        self._send(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=round(at * 1000), item_id=self._item,
        )  # fmt: skip

    def committed(self, audio: Audio) -> Item:
        """The user has said something. It becomes an item, to be told in `transcribed`.

        Raises:
            ProtocolError: too much of what was said before waits for that already.
        """
        part = Part("input_audio", None, audio)
        item = Item(self._item or self._new_id("item"), role="user", content=[part])
        self._item = None
        self._items.expect(item)
        self._commit(item)
        return item

    def cleared(self) -> None:
        self._item = None
        self._send("input_audio_buffer.cleared")

    def timed_out(self, start: float, end: float) -> None:
        """The user has said nothing between these seconds of their sound, which is an item too."""
        part = Part("input_audio", "")
        item = Item(self._new_id("item"), role="user", content=[part])
        self._send(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=round(start * 1000), audio_end_ms=round(end * 1000), item_id=item.id,
        )  # fmt: skip
        self._commit(item)
        self.transcribed(item, part, "")

    def transcribed(self, item: Item, part: Part, text: str) -> None:
        """What was said in a user's sound."""
        part.text = text
        if self._wants_text():
            seconds = part.audio.seconds if part.audio else 0.0
            about = {"item_id": item.id, "content_index": item.content.index(part)}
            event = "conversation.item.input_audio_transcription"
            usage = {"type": "duration", "seconds": round(seconds, 3)}
            if text:
                self._send(f"{event}.delta", **about, delta=text)
            self._send(f"{event}.completed", **about, transcript=text, usage=usage)

    def not_transcribed(self, item: Item, part: Part, reason: str) -> None:
        """A user's sound could not be recognised, and will not be tried again."""
        part.text = ""
        if self._wants_text():
            self._send(
                "conversation.item.input_audio_transcription.failed",
                item_id=item.id,
                content_index=item.content.index(part),
                error={"type": "server_error", "code": "transcription_failed", "message": reason},
            )

    def _commit(self, item: Item) -> None:
        before = self._items.last
        self._send("input_audio_buffer.committed", item_id=item.id, previous_item_id=before)
        self._add(item)
