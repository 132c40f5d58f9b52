"""A headless Chromium whose microphone plays a file, and a person who looks at our page in it."""

import json
import os
import shutil
import time
from contextlib import contextmanager

import pytest

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import Select
except ImportError:
    webdriver = Select = None

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

needed = pytest.mark.skipif(
    not (CHROMIUM and DRIVER and webdriver),
    reason="no chromium, chromedriver (Debian: chromium chromium-driver) or selenium",
)


@contextmanager
def browser(folder, *flags, microphone=None, size=(1100, 820), dark=False, scale=1):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        "use-fake-device-for-media-stream", "autoplay-policy=no-user-gesture-required",
        f"user-data-dir={folder / 'chromium'}",
        "host-resolver-rules=MAP elsewhere.test 127.0.0.1",
        *(["use-fake-ui-for-media-stream"] if microphone else []),
        *([f"use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []),
        *(["force-dark-mode"] if dark else []),
        *flags,
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(DRIVER, log_output=os.devnull)
    driver = webdriver.Chrome(options, service)
    # A window of its own is never as narrow as a phone.
    shape = {"width": size[0], "height": size[1], "deviceScaleFactor": scale, "mobile": False}
    try:
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)
        yield driver
    finally:
        driver.quit()


KEEP = """(() => {
    const kept = window.kept = [];
    const shown = (selector) => [...document.querySelectorAll(selector)]
        .map(e => e.innerText.trim()).join("\\n");
    const look = () => kept.push(SELECTORS.map(shown));
    new MutationObserver(look).observe(
        document, { subtree: true, childList: true, characterData: true, attributes: true });
    return true;
})()"""


class Person:
    """Somebody before the page."""

    def __init__(self, driver):
        self.driver = driver

    def press(self, name):
        self.driver.find_element("id", name).click()

    def type(self, text):
        self.driver.find_element("id", "line").send_keys(text + "\n")

    def chooses(self, name, value):
        Select(self.driver.find_element("id", name)).select_by_value(value)

    def evaluate(self, expression):
        return self.driver.execute_script(f"return {expression}")

    def keeps(self, *selectors):
        """Keep in `kept` what these show whenever the page changes, however short they show it."""
        self.evaluate(KEEP.replace("SELECTORS", json.dumps(selectors)))

    @property
    def kept(self):
        return self.evaluate("kept")

    def sees(self, selector):
        # In one step, because the page goes on changing while it is looked at.
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map(e => e.checkVisibility() ? e.innerText.trim() : '')",
            selector,
        )

    @property
    def state(self):
        return self.sees("#state")[0]

    def waits_for(self, claim, seconds=100):
        end = time.monotonic() + seconds
        while not claim():
            assert time.monotonic() < end, self.sees("body")
            time.sleep(0.05)

    def waits_for_state(self, state):
        self.waits_for(lambda: self.state == state)
