"""The two protocols of systemd, over real sockets and into real processes."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
from test_serve import ask, place, serving, start, wait_until_ready

from voicebot.server.systemd import Manager

__all__ = ["place"]

BLOCKING = """
import time
from voicebot.engines import Delta

class Blocking:
    async def reply(self, messages):
        if "block" in messages[-1].text:
            time.sleep(3)
        yield Delta("Yes.", finish="stop")
"""
HANDING_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Ear:
    """Where a service manager hears its services."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(100)

    def hear(self):
        return self.socket.recv(4096).decode().split("\n")

    def until(self, line):
        """All that is said up to a message with this line."""
        said = []
        while not said or line not in said[-1]:
            said.append(self.hear())
        return said

    def all(self):
        """All that has been said and not been heard."""
        self.socket.setblocking(False)
        said = []
        try:
            while True:
                said.append(self.hear())
        except BlockingIOError:
            return said
        finally:
            self.socket.settimeout(100)


@pytest.fixture(params=["in the file system", "in no file system"])
def ear(request, tmp_path):
    path = str(tmp_path / "notify")
    ear = Ear(path if request.param == "in the file system" else f"@voicebot{path}")
    ear.address = path if request.param == "in the file system" else f"@voicebot{path}"
    yield ear
    ear.socket.close()


def test_what_is_said_is_lines_in_one_datagram(ear):
    Manager({"NOTIFY_SOCKET": ear.address}).ready("serving;\nnothing else")
    assert ear.hear() == ["READY=1", "STATUS=serving; nothing else"]


def test_what_is_meant_for_us_is_not_meant_for_our_children():
    for_us = {
        "NOTIFY_SOCKET": "@nobody", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin",
    }  # fmt: skip
    Manager(for_us)
    assert for_us == {"PATH": "/bin"}


def test_a_manager_that_has_gone_is_one_line_of_the_log(caplog):
    Manager({"NOTIFY_SOCKET": "@nobody listens here"}).ready("serving")
    (line,) = caplog.messages
    assert "does not hear READY=1" in line


def test_without_a_manager_nothing_is_said(caplog):
    Manager({}).stopping()
    assert not caplog.messages


@pytest.mark.parametrize(
    ("other", "is_watched"), [(None, True), (0, True), (1, False)], ids=["nobody", "us", "another"]
)
def test_the_watchdog_of_another_process_is_not_ours(tmp_path, other, is_watched):
    ear = Ear(str(tmp_path / "notify"))
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    if other is not None:
        variables["WATCHDOG_PID"] = str(os.getpid() + other)

    async def live():
        reassuring = asyncio.create_task(Manager(variables).reassure())
        await asyncio.wait([reassuring], timeout=0.1)
        reassuring.cancel()

    asyncio.run(live())
    said = ear.all()
    ear.socket.close()
    # Every 10 ms, half of the 20 that are allowed; a busy machine may lose some.
    assert said == [["WATCHDOG=1"]] * len(said)
    assert (3 <= len(said) <= 12) == is_watched
    assert is_watched or not said


def test_it_is_ready_when_its_page_says_so_and_tells_when_it_reloads_and_ends(place, ear):
    with serving(place, NOTIFY_SOCKET=ear.address) as (process, url):
        *before, ready = ear.until(f"STATUS=serving at {url}")
        assert httpx.get(f"{url}/ready").status_code == 200
        process.send_signal(signal.SIGHUP)
        asked = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        reload = ear.until(f"STATUS=serving at {url}")
        (place / "voicebot.toml").write_text("[lm]\n")
        process.send_signal(signal.SIGHUP)
        failed = ear.until("READY=1")
        process.send_signal(signal.SIGTERM)
        ear.until("STOPPING=1")
        process.wait(20)
        assert ear.all() == []
    assert before[0] == ["STATUS=loading the engines"]
    assert not any("READY=1" in said for said in before)
    assert ready[0] == "READY=1"
    assert [said[0] for said in reload] == ["RELOADING=1", "READY=1"]
    (moment,) = re.findall(r"^MONOTONIC_USEC=(\d+)$", "\n".join(reload[0]), re.MULTILINE)
    assert abs(int(moment) - asked) < 5_000_000
    assert [said[0] for said in failed] == ["RELOADING=1", "READY=1"]
    assert failed[1][1].startswith(f"STATUS=serving at {url}; not reloaded: voicebot.toml: [lm]")
    assert process.returncode == 0


