"""The page as an app: what Chromium itself has against installing it, and its icons."""

import json
import struct

import pytest
from browser import needed
from calling import Parts
from starlette.applications import Starlette
from starlette.testclient import TestClient
from test_page import visiting

from voicebot.server import page

CLIENT = TestClient(Starlette(routes=page.routes()))
MANIFEST = json.loads((page.FOLDER / "app.webmanifest").read_text())


def pixels(path):
    """Width and height of the PNG at this path of the server."""
    answer = CLIENT.get(path)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", answer.content[16:24])


@needed
@pytest.mark.timeout(120)
def test_chromium_has_nothing_against_installing_it(tmp_path):
    with visiting(Parts(), tmp_path) as person:
        # Over another address than localhost a browser wants https: that is not the page's.
        port = person.cable.host.split(":")[1]
        person.driver.get(f"http://localhost:{port}/")
        about = person.driver.execute_cdp_cmd("Page.getAppManifest", {})
        assert about["errors"] == []
        assert about["url"] == f"http://localhost:{port}/page/app.webmanifest"
        against = person.driver.execute_cdp_cmd("Page.getInstallabilityErrors", {})
        assert against["installabilityErrors"] == []


def test_there_are_icons_of_the_sizes_that_systems_ask_for():
    sizes = {}
    for icon in MANIFEST["icons"]:
        if icon["type"] == "image/png":
            wide, high = pixels(f"/page/{icon['src']}")
            assert icon["sizes"] == f"{wide}x{high}"
            sizes.setdefault(icon["purpose"], set()).add(wide)
    assert sizes == {"any": {192, 512}, "maskable": {512}}
    assert pixels("/page/apple-touch-icon.png") == (180, 180)
    assert 'rel="apple-touch-icon" href="page/apple-touch-icon.png"' in CLIENT.get("/").text


def test_an_icon_is_small():
    icons = [path for path in page.FILES if path.endswith(".png")]
    assert sum(len(CLIENT.get(f"/page/{path}").content) for path in icons) < 30_000
