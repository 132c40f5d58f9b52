"""Through real reverse proxies, each as docs/deploy.md configures it: the page, pieces, names."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from browser import Person, browser, needed
from calling import Parts, serving_browsers
from room import ChatModel
from serving import parts as engines
from starlette.requests import Request
from starlette.responses import JSONResponse

from voicebot.config import ServerSettings
from voicebot.engines import Delta
from voicebot.server.app import create
from voicebot.server.auth.forwarded import ForwardedMiddleware

ROOT = Path(__file__).parents[2]
NAME = "voice.example"
PROXIES = ("nginx", "caddy", "traefik")


def documented(language, proxy=""):
    """A configuration in docs/deploy.md."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8").split(f"## {proxy}")[1]
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


def free():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


@contextmanager
def running(folder, port, *command, **environment):
    """A program that serves at `port`."""
    complaints = folder / "proxy.err"
    with complaints.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, **environment}
        )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, complaints.read_text()
                assert time.monotonic() < end, complaints.read_text()
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def nginx(folder, to, change):
    """An ordinary process; a free port replaces 80."""
    port = free()
    config = change(documented("nginx", "nginx").replace("127.0.0.1:8124", to))
    config = re.sub(r"listen 80;", f"listen 127.0.0.1:{port};", config)
    places = " ".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {places}\n{config} }}"
    )
    command = "nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")
    with running(folder, port, *command):
        yield f"http://{NAME}:{port}"


@contextmanager
def caddy(folder, to, change):
    """It signs its certificate itself; a free port replaces 443."""
    port = free()
    own = f"admin off\nlocal_certs\nskip_install_trust\ndefault_bind 127.0.0.1\nhttps_port {port}"
    config = change(documented("", "Caddy").replace("127.0.0.1:8124", to))
    file = folder / "Caddyfile"
    file.write_text(f"{{\n{own}\nauto_https disable_redirects\n}}\n{config}")
    command = "caddy", "run", "--adapter", "caddyfile", "--config", str(file)
    with running(folder, port, *command, HOME=str(folder), XDG_DATA_HOME=str(folder)):
        yield f"https://{NAME}:{port}"


class Docker(BaseHTTPRequestHandler):
    """As much of Docker's API as tells Traefik of one container that runs on this machine."""

    protocol_version = "HTTP/1.1"

    def __init__(self, labels, *connection):
        self._labels = labels
        super().__init__(*connection)

    def do_GET(self):
        container = {
            "Id": "c0", "Names": ["/voice"], "Name": "/voice", "State": "running",
            "Labels": self._labels, "NetworkSettings": {"Networks": {"one": LOOPBACK}},
        }  # fmt: skip
        match re.sub(r"^/v[\d.]+|\?.*", "", self.path):
            case "/containers/json":
                self._tell([container])
            case "/containers/c0/json":
                config, host = {"Labels": self._labels}, {"NetworkMode": "one"}
                state = {"Running": True, "Status": "running"}
                self._tell({**container, "State": state, "Config": config, "HostConfig": host})
            case "/events":  # nothing ever happens
                self.send_response(200)
                self.end_headers()
                self.close_connection = True
                self.server.over.wait()
            case _:
                self._tell({"ApiVersion": "1.44", "Version": "25.0.0", "Os": "linux"})

    do_HEAD = do_GET

    def _tell(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("API-Version", "1.44")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


LOOPBACK = {"IPAddress": "127.0.0.1", "NetworkID": "n0", "Gateway": ""}


@contextmanager
def docker(labels):
    """The address of an API that tells of one container with these labels."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Docker, labels)) as server:
        server.daemon_threads = True
        server.over = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_port}"
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


@contextmanager
def traefik(folder, to, change):
    """It reads a container's labels, and signs its certificate itself."""
    port = free()
    written = change(documented("yaml", "Traefik").replace("8124", to.split(":")[1]))
    # Compose reads $$ as $.
    lines = re.findall(r"^  - (.*?)=(.*)$", written.replace("$$", "$"), re.MULTILINE)
    with docker(dict(lines)) as endpoint:
        flags = {
            "providers.docker.endpoint": endpoint, "providers.docker.exposedbydefault": "false",
            "entrypoints.websecure.address": f"127.0.0.1:{port}",
            "global.checknewversion": "false", "global.sendanonymoususage": "false",
            "certificatesresolvers.default.acme.caserver": "http://127.0.0.1:9",
            "certificatesresolvers.default.acme.storage": str(folder / "acme.json"),
            "certificatesresolvers.default.acme.tlschallenge": "true",
        }  # fmt: skip
        command = "traefik", *(f"--{name}={value}" for name, value in flags.items())
        with running(folder, port, *command):
            url = f"https://{NAME}:{port}"
            yield url


STARTS = {"nginx": nginx, "caddy": caddy, "traefik": traefik}


@dataclass
class Client:
    """Reaches the proxy by its name, which no name server has."""

    url: str

    def __post_init__(self):
        scheme, _, self.host = self.url.partition("://")
        self._at = f"{scheme}://127.0.0.1:{self.host.split(':')[1]}"
        door = httpx.HTTPTransport(verify=False, local_address="127.0.0.2")
        self.http = httpx.Client(transport=door, timeout=60)

    @property
    def is_through(self):
        """Whether the proxy knows its way already."""
        try:
            return self.get("GET", "/voice/health").status_code != 404
        except httpx.TransportError:
            return False

    def asks(self, method, path, headers=(), **how):
        named = {"host": self.host, **dict(headers)}
        about = {"sni_hostname": NAME}
        return self.http.stream(method, f"{self._at}{path}", headers=named, extensions=about, **how)

    def get(self, method, path, **how):
        with self.asks(method, path, **how) as answer:
            answer.read()
        return answer


@contextmanager
def behind(proxy, folder, app, change=lambda config: config):
    """A client of the application behind a proxy with its documented configuration, or another."""
    if not shutil.which(proxy):
        pytest.skip(f"there is no {proxy} here")
    with serving_browsers(Parts(), app) as cable, STARTS[proxy](folder, cable.host, change) as url:
        client = Client(url)
        end = time.monotonic() + 60
        with client.http:
            while not client.is_through:  # Traefik asks Docker, Caddy makes its certificate
                assert time.monotonic() < end, (folder / "proxy.err").read_text()
                time.sleep(0.05)
            yield client


@contextmanager
def looking(client, folder):
    """Somebody before the page behind that proxy."""
    names = f"host-resolver-rules=MAP {NAME} 127.0.0.1"
    with browser(folder, names, "ignore-certificate-errors") as driver:
        driver.get(f"{client.url}/voice/")
        yield Person(driver)


def proxied(proxy, folder, change=lambda config: config, **settings):
    """Enters both; gives the client and the person."""
    stack = ExitStack()
    app = create(engines(), ServerSettings(hosts=(NAME,), **settings))
    client = stack.enter_context(behind(proxy, folder, app, change))
    return stack, client, stack.enter_context(looking(client, folder))


@needed
@pytest.mark.parametrize("proxy", PROXIES)
def test_the_page_converses_under_a_path(tmp_path, proxy):
    stack, client, person = proxied(proxy, tmp_path, proxies=("127.0.0.1",))
    with stack:
        person.type("hello")
        person.waits_for(lambda: person.sees(".bot > p") == ["It is noon."])
        person.driver.refresh()
        person.waits_for_state("Type a question")
        moved = client.get("GET", "/voice")
        assert moved.is_redirect
        assert moved.headers["location"].endswith("/voice/")
        speech = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "wav"}
        spoken = client.get("POST", "/voice/v1/audio/speech", json=speech)
        assert spoken.content.startswith(b"RIFF")


