"""`voicebot install`: the packages of an engine, by this Python's own pip.

Which packages these are is read from what is installed here. An index is never asked for voicebot
itself, where the name may be somebody else's, so a checkout and a wheel from anywhere will do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import ConfigError, MissingDependency, VoicebotError
from ..spelling import there_is

DISTRIBUTION = "voicebot-daemon"
"""The name this is installed by; "voicebot" is another project's on the package index."""
FOR_WORK = ("dev", "test")
"""The extras of those who work on voicebot, which are not offered."""

_EXTRA = re.compile(r"""\(?\s*\bextra\s*==\s*["']([\w-]+)["']\s*\)?""")
_BELOW = re.compile(r"""python_version\s*<\s*["'](\d+)\.(\d+)["']""")


def run(names: list[str], *, again: bool = False) -> int:
    """Install the packages of the named extras; pip tells how it goes.

    again: put the packages there afresh, for one that is damaged.

    Raises:
        ConfigError: there is no such extra.
        MissingDependency: it cannot be had for this Python, or this Python has no pip.
        VoicebotError: pip failed.
    """
    here = _distribution()
    wanted = list(dict.fromkeys(line for name in names for line in requirements(name, here)))
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    command += ["--force-reinstall", "--no-deps"] if again else []
    environment = dict(os.environ)
    if constraints := _constraints(here):
        # So that they reach the environments packages are built in, too. pip splits at spaces.
        before = environment.get("PIP_CONSTRAINT", "").split()
        environment["PIP_CONSTRAINT"] = " ".join([*before, constraints.as_uri()])
    try:
        __import__("pip")
    except ImportError:
        raise MissingDependency(f"this Python has no pip; {sys.executable} -m ensurepip") from None
    print(f"installing {', '.join(wanted)}", flush=True)
    if code := subprocess.run([*command, *wanted], env=environment, check=False).returncode:
        raise VoicebotError(f"pip could not install {', '.join(names)}; it ended with {code}")
    print(f"{', '.join(names)}: installed")
    return 0


def names(here: Distribution | None = None) -> list[str]:
    """The extras that there are to install."""
    here = here or _distribution()
    return [name for name in here.metadata.get_all("Provides-Extra", []) if name not in FOR_WORK]


def requirements(name: str, here: Distribution) -> list[str]:
    """What the extra `name` of this distribution needs, as pip is told.

    Raises:
        ConfigError: there is no such extra.
        MissingDependency: one of its packages does not run on this Python.
    """
    known = names(here)
    if name not in known:
        raise ConfigError(f"nothing to install is called {name!r}; {there_is(name, known)}")
    found = []
    for line in _of(name, here):
        package = re.match(r"[\w.-]+", line)
        assert package, line
        inner = re.match(r"[\w.-]+\[([\w-]+)\]", line)
        if inner and package[0] == here.name:
            found += requirements(inner[1], here)
            continue
        too_new = _BELOW.search(line)
        if too_new and sys.version_info >= (below := (int(too_new[1]), int(too_new[2]))):
            raise MissingDependency(
                f"{name} needs {package[0]}, which needs a Python below {below[0]}.{below[1]}; "
                f"this is {sys.version_info[0]}.{sys.version_info[1]}"
            )
        found.append(line)
    return found


def _of(name: str, here: Distribution) -> Iterator[str]:
    """The lines of the distribution's metadata that belong to an extra, without saying so."""
    for line in here.requires or []:
        requirement, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        if extra and extra[1] == name:
            rest = re.sub(r"^\s*and\s+|\s+and\s*$", "", _EXTRA.sub("", marker).strip())
            yield f"{requirement.strip()}; {rest}" if rest else requirement.strip()


def _distribution() -> Distribution:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        raise MissingDependency(
            f"{DISTRIBUTION} is not installed in {sys.prefix}; in a checkout: scripts/setup run"
        ) from None


def _constraints(here: Distribution) -> Path | None:
    """The tried versions that lie in the folder this was installed from, where there is one."""
    try:
        source = json.loads(here.read_text("direct_url.json") or "{}")
    except ValueError:
        return None
    if "dir_info" not in source:
        return None
    file = Path(unquote(urlsplit(source.get("url", "")).path), "constraints.txt")
    return file if file.is_file() else None
