"""A certificate that a server makes for itself, so that browsers give it their microphones.

It is kept, because whoever has accepted it is asked anew when it changes.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ConfigError, MissingDependency

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, GeneralName

FILE = "certificate.pem"
VALID = timedelta(days=397)
"""Apple's systems take none that is good for over 825 days; browsers mean to end at less."""
RENEWED = timedelta(days=30)
"""What is left of it when it is made anew."""


def own(folder: Path, addresses: Collection[str], now: datetime | None = None) -> Path:
    """The certificate with its key for this machine, made if there is none that will do.

    addresses: IP addresses it is reached at, besides those of loopback.

    Raises:
        MissingDependency: the package that makes certificates is not installed.
        ConfigError: it cannot be kept in `folder`.
    """
    try:
        from cryptography import x509
    except ImportError:
        raise MissingDependency("--https needs cryptography; voicebot install phone") from None
    now = now or datetime.now(UTC)
    try:
        folder = folder.expanduser()
    except RuntimeError:
        raise ConfigError(
            "--https: this user has no home to keep a certificate in; [server] tls_certificate "
            "names one that is there"
        ) from None
    path = folder / FILE
    names = dict.fromkeys(["localhost", *_host_names()])
    wanted = {*names, "127.0.0.1", "::1", *addresses}
    with suppress(OSError, ValueError):  # none is there, or something else
        kept = x509.load_pem_x509_certificate(path.read_bytes())
        if kept.not_valid_after_utc - now > RENEWED and wanted <= _named(kept):
            return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, _made(wanted, now))
    except OSError as error:
        raise ConfigError(
            f"--https: {path} cannot be written ({error.strerror}); [server] tls_certificate "
            "names one that is there"
        ) from error
    return path


def fingerprint(path: Path) -> str:
    """What browsers show of it, by which it is known for this machine's: SHA-256, "AB:CD:..."."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _host_names() -> list[str]:
    name = socket.gethostname().lower()
    # What is no name in DNS cannot stand in a certificate: a `_`, letters of other scripts.
    if not name or not all(c.isascii() and (c.isalnum() or c in "-.") for c in name):
        return []
    return [name] if "." in name else [name, f"{name}.local"]


def _named(certificate: Certificate) -> set[str]:
    """All names and addresses it is for."""
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return {*extension.value.get_values_for_type(x509.DNSName), *map(str, addresses)}


def _made(names: Collection[str], now: datetime) -> bytes:
    """Key and certificate, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voicebot")])
    unused = [
        *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    ]
    usage = x509.KeyUsage(digital_signature=True, **dict.fromkeys(unused, False))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks differ
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(list(map(_general, sorted(names)))), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)


def _general(name: str) -> GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, pem: bytes) -> None:
    """Whole or not at all, and for its owner's eyes."""
    number, made = tempfile.mkstemp(dir=path.parent, prefix=".certificate-")  # 0600
    try:
        with open(number, "wb") as file:
            file.write(pem)
        os.replace(made, path)
    except OSError:
        os.unlink(made)
        raise
