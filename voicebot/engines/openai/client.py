"""One server that speaks OpenAI's HTTP: what the chat, recognition and speech engines share.

The clocks, from the outside in: `timeout` bounds the wait for the first byte of an answer,
retries included; each attempt to connect gets CONNECT_S of it; once an answer flows, only its
silences are bounded (QUIET_S), because a reader busy speaking may leave it waiting for minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ...concurrency.worker import Stream
from ...errors import ConfigError, ContextExceeded, EngineError, Quoting

LIMIT = 5
"""Failures in a row before the server counts as down. Fewer would give up on a mere restart."""
COOLDOWN_S = 30.0
"""How long it is then left alone. More spares the server; less notices sooner that it is back."""


class CircuitBreaker:
    """Decides whether to ask. Has no clock: `now` is seconds on any one."""

    def __init__(self) -> None:
        self._failures, self._until, self._probing = 0, 0.0, False

    def admits(self, now: float) -> bool:
        """Whether to ask now. After a cool-down exactly one may, until it is known how it went;
        whoever was admitted reports one of the three below."""
        if self._failures < LIMIT:
            return True
        if self._probing or now < self._until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        self._failures, self._probing = 0, False

    def failed(self, now: float) -> None:
        self._failures, self._probing = self._failures + 1, False
        self._until = now + COOLDOWN_S

    def left(self) -> None:
        """It was not waited for: nothing is known, and the next may probe."""
        self._probing = False


if TYPE_CHECKING:
    import httpx

QUIET_S = 10.0
"""A stream silent for this long is dead. Less would give up on a server that swaps models."""
DRAIN_S = 0.1
"""How long a finished answer may take to end. Waiting saves the next turn a new connection."""
COMPLAINT = 20_000
"""Bytes of an error page worth reading."""


# What servers say of messages that are longer than their model can read: OpenAI and vLLM,
# llama-server, LM Studio, TGI, Anthropic.
TOO_LONG = re.compile(
    r"maximum context length|context_length_exceeded|context (?:length|size|window)|context the "
    r"overflows|inputs` tokens \+ `max_new_tokens`|prompt is too long",
    re.IGNORECASE,
)


class RequestRejected(EngineError):
    """The server understood the request and does not take it as it is."""

    kind = "refused"


class HttpAnswer:
    """One response. Every failure to read it is an EngineError made by `error`."""

    def __init__(
        self, response: httpx.Response, error: Callable[[str], EngineError], deadline: float
    ) -> None:
        self.status = response.status_code
        kind, _, self.parameters = response.headers.get("content-type", "").lower().partition(";")
        self.kind = kind.strip()
        """The media type, such as "text/event-stream"."""
        self.complete = False
        """The server said that no more events will come."""
        self._bytes = response.aiter_bytes()
        self._error, self._deadline = error, deadline

    async def chunks(self) -> Stream[bytes]:
        """The content as it arrives."""
        import httpx

        loop = asyncio.get_running_loop()
        limit = self._deadline
        while True:
            try:
                async with asyncio.timeout_at(limit):
                    chunk = await anext(self._bytes)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise self._error("stopped sending in the middle of its answer") from error
            except httpx.HTTPError as error:
                raise self._error(f"broke off its answer ({brief(error)})") from error
            yield chunk
            limit = loop.time() + QUIET_S

    async def document(self) -> dict[str, Any]:
        """The whole content, which has to be a JSON object."""
        async with aclosing(self.chunks()) as chunks:
            return self._object(b"".join([chunk async for chunk in chunks]))

    async def events(self) -> Stream[dict[str, Any]]:
        """The JSON object of each server-sent event; an error among them is raised."""
        async with aclosing(self._lines()) as lines:
            async for line in lines:
                field, _, value = line.partition(b":")
                if field != b"data" or not value.strip():
                    continue
                if value.strip() == b"[DONE]":
                    self.complete = True
                    return
                yield self._object(value)

    async def drain(self) -> None:
        """Read what is left after all that matters, so that the connection can be used again."""
        import httpx

        with suppress(TimeoutError, httpx.HTTPError):
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._bytes:
                    pass

    async def _lines(self) -> Stream[bytes]:
        held = b""
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                *whole, held = (held + chunk).split(b"\n")
                for line in whole:
                    yield line.strip()
        yield held.strip()

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except ValueError as error:
            shown = text.decode(errors="replace").strip()
            raise self._error(f"sent what is not JSON: {shown!r}") from error
        if not isinstance(value, dict):
            raise self._error(f"sent {value!r} instead of an object")
        if value.get("error"):
            raise self._error(f"failed: {_words(value)}")
        return value


async def complaint(answer: HttpAnswer) -> str:
    """The server's own words about its status, as ": words"; empty if it has none."""
    text = b""
    async with aclosing(answer.chunks()) as chunks:
        async for chunk in chunks:
            text += chunk
            if len(text) > COMPLAINT:
                break
    try:
        said = _words(json.loads(text))
    except ValueError:
        said = text.decode(errors="replace")
    return f": {said}" if said.strip() else ""


