"""`voicebot serve` in a child process: what it prints, and how it ends."""

import fcntl
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager, suppress

import httpx
import pytest
from serving import EMBEDDED

# The chat model answers a question slowly enough for somebody to end the server meanwhile.
SLOW = """
import asyncio
from voicebot.engines import Delta

class Slow:
    async def reply(self, messages):
        yield Delta("Well, ")
        if "slowly" in messages[-1].text:
            await asyncio.sleep(1.5)
        elif "never" in messages[-1].text:
            await asyncio.sleep(60)
        yield Delta("yes.", finish="stop")
"""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    settings = EMBEDDED.replace('"extractive"', '"slow:Slow"')
    (tmp_path / "voicebot.toml").write_text(settings)
    return tmp_path


def start(place, *arguments, **variables):
    return subprocess.Popen(
        [sys.executable, "-m", "voicebot", "serve", *arguments],
        cwd=place,
        env={
            "PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")]),
            "PATH": "/usr/bin:/bin",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(place, *arguments, **variables):
    """The process and the address it printed."""
    process = start(place, "--port", "0", *arguments, **variables)
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def ask(url, how, **kind):
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"Is it? {how}"}]}
    return httpx.post(f"{url}/v1/chat/completions", json=question, timeout=30, **kind)


def wait_until_ready(url, **kind):
    for _ in range(300):
        if httpx.get(f"{url}/ready", **kind).status_code == 200:
            return
        threading.Event().wait(0.1)
    raise AssertionError("it is not ready after half a minute")


def quickest(url):
    """How long an answer takes on a connection that is there already, when nobody is in the way."""
    with httpx.Client(base_url=url) as client:
        times = [client.get("/health").elapsed.total_seconds() for _ in range(60)]
        return min(times[-10:])  # TCP is quick with the first ones in any case