class Waiting(ChatModel):
    """Says a word, and the other once that was heard."""

    def __init__(self):
        super().__init__()
        self.heard = threading.Event()

    async def reply(self, messages):
        yield Delta("Yes, ")
        await asyncio.to_thread(self.heard.wait)
        yield Delta("noon.")


@pytest.mark.parametrize("proxy", PROXIES)
def test_pieces_of_an_answer_come_as_they_are_made(tmp_path, proxy):
    llm = Waiting()
    asked = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "?"}]}
    app = create(engines(llm=llm), ServerSettings(hosts=(NAME,)))
    with (
        behind(proxy, tmp_path, app) as client,
        client.asks("POST", "/voice/v1/chat/completions", json=asked) as answer,
    ):
        for line in answer.iter_lines():
            if "Yes, " in line:
                llm.heard.set()
        assert llm.heard.is_set()


@pytest.mark.parametrize("proxy", PROXIES)
def test_who_asks_and_how_is_passed_on(tmp_path, proxy):
    async def told(scope, receive, send):
        url = Request(scope).url
        answer = [scope["client"][0], url.scheme, url.netloc, url.path]
        await JSONResponse(answer)(scope, receive, send)

    lies = {"x-forwarded-for": "6.6.6.6"}
    with behind(proxy, tmp_path, ForwardedMiddleware(told, ("127.0.0.1",))) as client:
        found = client.get("GET", "/voice/v1/models", headers=lies).json()
    assert found == ["127.0.0.2", client.url.split(":")[0], client.host, "/v1/models"]


def without(*names):
    def change(config):
        return "\n".join(line for line in config.splitlines() if not any(n in line for n in names))

    return change


@needed
@pytest.mark.parametrize(
    ("lost", "says"),
    [
        (["header Host"], "a proxy has to pass Host on; [server] origins lets other pages talk."),
        (
            ["header Upgrade", "header Connection"],
            "/v1/talk is for websockets; a proxy in between has to pass on Upgrade and Connection.",
        ),
    ],
)
def test_a_page_whose_proxy_passes_on_too_little_says_what_is_missing(tmp_path, lost, says):
    stack, _, person = proxied("nginx", tmp_path, without(*lost))
    with stack:
        person.type("hello")
        person.waits_for(lambda: person.sees("#notice")[0].endswith(says))


@needed
def test_a_named_proxy_may_say_the_name_in_a_header_of_its_own(tmp_path):
    def change(config):
        return config.replace("header Host $http_host", "header X-Forwarded-Host $http_host")

    stack, _, person = proxied("nginx", tmp_path, change, proxies=("127.0.0.1",))
    with stack:
        person.type("hello")
        person.waits_for(lambda: person.sees(".bot > p") == ["It is noon."])
