"""A process of ours that holds what must not be in our own, and ends when we do.

The child talks over a socket that is its standard input and output. It ends when our end of the
socket does, however we end. Linux's parent-death signal is not used: it fires when the *thread*
that started the child ends.
"""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from ..standard_streams import scratch

CHILD_TIMEOUT_S = 10.0
"""Seconds without a sign of a child before it is taken for hung. Children answer in far less;
a shorter wait would end calls on a machine that is only busy."""


def signal_name(number: int) -> str:
    """SIGKILL and the like; real-time signals have a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Child:
    """One process and our end of its socket."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """environment: all of it that the process gets; None: ours."""
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(CHILD_TIMEOUT_S)
        self._errors: IO[bytes] = scratch()
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._errors,
                # Ctrl-C in the terminal goes to every process of our group.
                process_group=0,
                env=environment,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def post_mortem(self, error: Exception) -> str:
        """End the child; say what it died of, after `error` was met on its socket."""
        if isinstance(error, TimeoutError):
            self.end()
            return f"hung: no sign of it for {CHILD_TIMEOUT_S:.0f} s"
        # The socket's end is the process's end, give or take a moment.
        status = self.process.wait(CHILD_TIMEOUT_S)
        if status < 0:
            reason = f"was ended by {signal_name(-status)}"
        else:
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
            reason = f"ended with status {status}: {said}"
        self.end()
        return reason

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.socket.close()
        self._errors.close()
