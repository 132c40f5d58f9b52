"""`@openai/agents` in a real Chromium, where it speaks WebRTC by itself, and a server for it.

(cd tests/server/javascript && npm ci)
"""

import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from server.browser import browser
from server.browser import needed as browser_needed
from server.serving import served

from voicebot.config import ServerSettings
from voicebot.server.app import create
from voicebot.server.auth import keys

HERE = Path(__file__).parent / "server" / "javascript"
LOUD = 0.02

needed = [
    browser_needed,
    pytest.mark.skipif(not (HERE / "node_modules").is_dir(), reason=f"needs npm ci in {HERE.name}"),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def pages():
    """The address of the folder's pages, which are another site than the server's."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HERE)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Agent:
    """The page in which the client runs."""

    def __init__(self, driver):
        self._driver = driver

    def does(self, script, *given):
        return self._driver.execute_script(f"return {script}", *given)

    @property
    def told(self):
        return self.does("told")

    def all(self, kind):
        return [event for _, event in self.told["events"] if event["type"] == kind]

    def when(self, kind, nth=0):
        return [at for at, event in self.told["events"] if event["type"] == kind][nth]

    @property
    def voiced(self):
        """When something was heard."""
        return [at for at, level in self.told["levels"] if level > LOUD]

    @property
    def is_quiet(self):
        """Whether nothing was heard for a second: a slow machine plays late."""
        return self.voiced[-1] < self.told["levels"][-1][0] - 1

    def until(self, claim, seconds=100):
        end = time.monotonic() + seconds
        while not claim():
            told = self.told
            assert not told["failed"], told["failed"]
            types = [event["type"] for _, event in told["events"]]
            assert time.monotonic() < end, (types, told["errors"])
            time.sleep(0.05)

    def promised(self, script, *given):
        """What the promise holds once it is kept."""
        given = (script, *given)
        return self._driver.execute_async_script(
            "const [script, ...given] = [...arguments].slice(0, -1), done = [...arguments].at(-1);"
            "new Function(`return ${script}`).apply(null, given).then(done)", *given
        )  # fmt: skip


@contextmanager
def agent(engines, folder, microphone=None, spoken=""):
    """`@openai/agents` with a short-lived key, in a browser.

    microphone: the file that its microphone plays.
    spoken: or a recording in base64, which the page plays into it when it is told to `say()`.
    """
    key = keys.add(folder / "keys", "browser")
    with pages() as site:
        settings = ServerSettings(keys=str(folder / "keys"), origins=site)
        with (
            served(create(engines, settings)) as url,
            browser(folder, microphone=microphone) as driver,
        ):
            driver.get(f"{site}/webrtc.html")
            secret = httpx.post(
                f"{url}/v1/realtime/client_secrets", json={},
                headers={"authorization": f"Bearer {key}"},
            ).json()["value"]  # fmt: skip
            client = Agent(driver)
            if spoken:
                client.promised("useMicrophone(...arguments)", spoken)
            calls = f"{url}/v1/realtime/calls"
            client.does("call(...arguments)", calls, secret, "Be brief.")
            client.until(lambda: client.all("session.updated"))
            yield client
            client.does("session.close()")