def test_it_says_who_does_what_and_prints_one_address(place):
    with serving(place) as (process, url):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        assert httpx.get(f"{url}/health").json() == {"status": "alive"}
        wait_until_ready(url)
        assert quickest(url) < 0.02
        assert "<html" in httpx.get(f"{url}/").text
        assert ask(url, "").json()["choices"][0]["message"]["content"] == "Well, yes."
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert out == ""
    assert err.splitlines() == [
        "silero detects speech",
        "pocketsphinx listens",
        "slow:Slow answers",
        "espeak speaks",
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_replies_end_before_it_does_and_nobody_new_is_let_in(place, number):
    answers = []
    with serving(place) as (process, url):
        wait_until_ready(url)
        asking = threading.Thread(target=lambda: answers.append(ask(url, "slowly")))
        asking.start()
        threading.Event().wait(0.5)
        process.send_signal(number)
        threading.Event().wait(0.3)
        late, ready = ask(url, ""), httpx.get(f"{url}/ready")
        asking.join()
        process.wait(timeout=20)
        err = process.stderr.read()
    assert answers[0].json()["choices"][0]["message"]["content"] == "Well, yes."
    assert late.status_code == ready.status_code == 503
    assert late.json()["error"]["code"] == "closing"
    assert int(late.headers["retry-after"]) > 0
    assert process.returncode == 0
    assert "Traceback" not in err


def test_a_second_signal_ends_it_at_once(place):
    answers = []
    with serving(place) as (process, url):
        wait_until_ready(url)

        def hang():
            with suppress(httpx.HTTPError):
                answers.append(ask(url, "never").status_code)

        asking = threading.Thread(target=hang)
        asking.start()
        threading.Event().wait(0.5)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            threading.Event().wait(0.3)
        process.wait(timeout=5)
        asking.join()
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == 0
    assert answers in ([], [503])


def test_a_port_that_is_taken_is_one_line(place):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        process = start(place, "--port", port)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert out == ""
    assert err == (
        f"voicebot: cannot listen at 127.0.0.1 port {port} (Address already in use); "
        "--port 0 takes a free one\n"
    )


def test_a_host_that_is_none_is_one_line(place):
    process = start(place, "--host", "no.such.host.invalid")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.startswith("voicebot: [server] host 'no.such.host.invalid': ")
    assert len(err.splitlines()) == 1


def test_a_certificate_that_is_none_is_one_line(place):
    (place / "voicebot.toml").write_text('[server]\ntls_certificate = "none.pem"\nport = 0')
    process = start(place)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "none.pem: no certificate with its key" in err
    assert len(err.splitlines()) == 1


def test_keys_that_are_none_are_told_before_a_model_is_loaded(place):
    (place / "voicebot.toml").write_text('[server]\nkeys = "none.toml"\n')
    process = start(place, "--port", "0")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err == "voicebot: [server] keys: no file none.toml; voicebot keys add NAME\n"


def certify(place, *how):
    """Let the settings name a certificate and its key, made as openssl is told."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-days", "2", *how),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", place / "key.pem", "-out", place / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    with (place / "voicebot.toml").open("a") as settings:
        settings.write('[server]\ntls_certificate = "certificate.pem"\ntls_key = "key.pem"\n')


needs_openssl = pytest.mark.skipif(
    not shutil.which("openssl"), reason="nothing here makes certificates"
)


@needs_openssl
def test_a_key_behind_a_pass_phrase_is_one_line(place):
    certify(place, "-passout", "pass:secret")
    process = start(place, "--port", "0")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err.startswith("voicebot: [server] key.pem needs a pass phrase, and a server is asked")
    assert len(err.splitlines()) == 1


@needs_openssl
def test_with_a_certificate_it_speaks_tls(place):
    certify(place, "-nodes")
    with serving(place) as (_, url):
        assert url.startswith("https://127.0.0.1:")
        trusted = ssl.create_default_context(cafile=place / "certificate.pem")
        assert httpx.get(f"{url}/health", verify=trusted).status_code == 200


def test_a_hang_up_has_the_settings_followed_and_interrupts_nobody(place):
    answers, settings = [], (place / "voicebot.toml").read_text()
    with serving(place) as (process, url):
        wait_until_ready(url)
        asking = threading.Thread(target=lambda: answers.append(ask(url, "slowly")))
        asking.start()
        threading.Event().wait(0.5)
        (place / "voicebot.toml").write_text(settings.replace('"slow:Slow"', '"extractive"'))
        reloaded(process, url)
        tree = "When was the old apple tree planted?"
        other = ask(url, tree)
        asking.join()
    assert answers[0].json()["choices"][0]["message"]["content"] == "Well, yes."
    assert answers[0].headers["x-voicebot-llm"] == "slow:Slow"
    assert "1931" in other.json()["choices"][0]["message"]["content"]
    assert other.headers["x-voicebot-llm"].startswith("extractive/")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("[lm]\n", r"voicebot\.toml: \[lm\] is not a section"),
        ("[llm]\nengine = 'slo:Slow'\n", r"'slo:Slow' cannot be imported"),
        ("[tts]\nengine = 'espeak'\nvoice = 'klingon'\n", "klingon"),
        ("[documents]\nfolder = 'none'\n", "no folder '.*none'"),
        ("[server]\nkeys = 'none'\n", r"no file .*none; voicebot keys add NAME"),
        ("[stt]\nengine = 'slow:Missing'\n", r"slow is asleep; wake it"),
    ],
)
def test_settings_that_cannot_be_followed_are_one_line_and_change_nothing(place, settings, says):
    (place / "slow.py").write_text(SLOW + NEEDY)
    with serving(place) as (process, url):
        wait_until_ready(url)
        (place / "voicebot.toml").write_text(settings)
        standing = reloaded(process, url)
        answer = ask(url, "")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert re.search(says, standing["reload"].removeprefix("failed: "))
    assert answer.json()["choices"][0]["message"]["content"] == "Well, yes."
    (line,) = err.splitlines()[4:]
    assert line.startswith("voicebot: not reloaded: ")
    assert re.search(says, line)


NEEDY = """
from voicebot.errors import MissingDependency as Absent

class Missing:
    def __init__(self):
        raise Absent("slow is asleep; wake it")
"""


FOLLOWED_LATER = """
[log]
file = "log"
[traces]
endpoint = "http://localhost:4318"
"""


def test_what_needs_a_restart_is_said_in_one_line_and_the_rest_is_followed(place):
    settings = (place / "voicebot.toml").read_text().replace('"slow:Slow"', '"extractive"')
    with serving(place) as (process, url):
        wait_until_ready(url)
        server = '[server]\nhost = "0.0.0.0"\nport = 1\norigins = "https://a.example"\n'
        (place / "voicebot.toml").write_text(settings + server + FOLLOWED_LATER)
        assert reloaded(process, url)["reload"] == "done"
        friend = httpx.get(f"{url}/v1/models", headers={"origin": "https://a.example"})
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    assert friend.headers["access-control-allow-origin"] == "https://a.example"
    assert "extractive" in [model["id"] for model in friend.json()["data"]]
    assert err.splitlines()[4:] == [
        "voicebot: [server] host, port and [log] and [traces]: as before until a restart"
    ]


def test_documents_are_read_again(place):
    (place / "notes").mkdir()
    settings = re.sub(r'folder = ".*"', 'folder = "notes"', EMBEDDED)
    (place / "voicebot.toml").write_text(settings)
    note, said = place / "notes" / "kettle.md", []
    note.write_text("# The kettle\n\nThe kettle was bought in 1931.\n")
    with serving(place) as (process, url):
        wait_until_ready(url)
        said.append(ask(url, "When was the kettle bought?"))
        note.write_text(note.read_text().replace("1931", "2026"))
        reloaded(process, url)
        said.append(ask(url, "When was the kettle bought?"))
    assert [answer.json()["choices"][0]["message"]["content"] for answer in said] == [
        "The kettle was bought in 1931.",
        "The kettle was bought in 2026.",
    ]


def reloaded(process, url):
    """What /ready says once the settings have been read again."""
    process.send_signal(signal.SIGHUP)
    threading.Event().wait(0.2)
    for _ in range(300):
        standing = httpx.get(f"{url}/ready").json()
        if standing["reload"] not in ("none", "under way"):
            return standing
        threading.Event().wait(0.1)
    raise AssertionError(standing)


def test_it_ends_with_its_terminal(place):
    ours, its = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "voicebot", "serve", "--port", "0"],
        cwd=place,
        env={
            "PYTHONPATH": os.pathsep.join([str(place), os.environ.get("PYTHONPATH", "")]),
            "PATH": "/usr/bin:/bin",
        },
        stdin=its,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(its)
    try:
        assert process.stdout.readline().startswith("http://")
        process.send_signal(signal.SIGHUP)  # the terminal is there: it is told to reload
        threading.Event().wait(0.5)
        assert process.poll() is None
        os.close(ours)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()
