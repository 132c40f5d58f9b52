"""The program: `voicebot`, and `python -m voicebot`."""

from __future__ import annotations

import faulthandler
import sys

from .cli import main
from .concurrency.shutdown import leave
from .standard_streams import settle


def run() -> None:
    """Run the command line, and end with its code also where a model cannot be stopped."""
    settle()
    # Where every thread was, if a native library ends the process.
    faulthandler.enable()
    try:
        main()
    except SystemExit as end:
        code = end.code
    except Exception:  # noqa: BLE001 - told as Python would, which need not come to it
        sys.excepthook(*sys.exc_info())
        code = 1
    leave(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    run()
