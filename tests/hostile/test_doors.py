"""Connections of those who say nothing leave room for others, before and behind TLS."""

import asyncio
import logging
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest
import uvicorn
from serving import app

from voicebot.server import certificate, listeners, uvicorn_protocols
from voicebot.server.listeners import ConnectionLimits, Listener, Loop


@contextmanager
def behind(guests, **options):
    """The port of a server behind a door."""
    listening = socket.create_server(("127.0.0.1", 0))
    entry = Listener(listening, guests)
    server = uvicorn.Server(
        uvicorn.Config(app(), timeout_graceful_shutdown=1, **uvicorn_protocols.OPTIONS, **options)
    )
    with asyncio.Runner(loop_factory=Loop) as runner:
        thread = threading.Thread(target=lambda: runner.run(server.serve(sockets=[entry])))
        thread.start()
        try:
            while not server.started:
                threading.Event().wait(0.01)
            yield entry.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
            entry.close()


def alive(port, scheme="http", source="127.0.0.1"):
    with httpx.Client(transport=httpx.HTTPTransport(local_address=source, verify=False)) as client:
        return client.get(f"{scheme}://127.0.0.1:{port}/health", timeout=20).status_code


def silent(stack, port, many, source="127.0.0.1"):
    return [
        stack.enter_context(socket.create_connection(("127.0.0.1", port), 10, (source, 0)))
        for _ in range(many)
    ]


def is_hung_up_on(end):
    end.settimeout(20)
    with suppress(ConnectionError):
        return end.recv(1) == b""
    return True


def test_one_address_shuts_nobody_out(caplog):
    with behind(ConnectionLimits(most=20, each=8)) as port, ExitStack() as stack:
        ends = silent(stack, port, 60)
        assert all(map(is_hung_up_on, ends[8:]))
        assert alive(port, source="127.0.0.2") == 200
        for end in ends[:8]:
            end.close()
        until(lambda: alive(port) == 200)
    lines = [each for each in caplog.messages if each.startswith("hung up on 127.0.0.1: 8 ")]
    assert len(lines) == 1  # of 52


def until(true):
    for _ in range(10_000):
        with suppress(httpx.TransportError):
            if true():
                return
        threading.Event().wait(0.01)
    raise AssertionError


def test_a_named_proxy_may_hold_all_connections():
    guests = ConnectionLimits(["127.0.0.0/8"], most=20, each=8)
    assert all(guests.enter("127.0.0.1") for _ in range(20))
    assert guests.enter("127.0.0.1") is None


def test_a_network_of_ipv6_counts_as_one_address():
    guests = ConnectionLimits(most=20, each=2)
    assert guests.enter("2001:db8::1")
    assert guests.enter("2001:db8::2")
    assert guests.enter("2001:db8::3") is None
    assert guests.enter("2001:db8:0:1::1")
    assert guests.enter("::ffff:192.0.2.1")
    assert guests.enter("192.0.2.1")
    assert guests.enter("192.0.2.1") is None


def test_who_leaves_is_counted_no_more():
    guests = ConnectionLimits(most=2, each=1)
    leave = guests.enter("192.0.2.1")
    assert guests.enter("192.0.2.1") is None
    leave()
    assert guests.enter("192.0.2.1")


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    pytest.importorskip("cryptography")
    return certificate.own(tmp_path_factory.mktemp("tls"), [])


def test_silent_ones_before_tls_count_and_are_given_up(pem, monkeypatch, caplog):
    monkeypatch.setattr(listeners, "HANDSHAKE_S", 0.3)
    with (
        behind(ConnectionLimits(most=20, each=8), ssl_certfile=str(pem)) as port,
        ExitStack() as stack,
    ):
        ends = silent(stack, port, 60)
        assert alive(port, "https", "127.0.0.2") == 200
        assert all(map(is_hung_up_on, ends))
        until(lambda: alive(port, "https") == 200)
    assert len(caplog.messages) < 5


def test_no_descriptor_left_is_one_line(caplog):
    caplog.set_level(logging.ERROR)
    loop = Loop()
    try:
        for _ in range(50):
            failure = OSError(24, "Too many open files")
            loop.call_exception_handler(
                {"message": "socket.accept() out of system resource", "exception": failure}
            )
    finally:
        loop.close()
    assert caplog.messages == ["cannot let anybody in: [Errno 24] Too many open files"]
