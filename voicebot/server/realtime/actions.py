"""What a server has to do because of what its Realtime client sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...audio import Audio
from .fields import Table
from .items import Item
from .models import NeededModel
from .response_params import ResponseParams
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Append:
    """More of the user's sound."""

    audio: Iterator[Audio]
    """Decoded as it is read, which raises Refused where it cannot be."""
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Create:
    """An item of the client's has sound in it to be decoded. `create` is to be called then."""

    item: Item
    after: str | None
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Commit:
    """What was appended is a message of the user's."""

    event_id: str | None


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget what was appended. `cleared` is to be called then."""


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Tell of an item with the user's sound in it. `retrieved` is to be called then."""

    item: Item


@dataclass(frozen=True, slots=True)
class Configure:
    """The settings have changed."""

    before: Settings


@dataclass(frozen=True, slots=True)
class Load:
    """Settings ask for models that are not loaded. `configure` is to be called once they are."""

    needed: Sequence[NeededModel]
    patch: Table
    event_id: str | None


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer. `begin` is to be called with the wish, the sound of whose context is decoded."""

    wish: ResponseParams
    event_id: str | None
    follows: bool = False
    """There is one already, of which something was told before a function returned: this is next.
    """
    is_answered: bool = False
    """The last one has answered it: `begin` and `end` at once, with nothing between."""
    aside: bool = False
    """Beside what is being said, and out of the conversation: `begin_aside` begins it."""


@dataclass(frozen=True, slots=True)
class Returned:
    """A function has returned while there is a response. `cover` is to be called if it knows."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the response; there is one."""

    aside: str = ""
    """The id of the one beside it that is meant."""


Action = (
    Append | Create | Commit | Clear | Retrieve | Configure | Load | Respond | Returned | Cancel
)
