"""Draws voicebot/server/page/icon.svg as the PNGs that installing the page as an app wants.

python scripts/icons.py     # needs chromium and chromedriver
"""

import base64
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "server")]

from browser import browser  # noqa: E402 - the tests' own browser

PAGE = ROOT / "voicebot" / "server" / "page"
# iOS and maskable icons are cut by the system, so their ground goes to the edge; what is cut from
# a maskable one may leave no more than the inner four fifths.
ICONS = {
    "icon-192.png": (192, 1.0, False),
    "icon-512.png": (512, 1.0, False),
    "icon-maskable.png": (512, 0.8, True),
    "apple-touch-icon.png": (180, 0.9, True),
}


def drawing(size: int, mark: float, to_the_edge: bool) -> str:
    """The icon as SVG of `size` pixels: its mark shrunk, its ground without round corners."""
    svg = (PAGE / "icon.svg").read_text()
    svg = svg.replace("<svg ", f'<svg width="{size}" height="{size}" ', 1)
    if to_the_edge:
        svg = re.sub(r' rx="\d+"', "", svg)
    shift = 16 * (1 - mark)
    return svg.replace("<g ", f'<g transform="translate({shift} {shift}) scale({mark})" ', 1)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder), size=(512, 512)) as driver:
        clear = {"color": {"r": 0, "g": 0, "b": 0, "a": 0}}
        driver.execute_cdp_cmd("Emulation.setDefaultBackgroundColorOverride", clear)
        for name, (size, mark, to_the_edge) in ICONS.items():
            svg = drawing(size, mark, to_the_edge)
            html = f"<style>body{{margin:0}}svg{{display:block}}</style>{svg}"
            driver.get(f"data:text/html;base64,{base64.b64encode(html.encode()).decode()}")
            clip = {"x": 0, "y": 0, "width": size, "height": size, "scale": 1}
            shot = driver.execute_cdp_cmd(
                "Page.captureScreenshot", {"clip": clip, "optimizeForSpeed": False}
            )
            (PAGE / name).write_bytes(base64.b64decode(shot["data"]))
            print(f"{name}: {(PAGE / name).stat().st_size} bytes")


main()
