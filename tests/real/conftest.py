"""Real weights for the tests of this folder, and recordings of people where there are some."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voicebot.weights import manifest as weights

PULLED = Path(__file__).resolve().parents[2] / ".venv" / "models"
"""Where scripts/setup pulls weights to for these tests alone."""
SHARED = Path(__file__).resolve().parents[2] / "../shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("real")


@pytest.fixture(scope="session")
def real():
    """Gives the folder of weights by name, "whisper-tiny.en"; skips a test that has none.

    In CI they are pulled beforehand, so there a test without them fails.
    """

    def folder(name: str) -> Path:
        place = weights.folder(None if os.environ.get("VOICEBOT_MODELS") else PULLED)
        # A package index has another conversion of Whisper base than the hub, with the same words.
        found = next(
            (place / each for each in (name, f"{name}-wheel") if (place / each).is_dir()), None
        )
        if found is None:
            said = f"no weights {name} in {place}: voicebot --models {place} models pull {name}"
            if os.environ.get("CI"):
                pytest.fail(said)
            pytest.skip(said)
        return found

    return folder


@pytest.fixture(scope="session")
def shared():
    """Gives the path of material that lies beside the repository; skips without it."""

    def path(name: str) -> Path:
        found = SHARED / name
        if not found.exists():
            pytest.skip(f"no {name} beside the repository")
        return found

    return path
