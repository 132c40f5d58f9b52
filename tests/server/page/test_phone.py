"""`voicebot serve` for a phone: addresses that work from it, a code to scan, HTTPS of one's own."""

import io
import ipaddress
import re
import ssl
import stat
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from test_serve import place, serving, start, wait_until_ready  # noqa: F401 - a fixture

from voicebot.errors import ConfigError
from voicebot.server import addresses as reached
from voicebot.server import certificate

pytest.importorskip("cryptography", reason="it comes with the extra: phone")
segno = pytest.importorskip("segno", reason="it comes with the extra: phone")

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def test_a_certificate_is_kept_while_it_will_do(tmp_path):
    first = certificate.own(tmp_path, ["192.0.2.7"], NOW)
    pem = first.read_bytes()
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["certificate.pem"]
    for addresses, later in (
        (["192.0.2.7"], timedelta(days=300)),
        ([], timedelta(0)),  # the network is down, and what it was for is still there
    ):
        assert certificate.own(tmp_path, addresses, NOW + later).read_bytes() == pem


@pytest.mark.parametrize(
    ("addresses", "later"),
    [(["192.0.2.7"], timedelta(days=370)), (["192.0.2.8"], timedelta(0))],
)
def test_a_certificate_is_made_anew_before_it_ends_and_for_another_address(
    tmp_path, addresses, later
):
    before = certificate.own(tmp_path, ["192.0.2.7"], NOW).read_bytes()
    assert certificate.own(tmp_path, addresses, NOW + later).read_bytes() != before


@pytest.mark.parametrize("damage", [b"", b"nothing of a certificate", b"\xff\xfe"])
def test_a_damaged_certificate_is_made_anew(tmp_path, damage):
    (tmp_path / "certificate.pem").write_bytes(damage)
    assert certificate.fingerprint(certificate.own(tmp_path, [], NOW)).count(":") == 31


def test_where_it_cannot_be_kept_another_may_be_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot be written .*; \[server\] tls_certificate"):
        certificate.own(tmp_path / "file" / "below", [])


def test_this_machine_s_addresses_are_those_a_phone_can_name():
    for address in reached.own_addresses():
        found = ipaddress.ip_address(address)
        assert not found.is_loopback
        assert not found.is_link_local


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", []),
        ("::1", []),
        ("192.0.2.7", ["192.0.2.7"]),
        ("0.0.0.0", ["192.0.2.9"]),
        ("::", ["192.0.2.9", "2001:db8::9"]),
        ("/run/voicebot.sock", []),
    ],
)
def test_where_a_server_is_reached_follows_from_where_it_listens(monkeypatch, host, addresses):
    monkeypatch.setattr(reached, "own_addresses", lambda: ["192.0.2.9", "2001:db8::9"])
    assert reached.addresses(host) == addresses
    urls = [reached.url(address, 1, is_safe=True) for address in addresses]
    assert all(url.startswith("https://") for url in urls)
    assert all(httpx.URL(url).port == 1 for url in urls)


def test_the_code_drawn_is_that_of_the_address():
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    reached.draw("https://192.168.1.23:8124", out)
    out.seek(0)
    lines = [re.fullmatch(r"\033\[97;40m(.*)\033\[0m\n", line)[1] for line in out]
    dark = {" ": (True, True), "▄": (True, False), "▀": (False, True), "█": (False, False)}
    rows = [[dark[c][half] for c in line] for line in lines for half in (0, 1)]
    code = segno.make("https://192.168.1.23:8124", error="l", micro=False)
    expected = [[bool(m) for m in row] for row in code.matrix_iter(border=2)]
    assert rows[: len(expected)] == expected


def test_a_terminal_without_blocks_is_drawn_on_in_colours():
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    reached.draw("https://192.168.1.23:8124", out)
    out.seek(0)
    assert "\033[" in out.read()


def test_https_in_one_flag_with_a_code_for_the_phone(place):  # noqa: F811 - the fixture
    own = reached.own_addresses()
    here = own[0] if own else "127.0.0.1"
    flags = ["--https", "--host", "0.0.0.0", "--set", "server.open=true"]
    flags += ["--qr"] if own else []
    fingerprints = []
    for _ in range(2):
        with serving(place, *flags, HOME=str(place)) as (process, url):
            assert re.fullmatch(r"https://localhost:\d+", url)
            kept = place / ".local" / "share" / "voicebot" / "certificate.pem"
            trusting = ssl.create_default_context(cafile=str(kept))
            port = url.rpartition(":")[2]
            for name in ("localhost", here):
                wait_until_ready(f"https://{name}:{port}", verify=trusting)
            process.terminate()
            told = process.communicate()[1]
            if own:
                assert f"from other machines: https://{here}:{port}" in told
                assert "▀" in told
            fingerprints.append(re.search(r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$", told, re.M)[0])
    assert fingerprints[0] == fingerprints[1]


def test_a_code_is_not_drawn_for_an_address_no_phone_reaches(place):  # noqa: F811 - the fixture
    process = start(place, "--qr")
    told = process.communicate(timeout=50)[1]
    assert process.returncode == 2
    assert "127.0.0.1 is reached from this machine alone; --host 0.0.0.0" in told


def test_https_without_a_home_says_what_to_do(place):  # noqa: F811 - the fixture
    process = start(place, "--https", XDG_DATA_HOME="~nobody-here/data", VOICEBOT_MODELS="m")
    told = process.communicate(timeout=50)[1]
    assert process.returncode == 2
    assert "this user has no home to keep a certificate in" in told