def brief(error: Exception) -> str:
    """What the library says, or at least the error's name: some say nothing."""
    return str(error) or type(error).__name__


def _words(value: Any) -> str:
    """The message in an error as OpenAI ({"error": {"message": ...}}), FastAPI ({"detail": ...})
    or Ollama ({"error": ...}) write it."""
    while isinstance(value, dict):
        key = next((k for k in ("error", "message", "detail") if value.get(k)), None)
        if key is None:
            break
        value = value[key]
    return value if isinstance(value, str) else json.dumps(value)


if TYPE_CHECKING:
    import httpx

CONNECT_S = 3.0
"""A server farther away than this is no partner for a conversation."""
ON_FIRST_USE = ("httpcore", "anyio", "anyio._backends._asyncio")
"""What httpx imports when it first connects: 90 ms of a blocked loop unless done before."""
ATTEMPTS = 4
BASE_S, CAP_S = 0.25, 4.0
"""Far below what batch work uses: the fourth try comes after 0.9 s on average, while the user
still waits. A server that needs longer says so in Retry-After."""
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
"""The same request may fare better in a moment. Any other status would be the same again."""
SHOWN = 300
"""Characters of a message with a server's own words in it: enough to understand, one line."""


def backoff(attempt: int, chance: float) -> float:
    """Seconds to wait after the failed `attempt` (0, 1, ...); `chance` is uniform in [0, 1).

    Full jitter: clients that failed together do not come back together.
    """
    return chance * min(CAP_S, BASE_S * 2.0**attempt)


def retry_after(header: str, now: datetime) -> float | None:
    """Seconds a Retry-After header asks to wait; None if it says nothing we understand."""
    try:
        if header.strip().isdecimal():
            return float(header)
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without a zone
        return None


class _RetryableError(Exception):
    """An attempt that failed in a way that another may not."""

    def __init__(self, reason: str, wait: float | None = None, said: str = "") -> None:
        super().__init__(reason)
        self.wait, self.said = wait, said


