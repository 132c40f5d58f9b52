"""Who is let in: from which page, by which name, with which key, and how often."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ...concurrency.worker import background
from ..errors import ApiError, response
from ..rare_log import RareLog
from .ephemeral_keys import PREFIX, EphemeralKeys
from .keys import Key, Keys
from .rate_limits import WITHDRAWN, Limits, Quota, RateLimitExceeded

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


log = logging.getLogger(__name__)

GUARDED = "/v1/", "/metrics"
"""What begins so costs work, or tells what others do, and needs a key; the page, health and the
like do not."""
SECRETS_OPEN = "/v1/realtime", "/v1/realtime/calls", "/v1/talk"
"""What a browser's short-lived secret opens, and nothing else."""
PAGE = "/page/"
"""Below it are the page's files, which anybody may have: they are in every copy of voicebot. A page
that is refused what it asks for can say so."""
LOCAL = ("localhost", "127.0.0.1", "::1")


class AuthMiddleware:
    """ASGI middleware. What it lets in has the key's hash as `scope["key"]` and what the key may
    use as `scope["quota"]`, where keys are needed.

    keys: None where everybody may come in who can reach the server.
    origins: pages of others that may talk to us; our own always may.
    hosts: the names we are reached by, where no key is needed.
    any_address: whether we are reached by addresses beyond those among them.
    allowances: what each key has left, by its hash, where that is to outlive us.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys | None,
        secrets: EphemeralKeys,
        origins: tuple[str, ...] = (),
        hosts: tuple[str, ...] = LOCAL,
        allowances: dict[str, Quota] | None = None,
        *,
        any_address: bool = False,
    ) -> None:
        self._app, self._keys, self._secrets = app, keys, secrets
        self._origins, self._any_address = origins, any_address
        self._hosts = {host.lower() for host in hosts}
        self._refused = RareLog()
        self._allowances = {} if allowances is None else allowances

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            if scope["type"] == "websocket" or not _is_page(scope["path"]):
                self._look(Headers(scope=scope))
            self._admit(scope)
            if scope["type"] == "http" and "quota" in scope:
                await self._while_known(scope, receive, send)
            else:  # conversations end at what they say next, with a word
                await self._app(scope, receive, send)
        except (ApiError, RateLimitExceeded) as refused:
            client = (scope.get("client") or ("?",))[0]
            more = self._refused.due(asyncio.get_running_loop().time())
            if more is not None:
                log.info("refused %s at %s: %s%s", client, scope["path"][:100], refused, more)
            refusal = refused if isinstance(refused, ApiError) else too_often(refused)
            await _refuse(refusal, scope, receive, send)

    def _look(self, headers: Headers) -> None:
        """A page of somebody else's, in the user's browser, must not talk for the user."""
        host, origin = headers.get("host", ""), headers.get("origin")
        # A stranger's name may be made to lead here; the browser then takes us for the stranger.
        if self._keys is None and not self._is_ours(_name(host)):
            reason = f"this server is not {host[:100]!r}"
            remedy = "[server] hosts lists the names it is reached by"
            raise ApiError(403, f"{reason}; {remedy}", code="unknown_host")
        if origin and origin not in self._origins and _reached(origin) != host.lower():
            reason = f"pages of {origin[:100]!r} may not talk to {host[:100]!r}"
            remedy = "a proxy has to pass Host on; [server] origins lets other pages talk"
            raise ApiError(403, f"{reason}; {remedy}", code="unknown_origin")

    def _is_ours(self, name: str | None) -> bool:
        if not name or name in self._hosts:
            return bool(name)
        # A browser that was led here by a stranger's name says that name, never an address.
        return self._any_address and _is_address(name)

    def _admit(self, scope: Scope) -> None:
        if self._keys is None or not f"{scope['path']}/".startswith(GUARDED):
            return
        key = self._key(self._keys, token(scope), scope["path"])
        now = asyncio.get_running_loop().time()
        quota = self._allowances.setdefault(key.hash, Quota(key.limits, now))
        quota.limit(key.limits, now)
        quota.admit(now)
        scope["key"], scope["quota"] = key.hash, quota

    async def _while_known(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until the key is removed; then what is not begun is refused, and the rest cut off.

        Raises:
            ApiError: the key was removed before the answer began.
        """
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        revoked = scope["quota"].revoked
        try:
            async with asyncio.timeout(None) as limit, background(revoked.wait()) as watch:

                def end(watch: asyncio.Task[object]) -> None:
                    if not watch.cancelled():
                        limit.reschedule(0.0)  # in the past: at once

                watch.add_done_callback(end)
                await self._app(scope, receive, watched)
        except TimeoutError:
            if not limit.expired():
                raise
            if not begun:
                raise ApiError(401, WITHDRAWN, code="invalid_api_key") from None

    def _key(self, keys: Keys, token: str, path: str) -> Key:
        if token.startswith(PREFIX):
            secret = self._secrets.find(token)
            owner = keys.known(secret.owner) if secret and secret.owner else None
            if owner and path in SECRETS_OPEN:
                return owner
        elif key := keys.find(token):
            return key
        reason = "this key is not known, or has expired" if token else "a key is needed"
        raise ApiError(401, f"{reason}; say Authorization: Bearer KEY", code="invalid_api_key")


def quota(scope: Scope) -> Quota:
    """What whoever is served may use: without limits where no key is needed."""
    return scope.get("quota") or Quota(Limits(), 0.0)


def charge(scope: Scope, *, tokens: int = 0, audio_s: float = 0.0) -> None:
    """Count what serving a request has cost, on whoever's key it came with."""
    now = asyncio.get_running_loop().time()
    quota(scope).charge(now, tokens=tokens, audio_s=audio_s)


def _is_page(path: str) -> bool:
    return path == "/" or path.startswith(PAGE)


def _reached(origin: str) -> str:
    """The Host header of whoever asks for something of that origin."""
    scheme, _, host = origin.lower().partition("://")
    return host.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))


def _name(host: str) -> str | None:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def too_often(exceeded: RateLimitExceeded) -> ApiError:
    """What a client is told whose key has used what it may."""
    wait = exceeded.retry_after
    return ApiError(429, str(exceeded), code="rate_limit_exceeded", retry_after=wait)


async def _refuse(refusal: ApiError, scope: Scope, receive: Receive, send: Send) -> None:
    answer = response(refusal)
    if refusal.status == 401:
        answer.headers["www-authenticate"] = "Bearer"
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(answer)
    else:
        await answer(scope, receive, send)
