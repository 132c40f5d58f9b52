"""What the child process of a probe runs: one engine, built and given its first request.

It is run by path. Standard input is one JSON object: the module search path, the engine's kind,
name and settings, and the seconds it has. Standard output is what went wrong as JSON, `null` if
nothing did. It is written once the engine has answered and was closed.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

GRACE_S = 5
"""Seconds after which it ends by itself, should the parent that has to end it be gone."""


def main() -> None:
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    asked = json.load(sys.stdin)
    faulthandler.enable()
    if hasattr(signal, "alarm"):
        signal.alarm(int(asked["seconds"]) + GRACE_S)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # of all processes this one goes, if memory runs out
    sys.path[:] = asked["path"]
    error = _error(asked["kind"], asked["name"], asked["settings"])
    json.dump(error, told)
    told.close()
    from voicebot.concurrency.shutdown import leave

    leave(0)


def _error(kind: Any, name: str, settings: dict[str, Any]) -> dict[str, Any] | None:
    from voicebot import engines
    from voicebot.engines.first_request import REQUESTS
    from voicebot.errors import VoicebotError

    try:
        engine = engines.load(kind, name, **settings)
        try:
            asyncio.run(REQUESTS[kind](engine))
        finally:
            if close := getattr(engine, "close", None):
                close()
    except VoicebotError as error:
        return {"reason": str(error), "code": error.exit_code}
    except Exception as error:  # noqa: BLE001 - an engine of anybody's own may raise anything
        return {"reason": f"{kind}: {name} raised {error!r}", "code": 1}
    return None


if __name__ == "__main__":
    main()