class Server:
    """Posts to one base URL: tries again where that helps, gives up in time, says what was wrong.

    Connections are kept per event loop, and closed when the loop or this object ends.
    """

    def __init__(self, stage: str, url: str, key_env: str, timeout: float) -> None:
        import httpx

        try:
            parsed = httpx.URL(url.rstrip("/"))
        except httpx.InvalidURL as error:
            raise ConfigError(f"[{stage}] url {url!r}: {error}") from error
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigError(f"[{stage}] url {url!r}: write it like http://localhost:8000/v1")
        if timeout <= 0:
            raise ConfigError(f"[{stage}] timeout is {timeout:g}; it must be above 0 seconds")
        self._stage, self._url, self._timeout = stage, str(parsed), timeout
        self._shown = str(parsed.copy_with(username=None, password=None))
        # What stays on this machine goes through no proxy, whatever the environment says.
        self._proxied = parsed.host not in ("127.0.0.1", "::1", "localhost")
        self._key_env, self._key = key_env, os.environ.get(key_env, "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            # Sent all the same, it would be quoted in the library's complaint.
            raise ConfigError(f"[{stage}] {key_env} holds characters that no key has")
        for module in ON_FIRST_USE:
            with suppress(ImportError):  # another version: the first turn pays for it
                import_module(module)
        # Loading the certificates takes tens of milliseconds: now rather than on the loop.
        self._verify = httpx.create_ssl_context() if parsed.scheme == "https" else False
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop,
            tuple[AsyncGenerator[httpx.AsyncClient, None], httpx.AsyncClient],
        ] = WeakKeyDictionary()
        self._breaker = CircuitBreaker()

    @asynccontextmanager
    async def post(self, path: str, **body: Any) -> AsyncIterator[HttpAnswer]:
        """Send `body` (httpx's json, data, files) and give the answer, its content still unread.

        Leaving the block before all was read closes the connection.

        Raises:
            RequestRejected: the server understood the request and does not take it.
            ContextExceeded: because the messages in it are too long.
            EngineError: nothing but failures, or no answer in time.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        response = await self._send(path, body, deadline)
        try:
            answer = HttpAnswer(response, self.error, deadline)
            if response.status_code != 200:
                raise await self._refusal(path, answer)
            yield answer
        finally:
            await response.aclose()

    def error(
        self, reason: str, said: str = "", kind: type[EngineError] = EngineError
    ) -> EngineError:
        """The reason on one line after the server's url, without the key: servers quote it.

        One that says the messages are too long is a ContextExceeded.
        said: what follows in the server's words, in which there may be the user's.
        """
        if self._stage == "llm" and TOO_LONG.search(reason + said):
            kind = ContextExceeded
        bare, line = (" ".join(f"{self._shown} {text}".split()) for text in (reason, reason + said))
        if self._key:  # before it is cut, or half a key would stay
            bare, line = (text.replace(self._key, "***") for text in (bare, line))
        line = line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
        return kind(self._stage, Quoting(bare, line[len(bare) :]) if said else line)

    async def _send(self, path: str, body: dict[str, Any], deadline: float) -> httpx.Response:
        """The first response that is not worth another try, whatever its status."""
        loop = asyncio.get_running_loop()
        client = await self._client(loop)
        for attempt in range(ATTEMPTS):
            if not self._breaker.admits(loop.time()):
                raise self.error(f"keeps failing; it is asked again within {COOLDOWN_S:g} s")
            try:
                response = await self._attempt(client, path, body, deadline)
            except _RetryableError as failure:
                self._breaker.failed(loop.time())
                wait = failure.wait
                pause = backoff(attempt, random.random()) if wait is None else wait
                if attempt + 1 == ATTEMPTS or loop.time() + pause >= deadline:
                    raise self.error(str(failure), failure.said) from failure
            except BaseException:
                self._breaker.left()
                raise
            else:
                self._breaker.succeeded()
                return response
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any], deadline: float
    ) -> httpx.Response:
        import httpx

        request = client.build_request("POST", self._url + path, **body)
        try:
            async with asyncio.timeout_at(deadline):
                response = await client.send(request, stream=True)
        except TimeoutError as error:
            raise _RetryableError(f"did not answer within {self._timeout:g} s") from error
        except httpx.ConnectError as error:
            raise _RetryableError(f"cannot be reached ({error}); is the server running?") from error
        except httpx.HTTPError as error:
            raise _RetryableError(
                f"gave no answer ({brief(error)}); is it the right url?"
            ) from error
        if response.status_code not in RETRIED:
            return response
        try:
            said = await complaint(HttpAnswer(response, self.error, deadline))
        except EngineError:
            said = ""  # the status says enough
        finally:
            await response.aclose()
        wait = retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))
        asked = f", asks to wait {wait:g} s" if wait else ""
        raise _RetryableError(f"answered {response.status_code}{asked}", wait, said)

    async def _refusal(self, path: str, answer: HttpAnswer) -> EngineError:
        status, said = answer.status, await complaint(answer)
        if status in (401, 403):
            # Its own words may hold parts of the key.
            cure = "refused the key in" if self._key else "wants a key; put it in"
            return self.error(f"{cure} the environment variable {self._key_env} ({status})")
        if status == 404:
            reason = f"has no {path} or no such model (404); urls often end in /v1"
            return self.error(reason, said)
        if status < 400:
            return self.error(f"sends us elsewhere ({status}); put that url in the configuration")
        kind = RequestRejected if status in (400, 422) else EngineError
        return self.error(f"answered {status}", said, kind)

    async def _client(self, loop: asyncio.AbstractEventLoop) -> httpx.AsyncClient:
        if loop not in self._clients:
            # A loop closes the generators that are still open when it ends, and one that is
            # collected before: nobody has to remember to close the connections.
            headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
            keeper = _kept(self._verify, headers, self._proxied)
            self._clients[loop] = keeper, await anext(keeper)
        return self._clients[loop][1]


async def _kept(
    verify: Any, headers: dict[str, str], proxied: bool
) -> AsyncGenerator[httpx.AsyncClient, None]:
    import httpx

    # Waiting for bytes is bounded by our own clocks, which know whether any have come.
    limits = httpx.Timeout(None, connect=CONNECT_S)
    async with httpx.AsyncClient(
        headers=headers, timeout=limits, verify=verify, trust_env=proxied
    ) as client:
        yield client
