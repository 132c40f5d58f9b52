"""A headless Chromium whose microphone plays a file, looking at our page."""

import os
import shutil
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
        f"user-data-dir={folder / 'chromium'}", f"window-size={size[0]},{size[1]}",
        f"force-device-scale-factor={scale}",
        *(["use-fake-ui-for-media-stream"] if microphone else []),
        *([f"use-file-for-fake-audio-capture={microphone}%noloop"] if microphone else []),
        *(["force-dark-mode"] if dark else []),
        *flags,
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(DRIVER, log_output=os.devnull)
    driver = webdriver.Chrome(options, service)
    try:
        yield driver
    finally:
        driver.quit()
