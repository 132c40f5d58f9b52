"""A model hub on loopback that can fail in every way a real one does.

It speaks what the real one does for reading: the listing of a repository at a revision, files by
revision with ranges, large files by a redirect to another host.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".bin", ".gguf", ".onnx", ".pth")
"""Files with these endings are published with their sha256, as the real hub does for large ones."""


@dataclass
class Request:
    path: str
    start: int
    """The first byte asked for."""
    token: str | None
    sent: int = 0
    """Bytes of the file that went out."""


@dataclass
class Hub:
    """What the hub holds, how it will misbehave, and what it was asked."""

    url: str = ""
    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    """Files by repository and commit; the newest commit is "main"."""
    requests: list[Request] = field(default_factory=list)
    faults: dict[str, list[Any]] = field(default_factory=dict)
    released: Event = field(default_factory=Event)
    ranges: bool = True
    retry_after: str = "0"
    """Seconds it asks for with every refusal."""

    def publish(self, repository: str, files: dict[str, bytes]) -> str:
        """Make `files` the newest commit. Returns the commit."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.repositories.setdefault(repository, {})[commit] = files
        return commit

    def fail(self, path: str, *faults: Any) -> None:
        """Let the next requests for `path` each meet one fault: a status to answer instead,
        ("cut", n) or ("stall", n) after n bytes, or the bytes to send in place of the right ones.
        The listing's path is "".
        """
        self.faults.setdefault(path, []).extend(faults)

    def sent(self, path: str) -> int:
        return sum(request.sent for request in self.requests if request.path == path)

    def starts(self, path: str) -> list[int]:
        """Where each download of `path` began that got an answer."""
        return [r.start for r in self.requests if r.path == path and r.sent]


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._serve()

        def do_GET(self) -> None:
            self._serve()

        def log_message(self, *args: Any) -> None:
            pass

        def _serve(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if match := re.fullmatch(r"/api/models/(.+?)(?:/revision/([^/]+))?", path):
                self._list(match[1], match[2] or "main")
            elif match := re.fullmatch(r"/(cdn/)?(.+)/resolve/([^/]+)/(.+)", path):
                self._file(*match.groups())
            else:
                self._end(404)

        def _end(self, status: int, **headers: str) -> None:
            self.send_response(status)
            headers = {"Content_Length": "0", "Retry_After": hub.retry_after} | headers
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def _find(self, repository: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
            commits = hub.repositories.get(repository, {})
            commit = list(commits)[-1] if revision == "main" and commits else revision
            return (commit, commits[commit]) if commit in commits else None

        def _list(self, repository: str, revision: str) -> None:
            hub.requests.append(Request("", 0, self.headers["Authorization"]))
            faults = hub.faults.get("")
            found = self._find(repository, revision)
            fault = faults.pop(0) if faults else None
            if isinstance(fault, int) or not found:
                self._end(fault or 404)
                return
            commit, files = found
            siblings = []
            for name, content in files.items():
                sibling: dict[str, Any] = {"rfilename": name, "size": len(content)}
                if name.endswith(LARGE):
                    digest = hashlib.sha256(content).hexdigest()
                    sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
                siblings.append(sibling)
            body = json.dumps({"id": repository, "sha": commit, "siblings": siblings}).encode()
            body = fault or body
            self._end(200, Content_Length=str(len(body)), Content_Type="application/json")
            self.wfile.write(body)

        def _file(self, cdn: str | None, repository: str, revision: str, name: str) -> None:
            found = self._find(repository, revision)
            if not found or name not in found[1]:
                return self._end(404, X_Error_Code="EntryNotFound" if found else "RepoNotFound")
            commit, content = found[0], found[1][name]
            large = name.endswith(LARGE)
            tag = (
                hashlib.sha256(content).hexdigest() if large else hashlib.sha1(content).hexdigest()
            )
            facts = {"X_Repo_Commit": commit, "ETag": f'"{tag}"', "Accept_Ranges": "bytes"}
            if large and not cdn:
                facts |= {"X_Linked_Etag": f'"{tag}"', "X_Linked_Size": str(len(content))}
                elsewhere = hub.url.replace("127.0.0.1", "localhost")
                return self._end(302, Location=f"{elsewhere}/cdn{self.path}", **facts)
            if self.command == "HEAD":
                return self._end(200, **facts | {"Content_Length": str(len(content))})
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
            start = int(asked[1]) if asked and hub.ranges else 0
            if start >= len(content) > 0:
                return self._end(416)
            request = Request(name, start, self.headers["Authorization"])
            hub.requests.append(request)
            faults = hub.faults.get(name)
            return self._send(content, request, faults.pop(0) if faults else None, facts)

        def _send(self, content: bytes, request: Request, fault: Any, facts: Any) -> None:
            if isinstance(fault, int):
                return self._end(fault)
            if isinstance(fault, bytes):
                content = fault
            body = content[request.start :]
            length = {"Content_Length": str(len(body))}
            if request.start:
                whole = f"bytes {request.start}-{len(content) - 1}/{len(content)}"
                self._end(206, **facts | length, Content_Range=whole)
            else:
                self._end(200, **facts | length)
            if isinstance(fault, tuple):
                body = body[: fault[1]]
            request.sent = len(body)
            self.wfile.write(body)
            self.wfile.flush()
            if isinstance(fault, tuple) and fault[0] == "stall":
                hub.released.wait()
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
