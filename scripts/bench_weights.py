"""Make the weights that `voicebot bench turn --engines miniature|random` runs on, once.

miniature: as small as the formats allow. random: as large, and as slow, as published ones: Whisper
base, a chat model of half a billion parameters in Q4_0, Kokoro-82M. They know nothing.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from voicebot.bench.chosen import SIZES, WEIGHTS, folder
from voicebot.weights.manifest import folder as models_folder


def whisper(path: Path, size: str) -> None:
    from miniatures.whisper import build

    # A letter is a token here: as many as a real one takes for a short question.
    build(path, "What is it?", size="base" if size == "random" else "nano")


def llama(path: Path, size: str) -> None:
    from miniatures.gguf import build

    build(path, size="0.5b" if size == "random" else "tiny")


def kokoro(path: Path, size: str) -> None:
    from miniatures.kokoro import build, build_hum

    if size == "random":
        build(path, size="full")
    else:
        build_hum(path)


BUILDERS: dict[str, Callable[[Path, str], None]] = {
    "whisper": whisper,
    "llama": llama,
    "kokoro": kokoro,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--models", metavar="DIR", help="where weights are ($VOICEBOT_MODELS)")
    args = parser.parse_args()
    place = folder(models_folder(args.models), args.size)
    place.mkdir(parents=True, exist_ok=True)
    failed = 0
    for engine, file in WEIGHTS.values():
        path = place / file
        if path.exists():
            print(f"{engine}: {path} is there")
            continue
        # Under another name until it is whole, or a half-made one would count as there.
        making = path.with_name(f"making-{path.name}")
        try:
            BUILDERS[engine](making, args.size)
        except ImportError as error:
            failed = 1
            print(f"{engine}: cannot be made here, {error}")
            if making.is_dir():
                shutil.rmtree(making)
            continue
        making.rename(path)
        print(f"{engine}: made {path}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
