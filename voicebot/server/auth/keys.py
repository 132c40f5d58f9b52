"""The keys that let clients in, of which only hashes are kept.

The file is TOML, a section for each key: its hash, and its limits if it has any; `limits` says
which there are.

    [laptop]
    hash = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
    requests_per_minute = 60
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import shutil
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ...config import Config, ServerSettings
from ...errors import ConfigError
from ...spelling import there_is
from . import rate_limits as limits
from .rate_limits import Limits

PREFIX = "vb-"
"""What a key begins with, so that one that has leaked can be recognised."""

FILE = "voicebot-keys.toml"
"""Where keys are added, beside the settings, if these name no file."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECTION = re.compile(r"\[[^\[\]]+\]\s*(#.*)?")
_HASH = re.compile(r"[0-9a-f]{64}")

_HEAD = f"""\
# Below its hash a key may have limits, each a whole number; without one it may use what it likes:
# {", ".join(limits.NAMES)}
# For those that are removed here, a reload ends what was begun with them.

"""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the keys file: its name, the hash of its secret, and its limits."""

    name: str
    hash: str
    """What it is known by inside: a name may be given to another key one day."""
    limits: Limits


class Keys:
    """The keys of a server."""

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys

    @property
    def all(self) -> list[Key]:
        return [*self._keys]

    @property
    def names(self) -> list[str]:
        return [key.name for key in self._keys]

    def known(self, hash: str) -> Key | None:
        """The key with this hash."""
        return next((key for key in self._keys if key.hash == hash), None)

    def find(self, token: str) -> Key | None:
        """The key that `token` is."""
        digest = _hash(token)
        # Each is compared, and in constant time: how long it takes tells nothing of any.
        same = [key for key in self._keys if hmac.compare_digest(key.hash, digest)]
        return same[0] if same else None


def wanted(settings: ServerSettings) -> Keys | None:
    """The keys that are asked for at the door; None where none is.

    Raises:
        ConfigError: as `read`.
    """
    return read(Path(settings.keys)) if settings.keys else None


def read(path: Path) -> Keys:
    """The keys in a file.

    Raises:
        ConfigError: it is not there, or not what it should be.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"[server] keys: no file {path}; voicebot keys add NAME") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"[server] keys: {path}: {error}") from error
    keys = []
    for name, about in table.items():
        if not isinstance(about, dict) or not _HASH.fullmatch(str(about.get("hash"))):
            raise ConfigError(f"{path}: [{name}] needs a hash, 64 hexadecimal digits")
        digest = about.pop("hash")
        try:
            keys.append(Key(name, digest, limits.read(name, about)))
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error
    return Keys(keys)


def add(path: Path, name: str) -> str:
    """Add a key to the file, which is made if there is none. Returns the key: nobody keeps it.

    Raises:
        ConfigError: the name is taken or no name, or the file cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"a key's name has letters, digits, - and _, unlike {name!r}")
    if path.exists() and name in read(path).names:
        raise ConfigError(f"{path}: there is a key {name!r} already; remove its section first")
    key = PREFIX + secrets.token_urlsafe(32)
    try:
        # For its owner's eyes: a hash gives no key away, but who may talk is nobody's business.
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
            # An editor may have left the last line without an end: a section begins on a new one.
            file.write("\n" if file.tell() else _HEAD)
            file.write(f'[{name}]\nhash = "{_hash(key)}"\n')
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    return key


def remove(path: Path, name: str) -> None:
    """Take a key out of the file; all else in it stays as it is written.

    Raises:
        ConfigError: there is no such key, or the file cannot be written.
    """
    before = read(path).names
    if name not in before:
        raise ConfigError(f"{path}: no key {name!r}; {there_is(name, before)}")
    kept, here = [], False
    for line in path.read_text("utf-8").splitlines(keepends=True):
        if line.lstrip().startswith("["):
            here = _SECTION.fullmatch(line.strip()) is not None and _titled(line) == name
        if not here:
            kept.append(line)
    text = "".join(kept)
    try:
        left = list(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        left = []
    if left != [each for each in before if each != name]:
        raise ConfigError(f"{path}: [{name}] is written in a way that only you can take out")
    made = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        # A new file in its place: a server that reads it meanwhile finds the old one or this.
        with open(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        shutil.copymode(path, made)
        os.replace(made, path)
    except OSError as error:
        made.unlink(missing_ok=True)
        raise ConfigError(f"{path}: {error.strerror}") from error


def _titled(line: str) -> str:
    """The name in a section's first line, quoted or not."""
    return next(iter(tomllib.loads(line)))


def place(config: Config, folder: Path) -> Path:
    """The file of keys.

    folder: where it is if the settings name none.
    """
    return Path(config.server.keys) if config.server.keys else folder / FILE


def check_door(host: str, *, has_keys: bool, is_open: bool) -> None:
    """See that strangers are let in only where that is wanted.

    Raises:
        ConfigError: others reach this address, and no key is asked of them.
    """
    if not (has_keys or is_open or is_loopback(host)):
        raise ConfigError(
            f"[server] others can reach {host}: `voicebot keys add NAME` and set keys, "
            "or set open = true to let everybody in"
        )


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address; an address that is none has nobody."""
    try:
        found = {str(about[4][0]) for about in socket.getaddrinfo(host or "0.0.0.0", None)}
    except OSError:
        return True
    return all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in found)


def _hash(key: str) -> str:
    # A key has 256 random bits, so one round of a plain hash is as good as a slow one.
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
