"""Chat servers that answer on this machine's loopback: Ollama, LM Studio, llama-server.

They are asked which models they have, at the ports where each listens unless told otherwise, and
never anything else: no name is resolved, no redirect followed, no proxy used.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException
from typing import Any

HOST = "127.0.0.1"
PORTS = OLLAMA, LM_STUDIO, LLAMA_SERVER = 11434, 1234, 8080
"""The port of each by default."""

GLANCE_S = 0.2
"""Seconds a server is given where it is only to be offered. Where none runs it is a millisecond."""
LOOK_S = 2.0
"""Seconds it is given where it is to be used: a busy machine takes its time."""
MAX_LIST_BYTES = 1_000_000
"""Bytes of a list of models."""

_NO_CHAT = re.compile(
    r"embed|rerank|whisper|(?:^|[/:_-])(?:bge|gte|e5|minilm|all-minilm|clip|tts|ocr|moderation"
    r"|llama-guard|shieldgemma)(?:[:._-]|$)",
    re.IGNORECASE,
)
_CLOUD = re.compile(r"[:-]cloud$")
"""What Ollama sends on to its makers' machines."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server that answered."""

    name: str
    port: int
    model: str = ""
    """The chat model that it has loaded, or else the first that it can load; empty without one."""
    trouble: str = ""
    """Why it cannot be used."""

    @property
    def url(self) -> str:
        """Where the engine `openai` finds it."""
        return f"http://{HOST}:{self.port}/v1"

    def __str__(self) -> str:
        told = f"with {self.model}" if self.model else f"but {self.trouble}"
        return f"{self.name} answers on {HOST}:{self.port} {told}"

    @property
    def offer(self) -> str:
        """How a user comes to use it."""
        return f"{self}; to use it: auto_local = true under [llm] in voicebot.toml"


def find(patience: float = GLANCE_S) -> list[LocalServer]:
    """Those that answer, the one to be preferred first: with a model loaded, then with any.

    patience: seconds after which nobody waits for the others. Each is asked in a thread.
    """
    found: dict[int, tuple[bool, LocalServer]] = {}

    def ask(place: int, probe: Callable[[_Get], tuple[bool, LocalServer] | None]) -> None:
        try:
            answer = probe(partial(_get, patience))
        # Whoever listens there need not be what we think: it may answer anything.
        except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError):
            return
        if answer:
            found[place] = answer

    ends = time.monotonic() + patience
    asking = [
        threading.Thread(target=ask, args=each, daemon=True)
        for each in enumerate((_ollama, _lm_studio, _llama_server))
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(max(0.0, ends - time.monotonic()))
    answers = dict(found)  # one that is late may still come in
    ranked = sorted(answers, key=lambda i: (not answers[i][1].model, not answers[i][0], i))
    return [answers[i][1] for i in ranked]


def usable(patience: float = GLANCE_S) -> LocalServer | None:
    """The one to be preferred of those that can chat."""
    return next((server for server in find(patience) if server.model), None)


_Get = Callable[[int, str], dict[str, Any] | str]


def _ollama(get: _Get) -> tuple[bool, LocalServer] | None:
    tags = get(OLLAMA, "/api/tags")
    if isinstance(tags, str):
        return False, LocalServer("Ollama", OLLAMA, trouble=tags)
    here = [
        str(model["name"])
        for model in tags["models"]
        if not (
            _CLOUD.search(model["name"])
            or model.get("remote_host")
            or "bert" in str((model.get("details") or {}).get("family", ""))
        )
    ]
    running = get(OLLAMA, "/api/ps")
    loaded = [] if isinstance(running, str) else [m["name"] for m in running.get("models") or []]
    return _chosen("Ollama", OLLAMA, here, loaded)


def _lm_studio(get: _Get) -> tuple[bool, LocalServer] | None:
    models = get(LM_STUDIO, "/api/v0/models")
    if isinstance(models, str):  # another server, or one that needs a key
        return _openai(get, "An OpenAI-compatible server", LM_STUDIO)
    chats = [m for m in models["data"] if m.get("type") in ("llm", "vlm", None)]
    loaded = [m["id"] for m in chats if m.get("state") == "loaded"]
    return _chosen("LM Studio", LM_STUDIO, [m["id"] for m in chats], loaded)


def _llama_server(get: _Get) -> tuple[bool, LocalServer] | None:
    return _openai(get, "An OpenAI-compatible server", LLAMA_SERVER)


def _openai(get: _Get, name: str, port: int) -> tuple[bool, LocalServer] | None:
    models = get(port, "/v1/models")
    if isinstance(models, str):
        # Many a web server listens there; that it wants a key is worth knowing, a 404 is not.
        return (False, LocalServer(name, port, trouble=models)) if "key" in models else None
    if any(m.get("owned_by") == "llamacpp" for m in models["data"]):
        name = "llama-server"
    ids = [m["id"] for m in models["data"]]
    # One that swaps models says of each whether it is loaded; others list only what they loaded.
    loaded = [m["id"] for m in models["data"] if _status(m) in ("loaded", "")]
    return _chosen(name, port, ids, loaded)


def _status(model: dict[str, Any]) -> str:
    status = model.get("status")
    return str(status.get("value", "")) if isinstance(status, dict) else ""


def _chosen(
    name: str, port: int, models: Sequence[str], loaded: Sequence[str]
) -> tuple[bool, LocalServer]:
    chats = [model for model in models if model and not _NO_CHAT.search(model)]
    ready = [model for model in loaded if model in chats]
    if not chats:
        return False, LocalServer(name, port, trouble="has no chat model")
    return bool(ready), LocalServer(name, port, (ready or chats)[0])


def _get(patience: float, port: int, path: str) -> dict[str, Any] | str:
    """The JSON object at a path; or in words what the server answered instead.

    Raises:
        OSError, HTTPException: nothing answers there, or not in time.
        ValueError: it is no JSON object.
    """
    connection = HTTPConnection(HOST, port, timeout=patience)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        response = connection.getresponse()
        if response.status in (401, 403):
            return f"wants a key ({response.status})"
        if response.status != 200:
            return f"answers {response.status}"
        value = json.loads(response.read(MAX_LIST_BYTES))
    finally:
        connection.close()
    if not isinstance(value, dict):
        raise ValueError(value)
    return value
