"""What a proxy that is named in the settings says of its client: `X-Forwarded-*`.

Of anybody else these headers are only text: who could write them could be any client, at any name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from ...config import networks

_SCHEMES = {"http", "https", "ws", "wss"}
_USUAL = {"http": "80", "ws": "80", "https": "443", "wss": "443"}


class ForwardedMiddleware:
    """ASGI middleware that shows the request as the proxy was given it: by whom, and how.

    proxies: addresses and networks, like "127.0.0.1" and "10.0.0.0/8".
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str]) -> None:
        self._app, self._proxies = app, networks(proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")  # which a lifespan has not, nor a Unix socket
        if client and self._is_proxy(client[0]):
            scope = self._seen(scope)
        await self._app(scope, receive, send)

    def _seen(self, scope: Scope) -> Scope:
        """The scope, a copy, as the first of our proxies saw it."""
        given = Headers(scope=scope)
        scope = {**scope, "headers": list(scope["headers"])}
        # Whoever asked the first of ours may have written whatever stands before.
        for address in reversed(_listed(given, "x-forwarded-for")):
            scope["client"] = (address, 0)
            if not self._is_proxy(address):
                break
        if (scheme := _last(given, "x-forwarded-proto").lower()) in _SCHEMES:
            is_safe = scheme in ("https", "wss")
            plain = "ws" if scope["type"] == "websocket" else "http"
            scope["scheme"] = plain + "s" * is_safe
        if host := _last(given, "x-forwarded-host"):
            port = _last(given, "x-forwarded-port")
            has_port = ":" in host.rpartition("]")[2]
            if port.isdecimal() and not has_port and port != _USUAL.get(scope["scheme"]):
                host = f"{host}:{port}"
            MutableHeaders(scope=scope)["host"] = host
        return scope

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address.strip("[]").partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._proxies)


def _listed(headers: Headers, name: str) -> list[str]:
    """The parts of a header, of all of its lines."""
    parts = ",".join(headers.getlist(name)).split(",")
    return [part.strip() for part in parts if part.strip()]


def _last(headers: Headers, name: str) -> str:
    """The part that the nearest proxy has written."""
    return (_listed(headers, name) or [""])[-1]