def test_it_is_not_ready_while_an_engine_fails(place, ear):
    (place / "slow.py").write_text(
        "class Slow:\n    async def reply(self, m):\n        1 / 0\n        yield"
    )
    with serving(place, NOTIFY_SOCKET=ear.address) as (process, _):
        said = ear.until("STATUS=llm: failed: the log says why")
        process.send_signal(signal.SIGTERM)
        said += ear.until("STOPPING=1")
    assert not any("READY=1" in lines for lines in said)


def test_a_loop_that_is_blocked_does_not_reassure(place, tmp_path):
    (place / "slow.py").write_text(BLOCKING.replace("Blocking", "Slow"))
    ear = Ear(str(tmp_path / "notify"))
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    with serving(place, **variables) as (_, url):
        wait_until_ready(url)
        ear.all()
        ear.until("WATCHDOG=1")
        asking = threading.Thread(target=ask, args=(url, "block"))
        asking.start()
        threading.Event().wait(0.5)  # it is blocked by now
        ear.all()
        threading.Event().wait(1)
        assert ear.all() == []
        asking.join()
        ear.until("WATCHDOG=1")
    ear.socket.close()


def handed(place, door, *names, count=1):
    """A server that is given a socket which is listened at already."""
    environment = {"PYTHONPATH": str(place), "PATH": "/usr/bin:/bin", "LISTEN_FDS": str(count)}
    if names:
        environment["LISTEN_FDNAMES"] = ":".join(names)
    return subprocess.Popen(
        [
            *(sys.executable, "-c", HANDING_OVER, str(door.fileno())),
            *("-m", "voicebot", "serve"),
        ],
        cwd=place,
        env=environment,
        pass_fds=[door.fileno()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("names", [(), ("http",)])
def test_it_serves_at_the_socket_it_is_handed(place, names):
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        # Who comes before it has started waits, and is not refused.
        early = socket.create_connection(("127.0.0.1", port), timeout=30)
        process = handed(place, door, *names)
        try:
            early.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert early.recv(100).startswith(b"HTTP/1.1 200 ")
            assert process.stdout.readline().strip() == f"http://127.0.0.1:{port}"
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate()
        early.close()
        # The socket is not ours to close: who comes after us waits for the next of us.
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    assert process.returncode == 0


def test_a_socket_that_others_reach_needs_keys_whatever_the_settings_say(place):
    with socket.create_server(("0.0.0.0", 0)) as door:
        process = handed(place, door)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.startswith("voicebot: [server] others can reach 0.0.0.0: ")
    assert len(err.splitlines()) == 1


def test_what_is_no_listening_socket_is_one_line(place):
    with socket.socket(socket.AF_UNIX) as other:
        process = handed(place, other)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err == "voicebot: file descriptor 3, handed to us, is no listening TCP socket\n"
    with (place / "voicebot.toml").open() as file:
        process = handed(place, file)
        _, err = process.communicate(timeout=20)
    assert err.startswith("voicebot: file descriptor 3, handed to us: ")


def test_a_socket_handed_to_another_process_is_not_ours(place):
    process = start(place, "--port", "0", LISTEN_FDS="1", LISTEN_PID="1")
    try:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="there is no systemd")
def test_systemd_itself_hands_over_a_socket(place):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["systemd-socket-activate", f"--listen=127.0.0.1:{port}", "--fdname=http"]
    command += [f"--setenv=PYTHONPATH={place}", "--", sys.executable, "-m", "voicebot", "serve"]
    process = subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while "Listening on" not in process.stderr.readline():
            pass
        url = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{url}/health", timeout=30).status_code == 200
        assert process.stdout.readline().strip() == url
    finally:
        process.kill()
        process.communicate()
