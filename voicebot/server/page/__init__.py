"""The page at `/`: press one button and talk. Plain files, no build step, no other host."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent
FILES = (
    "about.js",
    "app.js",
    "app.webmanifest",
    "apple-touch-icon.png",
    "call.js",
    "icon-192.png",
    "icon-512.png",
    "icon-maskable.png",
    "icon.svg",
    "kept.js",
    "settings.js",
    "sound.js",
    "style.css",
    "transcript.js",
    "voice.js",
    "worklet.js",
)

MANIFEST = {"app.webmanifest": "application/manifest+json"}
"""A type that not every system knows by the name."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    # After an upgrade nobody should have to reload twice; an unchanged file costs one 304.
    "Cache-Control": "no-cache",
}


def routes() -> list[BaseRoute]:
    """The page and each of its files, by name: there is no path to leave its folder by."""
    files = [_route(f"/page/{name}", name) for name in FILES]
    return [_route("/", "index.html"), *files]


def _route(path: str, name: str) -> Route:
    async def file(request: Request) -> Response:
        return FileResponse(FOLDER / name, headers=HEADERS, media_type=MANIFEST.get(name))

    return Route(path, file, name=name, include_in_schema=False)
