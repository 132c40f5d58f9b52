"""Chat servers of this machine are found by how they answer on loopback, whatever else listens."""

import json
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from voicebot.assistant import assembly, local_servers
from voicebot.assistant.assembly import choose, offers
from voicebot.config import Config, EngineChoice, read
from voicebot.errors import ConfigError


class Answers(BaseHTTPRequestHandler):
    """By path: a value to send as JSON, bytes to send as they are, a status, or a function."""

    def do_GET(self):
        answer = self.server.answers.get(self.path, 404)
        self.server.asked.append((self.path, dict(self.headers)))
        if callable(answer):
            answer(self)
            return
        status = answer if isinstance(answer, int) else 200
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://example.org/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *about):
        pass


@pytest.fixture
def runs(monkeypatch):
    """Has a server answer at the port of the one that is named; nothing listens at the others."""
    with ExitStack() as closing:
        free = [closing.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Answers))
                for _ in range(3)]  # fmt: skip
        ports = [server.server_port for server in free]
        unused = dict(zip(("OLLAMA", "LM_STUDIO", "LLAMA_SERVER"), ports, strict=True))
        for name, port in unused.items():
            monkeypatch.setattr(local_servers, name, port)
        closing.pop_all().close()  # the ports are free again

        def run(name, answers):
            server = ThreadingHTTPServer(("127.0.0.1", unused[name]), Answers)
            server.daemon_threads, server.answers, server.asked = True, answers, []
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            closing.callback(server.server_close)
            closing.callback(server.shutdown)
            return server

        yield run


def tag(name, family="qwen3", **more):
    return {"name": name, "model": name, "details": {"family": family}, **more}


TAGS = {
    "models": [
        tag("nomic-embed-text:latest", "nomic-bert"),
        tag("mxbai-large:latest", "bert"),
        tag("gpt-oss:120b-cloud", "gptoss", remote_host="https://ollama.com:443"),
        tag("qwen3:4b"),
        tag("llama3.2:3b", "llama"),
    ]
}
OLLAMA = {"/api/tags": TAGS, "/api/ps": {"models": []}}
LM_STUDIO = {
    "/api/v0/models": {
        "data": [
            {"id": "text-embedding-nomic-embed-text-v1.5", "type": "embeddings", "state": "loaded"},
            {"id": "qwen3-4b", "type": "llm", "state": "not-loaded"},
            {"id": "gemma-3-12b", "type": "vlm", "state": "loaded"},
        ]
    }
}
LLAMA_SERVER = {
    "/v1/models": {
        "object": "list",
        "data": [{"id": "/models/SmolLM3-Q4.gguf", "object": "model", "owned_by": "llamacpp"}],
    }
}
ROUTER = {
    "/v1/models": {
        "data": [
            {"id": "a", "owned_by": "llamacpp", "status": {"value": "unloaded"}},
            {"id": "b", "owned_by": "llamacpp", "status": {"value": "loaded"}},
        ]
    }
}


def hang(_):
    time.sleep(5)


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(50):
        time.sleep(0.05)
        try:
            handler.wfile.write(b" ")
        except OSError:
            return


@pytest.mark.parametrize(
    ("name", "answers", "told"),
    [
        ("OLLAMA", OLLAMA, "Ollama answers on 127.0.0.1:{} with qwen3:4b"),
        ("OLLAMA", {**OLLAMA, "/api/ps": {"models": [tag("llama3.2:3b")]}},
         "Ollama answers on 127.0.0.1:{} with llama3.2:3b"),
        ("OLLAMA", {"/api/tags": {"models": TAGS["models"][:3]}},
         "Ollama answers on 127.0.0.1:{} but has no chat model"),
        ("OLLAMA", {"/api/tags": TAGS}, "Ollama answers on 127.0.0.1:{} with qwen3:4b"),
        ("LM_STUDIO", LM_STUDIO, "LM Studio answers on 127.0.0.1:{} with gemma-3-12b"),
        ("LLAMA_SERVER", LLAMA_SERVER,
         "llama-server answers on 127.0.0.1:{} with /models/SmolLM3-Q4.gguf"),
        ("LLAMA_SERVER", ROUTER, "llama-server answers on 127.0.0.1:{} with b"),
        ("LLAMA_SERVER", {"/v1/models": 401},
         "An OpenAI-compatible server answers on 127.0.0.1:{} but wants a key (401)"),
        ("LM_STUDIO", {"/v1/models": {"data": [{"id": "phi-4"}]}},
         "An OpenAI-compatible server answers on 127.0.0.1:{} with phi-4"),
    ],
)  # fmt: skip
def test_each_is_known_by_how_it_answers_and_its_loaded_model_comes_first(
    runs, name, answers, told
):
    server = runs(name, answers)
    assert [str(found) for found in local_servers.find(2.0)] == [told.format(server.server_port)]


