"""Behind a reverse proxy: whose word counts, and the page through a real nginx, under a path."""

import asyncio
import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from browser import Person, browser, needed
from calling import Parts, serving_browsers
from serving import parts as engines
from starlette.requests import HTTPConnection

from voicebot.config import ServerSettings
from voicebot.errors import ConfigError
from voicebot.server.app import create
from voicebot.server.forwarded import Forwarded

ROOT = Path(__file__).parents[2]
PROXIES = ("127.0.0.1", "10.0.0.0/8")


def seen(client, *headers, type="http"):
    """Who asks, how and at which name, as what is behind the middleware sees it."""
    found = []

    async def app(scope, receive, send):
        url = HTTPConnection(scope).url
        found.append((scope["client"] and scope["client"][0], url.scheme, url.netloc))

    scope = {
        "type": type, "scheme": "ws" if type == "websocket" else "http", "path": "/",
        "client": client and (client, 5), "server": ("127.0.0.1", 8124), "query_string": b"",
        "headers": [(b"host", b"inside:8124"), *[(n.encode(), v.encode()) for n, v in headers]],
    }  # fmt: skip
    asyncio.run(Forwarded(app, PROXIES)(scope, None, None))
    return found[0]


FOR, PROTO, HOST, PORT = (f"x-forwarded-{what}" for what in ("for", "proto", "host", "port"))


@pytest.mark.parametrize("client", ["192.168.0.7", "127.0.0.2", "::1", "nobody", None])
def test_strangers_are_not_believed(client):
    assert seen(client, (FOR, "6.6.6.6"), (PROTO, "https"), (HOST, "a.example")) == (
        client, "http", "inside:8124",
    )  # fmt: skip


@pytest.mark.parametrize("proxy", ["127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3"])
def test_a_proxy_that_is_named_is_believed(proxy):
    told = (FOR, "6.6.6.6"), (PROTO, "https"), (HOST, "a.example")
    assert seen(proxy, *told) == ("6.6.6.6", "https", "a.example")
    assert seen(proxy, *told, type="websocket") == ("6.6.6.6", "wss", "a.example")
    assert seen(proxy) == (proxy, "http", "inside:8124")


def test_what_a_client_has_written_before_its_proxy_did_does_not_count():
    chain = (FOR, "1.1.1.1, 6.6.6.6"), (FOR, "10.9.9.9")
    assert seen("127.0.0.1", *chain, (HOST, "evil, a.example"))[::2] == ("6.6.6.6", "a.example")
    assert seen("127.0.0.1", (FOR, "10.0.0.1, 10.0.0.2"))[0] == "10.0.0.1"
    assert seen("127.0.0.1", (FOR, ",, "), (PROTO, "gopher"), (HOST, ""))[1:] == (
        "http", "inside:8124",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("host", "port", "reached"),
    [
        ("a.example", "8443", "a.example:8443"),
        ("a.example", "443", "a.example"),
        ("a.example:1", "8443", "a.example:1"),
        ("[::1]", "8443", "[::1]:8443"),
        ("a.example", "x", "a.example"),
    ],
)
def test_a_port_that_is_not_the_usual_one_belongs_to_the_name(host, port, reached):
    told = (PROTO, "https"), (HOST, host), (PORT, port)
    assert seen("127.0.0.1", *told)[2] == reached


def test_proxies_are_addresses_or_networks():
    with pytest.raises(ConfigError, match=r"proxies should be addresses or networks: 'nginx' does"):
        ServerSettings(proxies=("nginx",))


with_nginx = pytest.mark.skipif(not shutil.which("nginx"), reason="there is no nginx here")


def documented():
    """The configuration in docs/deploy.md."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    return re.search(r"```nginx\n(.*?)```", text, re.DOTALL)[1]


@contextmanager
def nginx(folder, config):
    """An ordinary process that serves `config` at a free port, which replaces 80; its address."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]
    config = re.sub(r"listen 80;", f"listen 127.0.0.1:{port};", config)
    places = " ".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {places}\n{config} }}"
    )
    command = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")]
    with open(folder / "nginx.err", "wb") as complaints:
        process = subprocess.Popen(command, stderr=complaints)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "nginx.err").read_text()
                assert time.monotonic() < end
                time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def proxied(folder, change=lambda config: config, **settings):
    """A person before the page behind nginx, with its documented configuration or a changed one."""
    app = create(engines(), ServerSettings(**settings))
    with serving_browsers(Parts(), app) as cable:
        config = change(documented().replace("127.0.0.1:8124", cable.host))
        with nginx(folder, config) as host, browser(folder) as driver:
            driver.get(f"http://{host}/voice/")
            person = Person(driver)
            person.host = host
            yield person


@needed
@with_nginx
@pytest.mark.timeout(120)
def test_the_page_converses_through_nginx_under_a_path(tmp_path):
    with proxied(tmp_path) as person:
        person.type("hello")
        person.waits_for(lambda: person.sees(".bot > p") == ["It is noon."])
        person.driver.refresh()
        person.waits_for_state("Type a question")
        moved = httpx.get(f"http://{person.host}/voice")
        assert (moved.status_code, moved.headers["location"]) == (301, "/voice/")
        speech = {"model": "tts-1", "voice": "alloy", "input": "Hello.", "response_format": "wav"}
        spoken = httpx.post(f"http://{person.host}/voice/v1/audio/speech", json=speech)
        assert spoken.content.startswith(b"RIFF")


def without(*names):
    def change(config):
        return "\n".join(line for line in config.splitlines() if not any(n in line for n in names))

    return change


@needed
@with_nginx
@pytest.mark.timeout(120)
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
    with proxied(tmp_path, without(*lost)) as person:
        person.type("hello")
        person.waits_for(lambda: person.sees("#notice")[0].endswith(says))


@needed
@with_nginx
@pytest.mark.timeout(120)
def test_a_named_proxy_may_say_the_name_in_a_header_of_its_own(tmp_path):
    def change(config):
        return config.replace("header Host $http_host", "header X-Forwarded-Host $http_host")

    with proxied(tmp_path, change, proxies=("127.0.0.1",)) as person:
        person.type("hello")
        person.waits_for(lambda: person.sees(".bot > p") == ["It is noon."])
