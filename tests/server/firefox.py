"""A headless Firefox with a microphone and a loudspeaker of its own, and a person before it.

It is told what to do in WebDriver BiDi, which Firefox speaks by itself.
"""

import base64
import json
import shutil
import subprocess
import time
from contextlib import contextmanager

import browser
import pytest
import sound_server
import websockets.sync.client

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")

needed = [
    sound_server.needed,
    pytest.mark.skipif(not FIREFOX, reason="no Firefox (Debian: firefox-esr)"),
]

SETTINGS = {
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "permissions.default.microphone": 1,  # allowed, as nobody is there to be asked
}
DARK = {False: 1, True: 0}


class Firefox:
    """One window of it."""

    def __init__(self, socket):
        self._socket, self._asked, self.complaints = socket, 0, []
        self._ask("session.new", capabilities={})
        self._ask("session.subscribe", events=["log.entryAdded"])
        self._window = self._ask("browsingContext.getTree")["contexts"][0]["context"]

    def _ask(self, method, **params):
        self._asked += 1
        question = {"id": self._asked, "method": method, "params": params}
        self._socket.send(json.dumps(question))
        while (told := json.loads(self._socket.recv(timeout=100))).get("id") != self._asked:
            if told["params"]["level"] == "error":
                self.complaints.append(told["params"]["text"])
        assert told["type"] == "success", told
        return told["result"]

    def do(self, method, **params):
        return self._ask(method, context=self._window, **params)

    def resize(self, width, height):
        self.do("browsingContext.setViewport", viewport={"width": width, "height": height})

    def get(self, url):
        self.do("browsingContext.navigate", url=url, wait="complete")

    def refresh(self):
        self.do("browsingContext.reload", wait="complete")

    def evaluate(self, expression):
        answer = self._ask(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": self._window},
            awaitPromise=False,
        )
        return json.loads(answer["result"]["value"])

    def click(self, selector):
        located = self.do("browsingContext.locateNodes", locator={"type": "css", "value": selector})
        node = {"sharedId": located["nodes"][0]["sharedId"]}
        self._act(
            "pointer",
            {"type": "pointerMove", "x": 0, "y": 0, "origin": {"type": "element", "element": node}},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    def keys(self, text):
        moves = [{"type": f"key{way}", "value": key} for key in text for way in ("Down", "Up")]
        self._act("key", *moves)

    def _act(self, kind, *moves):
        self.do("input.performActions", actions=[{"type": kind, "id": kind, "actions": moves}])

    def save_screenshot(self, path):
        path.write_bytes(base64.b64decode(self.do("browsingContext.captureScreenshot")["data"]))


@contextmanager
def firefox(folder, environment, size=(1100, 820), dark=False, **settings):
    """settings: of `about:config`, with _ for each dot."""
    profile = folder / "firefox"
    profile.mkdir()
    chosen = SETTINGS | {"layout.css.prefers-color-scheme.content-override": DARK[dark]}
    chosen |= {name.replace("_", "."): value for name, value in settings.items()}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(chosen[name])});\n" for name in chosen]
    (profile / "user.js").write_text("".join(lines))
    process = subprocess.Popen(
        [FIREFOX, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", profile],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with websockets.sync.client.connect(_address(profile), max_size=None, proxy=None) as socket:
            driver = Firefox(socket)
            driver.resize(*size)
            yield driver
    finally:
        process.terminate()
        process.wait()


def _address(profile):
    told, end = profile / "WebDriverBiDiServer.json", time.monotonic() + 100
    while not (told.exists() and told.read_text()):
        assert time.monotonic() < end, "firefox does not start"
        time.sleep(0.05)
    at = json.loads(told.read_text())
    return f"ws://{at['ws_host']}:{at['ws_port']}/session"


class Person(browser.Person):
    """Somebody before the page who can be heard, and hears what it plays."""

    def __init__(self, driver, sounds, folder):
        super().__init__(driver)
        self._sounds, self._folder, self.voice = sounds, folder, None

    def press(self, name):
        self.driver.click(f"#{name}")

    def type(self, text):
        self.press("line")
        self.driver.keys(text + "\ue007")  # Enter

    def evaluate(self, expression):
        return self.driver.evaluate(expression)

    def sees(self, selector):
        return self.evaluate(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".map(e => e.checkVisibility() ? e.innerText.trim() : '')"
        )

    def asks(self, wav):
        self.voice = self._sounds.say(wav)

    @contextmanager
    def listening(self):
        """Gives a file of all that the loudspeaker plays meanwhile, 24 kHz PCM16."""
        file = self._folder / "played.raw"
        form = ["--device=room.monitor", "--rate=24000", "--channels=1", "--format=s16le"]
        recorder = subprocess.Popen(["parec", *form, file], env=self._sounds.environment)
        try:
            yield file
        finally:
            recorder.terminate()
            recorder.wait()


@contextmanager
def visiting(cable, folder, **options):
    with sound_server.sound_server(folder) as sounds:
        for kind, name in [("source", "mouth.monitor"), ("sink", "room")]:
            command = ["pactl", f"set-default-{kind}", name]
            subprocess.run(command, env=sounds.environment, check=True)
        with firefox(folder, sounds.environment, **options) as driver:
            driver.get(f"http://{cable.host}/")
            person = Person(driver, sounds, folder)
            try:
                yield person
            finally:
                if person.voice:
                    person.voice.wait()
                driver.save_screenshot(folder / "page.png")
            assert not driver.complaints