RUBBISH = [
    404, 500, 302, b"", b"<html>A home page</html>", b"[1, 2]", {}, {"data": None}, {"data": [1]},
    {"models": None}, {"models": [{}]}, {"data": [{"id": None}]}, {"models": [{"name": 7}]},
]  # fmt: skip


@pytest.mark.parametrize("answer", RUBBISH)
def test_what_is_no_chat_server_is_not_offered(runs, answer):
    paths = ("/api/tags", "/api/ps", "/v1/models", "/api/v0/models")
    for name in ("OLLAMA", "LM_STUDIO", "LLAMA_SERVER"):
        runs(name, dict.fromkeys(paths, answer))
    assert local_servers.usable(2.0) is None


@pytest.mark.parametrize("slow", [hang, drip])
def test_one_that_hangs_holds_the_start_up_for_a_moment_and_hides_no_other(runs, slow):
    runs("OLLAMA", {"/api/tags": slow})
    runs("LM_STUDIO", LM_STUDIO)
    begun = time.monotonic()
    found = local_servers.find(0.5)
    assert time.monotonic() - begun < 1.5
    assert [server.name for server in found] == ["LM Studio"]


def test_a_model_that_is_loaded_goes_before_one_that_is_not(runs):
    runs("OLLAMA", OLLAMA)
    runs("LM_STUDIO", LM_STUDIO)
    assert [server.name for server in local_servers.find(2.0)] == ["LM Studio", "Ollama"]


def test_no_key_of_ours_is_sent(runs, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    server = runs("LLAMA_SERVER", LLAMA_SERVER)
    local_servers.find(2.0)
    assert "sk-very" not in str(server.asked)


def test_it_is_offered_in_one_line_and_used_when_that_is_asked_for(runs, tmp_path, caplog):
    runs("OLLAMA", OLLAMA)
    (line,) = offers(Config())
    assert "with qwen3:4b; to use it: auto_local = true under [llm]" in line
    (llm,) = choose(Config(), tmp_path, ["llm"])
    assert llm.name == "extractive"

    (tmp_path / "voicebot.toml").write_text("[llm]\nauto_local = true")
    wanted = read(tmp_path / "voicebot.toml")
    (llm,) = choose(wanted, tmp_path, ["llm"])
    assert str(llm) == "openai (qwen3:4b) answers"
    assert llm.options["url"] == f"http://127.0.0.1:{local_servers.OLLAMA}/v1"
    assert llm.options["key_env"] == ""
    assert offers(wanted) == []
    assert offers(Config(llm=EngineChoice("extractive"))) == []
    # One that fails its first request is passed over as any other.
    assert choose(wanted, tmp_path, ["llm"], without={"openai"})[0].name == "extractive"


def test_where_none_answers_the_next_best_is_taken_and_it_is_said(runs, tmp_path, caplog):
    config = Config(llm=EngineChoice(auto_local=True))
    assert choose(config, tmp_path, ["llm"])[0].name == "extractive"
    assert "no chat server with a model answers" in caplog.text
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patched:
        patched.setattr(assembly.engines, "lacking", lambda entry: list(entry.packages))
        choose(config, tmp_path, ["llm"])
    assert "auto_local needs httpx" in caplog.text


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[llm]\nauto_local = 1", "auto_local should be true or false"),
        ("[llm]\nengine = 'llama'\nauto_local = true", "auto_local is for engine = 'auto'"),
        ("[stt]\nauto_local = true", "auto_local is a setting of one engine"),
    ],
)
def test_auto_local_belongs_to_the_chat_model_that_auto_chooses(tmp_path, toml, says):
    (tmp_path / "voicebot.toml").write_text(toml)
    with pytest.raises(ConfigError, match=says):
        read(tmp_path / "voicebot.toml")
