"""Photographs the page in Chromium while real engines answer: docs/page.png, dark, and on a phone.

python scripts/screenshots.py     # whisper tiny.en, quoting from examples/house, hibari
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "server")]

from browser import Person, browser  # noqa: E402 - the tests' own browser
from test_page import recording  # noqa: E402

SHOTS = {
    "page": {"size": (1100, 680)},
    "page-dark": {"size": (1100, 680), "dark": True},
    "page-phone": {"size": (390, 760), "scale": 2},
}
SETTINGS = """
[documents]
folder = "{root}/examples/house"
[stt]
engine = "whisper"
model = "{model}"
[llm]
engine = "extractive"
[tts]
engine = "hibari"
[server]
port = 0
"""


def main(model: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "voicebot.toml")
        settings.write_text(SETTINGS.format(root=ROOT, model=model))
        command = [sys.executable, "-m", "voicebot", "serve", "--config", str(settings)]
        told = subprocess.PIPE
        server = subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, text=True)
        try:
            address = next(
                found[0] for line in server.stdout if (found := re.search(r"http://\S+", line))
            )
            for name, look in SHOTS.items():
                own = Path(folder, name)
                own.mkdir()
                photograph(address, own, ROOT / "docs" / f"{name}.png", look)
        finally:
            server.terminate()
            server.wait()


def photograph(address: str, folder: Path, picture: Path, look: dict) -> None:
    """Ask when the apple tree was planted, and look while the year is being said."""
    microphone = recording(folder, 1.0, "ask", 60)
    with browser(folder, microphone=microphone, **look) as driver:
        driver.get(address)
        person = Person(driver)
        if look.get("dark"):  # the page before a call: what can be asked, and from what
            person.waits_for(lambda: any(person.sees(".question")))
        else:
            person.press("talk")
            person.waits_for(lambda: "1931" in "".join(person.sees(".bot > p")), seconds=60)
        driver.save_screenshot(str(picture))


main(*sys.argv[1:] or ["tiny.en"])
