"""How a client shows who it is: a bearer token, in the two places where clients put one."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope

BROWSERS = "openai-insecure-api-key."
"""Browsers cannot set headers on a websocket: they name their key as a subprotocol."""


def token(scope: Scope) -> str:
    """The token a request or a websocket comes with; empty if it has none."""
    scheme, _, value = Headers(scope=scope).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    offered: list[str] = scope.get("subprotocols", [])
    keys = [name.removeprefix(BROWSERS) for name in offered if name.startswith(BROWSERS)]
    return keys[0] if keys else ""
