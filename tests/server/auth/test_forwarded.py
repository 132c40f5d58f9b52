"""Behind a reverse proxy: whose word counts."""

import asyncio

import pytest
from starlette.requests import HTTPConnection

from voicebot.config import ServerSettings
from voicebot.errors import ConfigError
from voicebot.server.auth.forwarded import ForwardedMiddleware

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
    asyncio.run(ForwardedMiddleware(app, PROXIES)(scope, None, None))
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
