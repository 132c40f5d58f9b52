"""A model hub over its plain HTTP interface: what a repository holds, and its files, resumed.

Spoken directly because no client library resumes in a later run: huggingface_hub 2 deletes the
part it has when a download ends early.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ..errors import ConfigError, MissingDependency, VoicebotError
from .manifest import File

if TYPE_CHECKING:
    import httpx

PAUSES = (0.0, 1.0, 2.0, 4.0)
"""Seconds before each new attempt while nothing arrives. More outlasts longer outages; less tells
the user sooner. A connection that brought something is taken up again at once."""

CONNECT_S = 4.0
"""Seconds to wait for a connection. More reaches hubs far away; less is sooner at the next source
where a network lets nothing through and says nothing either."""

READ_TIMEOUT_S = 30.0
"""Seconds without a byte before a connection counts as cut, and the longest wait a hub may ask."""


class _Later(Exception):
    """The hub asks us to come back."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(f"the hub answers {status}")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    commit: str
    files: dict[str, File]
    """By path. The hash is known for large files only."""


class Hub:
    """One hub; close it when done."""

    def __init__(self) -> None:
        """Read HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE, as every tool for this hub does.

        Raises:
            MissingDependency: httpx is not installed, or the user wants to stay offline.
            ConfigError: HF_TOKEN cannot be a token.
        """
        try:
            import httpx
        except ImportError as error:
            raise MissingDependency(
                "pulling models needs httpx; voicebot install models"
            ) from error
        if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
            raise MissingDependency("HF_HUB_OFFLINE is set; unset it to pull models")
        self._answered = False
        self.endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        token = os.environ.get("HF_TOKEN", "").strip()
        if not (token.isascii() and token.isprintable()):
            raise ConfigError("HF_TOKEN holds characters that no token has")
        # Compression would make ranges and lengths speak of something else than the file.
        headers = {"Accept-Encoding": "identity", "User-Agent": "voicebot"}
        self._client = httpx.Client(
            headers=headers | ({"Authorization": f"Bearer {token}"} if token else {}),
            follow_redirects=True,
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_S),
        )

    def close(self) -> None:
        self._client.close()

    def listing(self, repository: str, revision: str) -> Listing:
        """What `repository` holds at `revision`, a commit or a name.

        Raises:
            MissingDependency: no such repository or revision, it is not public, or no hub answers.
        """

        def ask() -> Any:
            path = f"/api/models/{repository}/revision/{quote(revision, safe='')}?blobs=true"
            with self._answer(path, f"{repository} at {revision}") as answer:
                answer.read()
                return answer.json()

        try:
            told = self._patiently(ask, lambda: 0)
            files = {
                entry["rfilename"]: File(
                    entry["rfilename"], entry.get("size"), (entry.get("lfs") or {}).get("sha256")
                )
                for entry in told["siblings"]
            }
            return Listing(told["sha"], files)
        except (ValueError, KeyError, TypeError) as error:
            raise MissingDependency(
                f"{self.endpoint} is not a Hugging Face-compatible hub (unexpected reply)"
            ) from error

    def download(
        self,
        repository: str,
        commit: str,
        file: File,
        part: Path,
        arrived: Callable[[int], None],
    ) -> None:
        """Complete `part`, going on where it ends; `arrived` hears its length as it grows.

        It never grows longer than `file.size`.

        Raises:
            MissingDependency: no such file, or it is not public, or the hub stopped answering.
            VoicebotError: the hub sends more than it should.
        """
        path = file.path

        def ask() -> None:
            done = _length(part)
            headers = {"Range": f"bytes={done}-"} if done else {}
            url = f"/{repository}/resolve/{commit}/{quote(path)}"
            with self._answer(url, f"{path} in {repository}", headers) as answer:
                if answer.status_code == 416:  # nothing comes after what we have
                    return
                # A hub or a proxy that ignores the range sends the file from its start.
                resumed = answer.status_code == 206
                with part.open("ab" if resumed else "wb") as out:
                    # No chunk size: what a cut connection brought must not wait in a buffer.
                    for chunk in answer.iter_bytes():
                        if file.size is not None and out.tell() + len(chunk) > file.size:
                            raise VoicebotError(
                                f"{self.endpoint} sends more than the {file.size} bytes of {path}"
                            )
                        out.write(chunk)
                        arrived(out.tell())

        self._patiently(ask, lambda: _length(part))

    @contextmanager
    def _answer(
        self, path: str, what: str, headers: dict[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        with self._client.stream("GET", self.endpoint + path, headers=headers or {}) as answer:
            self._answered = True
            status = answer.status_code
            if status == 429 or status >= 500:
                asked = answer.headers.get("Retry-After", "")
                raise _Later(status, float(asked) if asked.isdigit() else None)
            if status in (401, 403):
                raise MissingDependency(
                    f"{self.endpoint} does not let us read {what} ({status}); if it exists, "
                    "accept its terms there and set HF_TOKEN"
                )
            if status == 404:
                raise MissingDependency(f"{self.endpoint} has no {what} (404)")
            if status >= 400 and status != 416:
                raise VoicebotError(f"{self.endpoint} refuses to give {what} ({status})")
            yield answer

    def _patiently(self, ask: Callable[[], Any], length: Callable[[], int]) -> Any:
        """What `ask()` returns, asked again while the trouble may pass."""
        import httpx

        unreached = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
        pauses = iter(PAUSES)
        while True:
            before = length()
            try:
                return ask()
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise ConfigError(
                    f"HF_ENDPOINT: {self.endpoint!r} is not the URL of a hub"
                ) from error
            except (httpx.RequestError, _Later) as error:
                if length() > before:
                    pauses = iter(PAUSES)
                # Waiting is for a hub that has answered before, not for a wrong address.
                silent = isinstance(error, unreached) and not self._answered
                pause = None if silent else next(pauses, None)
                asked = error.seconds if isinstance(error, _Later) else None
                if pause is None or (asked or 0) > READ_TIMEOUT_S:
                    reason = str(error) or type(error).__name__
                    raise MissingDependency(f"cannot reach {self.endpoint}: {reason}") from error
                time.sleep(pause if asked is None else asked)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
