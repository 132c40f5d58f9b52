"""Which request is being served: one id, from the socket to the speaker.

It is kept in context variables, so a task begun for a request has it by itself, and so has a
thread of `flow.Worker` while it works for one.
"""

from __future__ import annotations

from contextvars import ContextVar
from uuid import uuid4

_request: ContextVar[str] = ContextVar("request", default="")
_turn: ContextVar[int] = ContextVar("turn", default=0)


def new_id() -> str:
    return uuid4().hex


def current() -> str:
    """The id of the request that is served here; empty where none is."""
    return _request.get()


def label() -> str:
    """What a line of the log is marked with: the id of the request, or of one turn of it."""
    return of_turn(_request.get(), _turn.get())


def of_turn(request: str, number: int) -> str:
    """The id of a request's turn; 0 is none of them."""
    return f"{request}.{number}" if request and number else request


def begin(id: str) -> None:
    """What this task does from now on is done for the request `id`."""
    _request.set(id)
    _turn.set(0)


def begin_turn(number: int) -> None:
    """What this task does from now on is done for that turn of its request. The first is 1."""
    _turn.set(number)
