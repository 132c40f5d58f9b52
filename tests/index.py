"""A package index on loopback (PEP 503), whose wheels carry files; it can fail as real ones do."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Index:
    """What the index has, how it will misbehave, and what it was asked for."""

    url: str = ""
    wheels: dict[str, bytes] = field(default_factory=dict)
    """By file name."""
    served: dict[str, bytes] = field(default_factory=dict)
    """What is sent in place of the right wheel."""
    cut: int | None = None
    """Bytes after which the connection ends, each time."""
    login: str = ""
    """"user:password", without which it answers 401."""
    asked: list[str] = field(default_factory=list)

    def publish(self, name: str, files: dict[str, bytes]) -> dict[str, Any]:
        """Add a wheel with these members. Returns its line of the manifest."""
        packed = io.BytesIO()
        info = f"{name.replace('-', '_')}-1.0.dist-info"
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(packed, "w") as wheel:
            members = {**files, f"{info}/METADATA": about.encode(), f"{info}/WHEEL": kind.encode()}
            members[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in members).encode()
            for path, content in members.items():
                wheel.writestr(path, content)
        whole = packed.getvalue()
        self.wheels[f"{name.replace('-', '_')}-1.0-py3-none-any.whl"] = whole
        digest = hashlib.sha256(whole).hexdigest()
        return {"name": name, "version": "1.0", "size": len(whole), "sha256": digest}


@contextmanager
def serving() -> Iterator[Index]:
    index = Index()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            index.asked.append(self.path)
            given = self.headers["Authorization"] or ""
            right = "Basic " + base64.b64encode(index.login.encode()).decode()
            if index.login and given != right:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path = self.path.partition("#")[0].strip("/")
            if match := re.fullmatch(r"simple/([\w-]+)", path):
                prefix = match[1].replace("-", "_") + "-"
                names = [name for name in index.wheels if name.startswith(prefix)]
                links = "".join(f'<a href="/files/{name}">{name}</a>' for name in names)
                page = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
                self._send(page if names else None, "text/html")
            else:
                name = path.removeprefix("files/")
                content = index.served.get(name, index.wheels.get(name))
                self._send(content, "application/octet-stream", index.cut)

        def _send(self, content: bytes | None, kind: str, cut: int | None = None) -> None:
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            try:
                self.wfile.write((content or b"")[:cut])
            except ConnectionError:  # whoever asked has had enough
                self.close_connection = True
            if cut is not None:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    index.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
