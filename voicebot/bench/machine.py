"""What a run was made on and with: without it, a figure means nothing."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .. import __version__
from ..config import Config

PACKAGES = (
    "ctranslate2", "espeakng-loader", "faster-whisper", "llama-cpp-python", "numpy", "onnxruntime",
    "pocketsphinx", "soxr", "starlette", "torch", "uvicorn", "websockets",
)  # fmt: skip


def describe(config: Config, settings: dict[str, Any]) -> dict[str, Any]:
    """Machine, versions, commit, and the settings that the figures hang on."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "voicebot": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "settings": {"turn_detection": dataclasses.asdict(config.turn_detection), **settings},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = info.read_text().partition("model name")[2] if info.exists() else ""
    return names.partition(":")[2].partition("\n")[0].strip() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    """The checkout's commit, with a + where it was changed since; empty where there is none."""

    def git(*arguments: str) -> str:
        here = Path(__file__).parent
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=here, capture_output=True, text=True, timeout=5
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    commit = git("rev-parse", "--short", "HEAD")
    return f"{commit}+" if commit and git("status", "--porcelain", "-uno") else commit
