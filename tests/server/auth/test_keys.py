"""Who is let in, and who is not."""

import asyncio
import contextlib
import logging
import socket

import httpx
import pytest
import websockets.asyncio.client as client
from calling import connected
from serving import parts, served, wav
from websockets.exceptions import InvalidStatus

from voicebot.cli import main
from voicebot.config import ServerSettings
from voicebot.errors import ConfigError
from voicebot.server.app import create
from voicebot.server.auth import keys
from voicebot.server.auth.ephemeral_keys import MAX_KEYS, SETTINGS, EphemeralKeys
from voicebot.server.auth.rate_limits import NAMES


def test_only_the_hash_of_a_key_is_kept(tmp_path):
    key = keys.add(tmp_path / "keys", "laptop")
    kept = (tmp_path / "keys").read_text()
    assert key not in kept
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert keys.read(tmp_path / "keys").find(key).name == "laptop"
    assert keys.read(tmp_path / "keys").find(key[:-1]) is None
    assert keys.read(tmp_path / "keys").find("") is None


def test_a_key_has_the_limits_written_below_it(tmp_path):
    key = keys.add(tmp_path / "keys", "phone")
    with (tmp_path / "keys").open("a") as file:
        file.write("requests_per_minute = 3\n")
    assert keys.read(tmp_path / "keys").find(key).limits.requests_per_minute == 3


def test_a_new_file_of_keys_says_what_limits_there_are(tmp_path):
    for name in ("laptop", "phone"):
        keys.add(tmp_path / "keys", name)
    kept = (tmp_path / "keys").read_text()
    assert [kept.count(name) for name in NAMES] == [1] * len(NAMES)
    assert keys.read(tmp_path / "keys").names == ["laptop", "phone"]


def test_a_key_is_added_behind_a_last_line_that_has_no_end(tmp_path):
    keys.add(tmp_path / "keys", "laptop")
    with (tmp_path / "keys").open("a") as file:
        file.write("requests_per_minute = 60")
    key = keys.add(tmp_path / "keys", "phone")
    read = keys.read(tmp_path / "keys")
    assert read.names == ["laptop", "phone"]
    assert read.find(key).name == "phone"


def test_a_name_is_given_once(tmp_path):
    keys.add(tmp_path / "keys", "laptop")
    with pytest.raises(ConfigError, match="'laptop' already"):
        keys.add(tmp_path / "keys", "laptop")
    with pytest.raises(ConfigError, match="unlike 'a b'"):
        keys.add(tmp_path / "keys", "a b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a]\nhash = 3\n", "needs a hash"),
        ('[a]\nhash = "abc"\n', "needs a hash"),
        (f'[a]\nhash = "{"0" * 64}"\nspeed = 3\n', "speed is not a limit"),
        ("a = 3\n", "needs a hash"),
        ("[", "keys: "),
    ],
)
def test_a_wrong_file_of_keys_is_named(tmp_path, text, says):
    (tmp_path / "keys").write_text(text)
    with pytest.raises(ConfigError, match=says) as error:
        keys.read(tmp_path / "keys")
    assert str(tmp_path / "keys") in str(error.value)


def test_no_file_of_keys_is_an_error_that_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="voicebot keys add NAME"):
        keys.read(tmp_path / "keys")


def test_the_command_shows_the_key_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(["keys", "add", "laptop"])
    out, err = capsys.readouterr()
    assert exit.value.code == 0
    assert keys.read(tmp_path / "voicebot-keys.toml").find(out.strip()).name == "laptop"
    assert 'set keys = "voicebot-keys.toml" in [server]' in err


def test_the_command_adds_to_the_file_of_the_settings(tmp_path, capsys):
    settings = tmp_path / "voicebot.toml"
    settings.write_text('[server]\nkeys = "mine"\n')
    with pytest.raises(SystemExit):
        main(["--config", str(settings), "keys", "add", "laptop"])
    assert keys.read(tmp_path / "mine").names == ["laptop"]
    assert "[server]" not in capsys.readouterr().err


WRITTEN = """# Ours
[phone]
hash = "{}"
requests_per_minute = 60

[ "lap-top" ]  # the old one
hash = "{}"
[tablet]
hash = "{}\"""".format(*(digit * 64 for digit in "abc"))


@pytest.mark.parametrize("name", ["phone", "lap-top", "tablet"])
def test_a_key_is_removed_and_all_else_stays_as_it_is_written(tmp_path, name, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "voicebot-keys.toml"
    path.write_text(WRITTEN)
    path.chmod(0o640)
    with pytest.raises(SystemExit, match="0"):
        main(["keys", "remove", name])
    assert "follows at its next reload" in capsys.readouterr().err
    assert keys.read(path).names == [
        each for each in ("phone", "lap-top", "tablet") if each != name
    ]
    left = path.read_text().splitlines()
    assert left == [line for line in WRITTEN.splitlines() if line in left]
    assert "# Ours" in left
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_the_keys_are_listed_with_their_limits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "voicebot-keys.toml").write_text(WRITTEN)
    for command in (["keys"], ["keys", "list"]):
        with pytest.raises(SystemExit, match="0"):
            main(command)
        lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
        assert lines == [
            ["phone", "requests_per_minute = 60"],
            ["lap-top", "no limits"],
            ["tablet", "no limits"],
        ]


def test_a_key_that_is_not_there_cannot_be_removed(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(WRITTEN)
    with pytest.raises(ConfigError, match=r"no key 'fone'; there is .*; did you mean phone"):
        keys.remove(path, "fone")
    path.write_text(f"phone = {{hash = '{'a' * 64}'}}")
    with pytest.raises(ConfigError, match="in a way that only you can take out"):
        keys.remove(path, "phone")


def test_a_file_of_keys_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no/keys: No such file"):
        keys.add(tmp_path / "no" / "keys", "laptop")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", ""])
def test_an_address_that_others_reach_needs_keys_or_a_word(host):
    with pytest.raises(ConfigError, match="voicebot keys add NAME"):
        keys.check_door(host, has_keys=False, is_open=False)
    keys.check_door(host, has_keys=True, is_open=False)
    keys.check_door(host, has_keys=False, is_open=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_this_machine_needs_no_key(host):
    keys.check_door(host, has_keys=False, is_open=False)


def test_serving_others_without_keys_ends_before_it_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        main(["serve", "--host", "0.0.0.0", "--port", "0"])
    assert exit.value.code == 2
    assert "others can reach 0.0.0.0" in capsys.readouterr().err


# At the door


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The address of a server that wants keys, one of them, and one that may ask but twice."""
    path = tmp_path_factory.mktemp("keys") / "keys"
    key = keys.add(path, "laptop")
    few = keys.add(path, "phone")
    with path.open("a") as file:
        file.write("requests_per_minute = 2\nsessions = 1\n")
    with served(create(parts(), ServerSettings(keys=str(path)))) as url:
        yield url, key, few


@pytest.fixture(scope="module")
def local():
    with served(create(parts(), ServerSettings())) as url:
        yield url


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def test_a_key_lets_in_and_nothing_else_does(guarded):
    url, key, _ = guarded
    assert httpx.get(f"{url}/v1/models", headers=bearer(key)).status_code == 200
    for headers in ({}, bearer("vb-wrong"), bearer("ek_wrong"), {"authorization": "Basic x"}):
        refused = httpx.get(f"{url}/v1/models", headers=headers)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{url}/health").status_code == 200


def test_who_asks_too_often_is_told_when_to_come_back(guarded):
    url, _, few = guarded
    asked = [httpx.get(f"{url}/v1/models", headers=bearer(few)) for _ in range(3)]
    assert [each.status_code for each in asked] == [200, 200, 429]
    assert 0 < int(asked[2].headers["retry-after"]) <= 30
    assert asked[2].json()["error"]["type"] == "rate_limit_error"


@contextlib.contextmanager
def keyed(tmp_path, *names, **limits):
    """The host of a server that wants keys, and one of each name, all with these limits."""
    path = tmp_path / "keys"
    given = []
    for name in names:
        given.append(keys.add(path, name))
        with path.open("a") as file:
            file.writelines(f"{limit} = {value}\n" for limit, value in limits.items())
    with served(create(parts(), ServerSettings(keys=str(path)))) as url:
        yield url.removeprefix("http://"), *given


async def begin(caller):
    """A conversation has begun; its token."""
    await caller.say(type="hello", rate=24000)
    return (await caller.until("ready"))["token"]


async def resume(caller, token):
    await caller.say(type="resume", token=token, number=0, turn=0, received=0)


async def as_soon_as_possible(host, **options):
    """Connect when the one before has left its place."""
    async with asyncio.timeout(100):
        while True:
            with contextlib.suppress(InvalidStatus):
                return await client.connect(f"ws://{host}/v1/talk", **options)


def test_a_place_is_given_back_when_its_conversation_ends(tmp_path):
    async def comes(host, key):
        mine = {"additional_headers": bearer(key)}
        async with connected(host, **mine) as caller:
            await begin(caller)
            async with connected(host, **mine) as second:
                await second.say(type="hello", rate=24000)
                assert await second.closed() == 1013
                assert "1 conversations at once" in second.all("error")[0]["reason"]
            with pytest.raises(InvalidStatus) as full:
                await client.connect(f"ws://{host}/v1/realtime", **mine)
            assert full.value.response.status_code == 429
            assert int(full.value.response.headers["retry-after"]) > 0
            await caller.socket.close(1000)
        await (await as_soon_as_possible(host, **mine)).close()

    with keyed(tmp_path, "phone", sessions=1) as (host, key):
        asyncio.run(comes(host, key))


def test_who_may_hold_one_conversation_may_come_back_to_it(tmp_path):
    async def comes(host, key):
        mine = {"additional_headers": bearer(key)}
        async with connected(host, **mine) as caller:
            token = await begin(caller)
            caller.socket.transport.abort()
        for _ in range(3):
            async with connected(host, **mine) as again:
                await resume(again, token)
                await again.until("resumed")
                again.socket.transport.abort()

    with keyed(tmp_path, "phone", sessions=1) as (host, key):
        asyncio.run(comes(host, key))


def test_a_conversation_goes_on_with_the_key_it_was_begun_with(tmp_path):
    async def comes(host, key, other):
        async with connected(host, additional_headers=bearer(key)) as caller:
            token = await begin(caller)
            async with connected(host, additional_headers=bearer(other)) as thief:
                await resume(thief, token)
                assert (await thief.until("error"))["code"] == "gone"
            await caller.say(type="text", text="hello")
            await caller.until("turn_ended")

    with keyed(tmp_path, "phone", "laptop") as (host, key, other):
        asyncio.run(comes(host, key, other))


def test_a_page_comes_back_with_another_secret_of_the_same_key(tmp_path):
    async def secret(host, key):
        async with httpx.AsyncClient() as http:
            made = await http.post(
                f"http://{host}/v1/realtime/client_secrets", headers=bearer(key), json={}
            )
        return {"subprotocols": ["talk", f"openai-insecure-api-key.{made.json()['value']}"]}

    async def comes(host, key):
        async with connected(host, **await secret(host, key)) as caller:
            token = await begin(caller)
            caller.socket.transport.abort()
        async with connected(host, **await secret(host, key)) as again:
            await resume(again, token)
            await again.until("resumed")

    with keyed(tmp_path, "phone") as (host, key):
        asyncio.run(comes(host, key))


def chunks():
    """A body whose size nobody tells."""
    for _ in range(10):
        yield bytes(1000)


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("audio/transcriptions", {"data": {"model": "whisper-1"}, "files": {"file": wav()}}),
        ("audio/speech", {"json": {"model": "tts-1", "input": "one " * 500}}),
        ("audio/speech", {"content": chunks, "headers": {"content-type": "application/json"}}),
        ("realtime/client_secrets", {"json": {"session": {"instructions": "one " * 500}}}),
    ],
)
def test_a_key_may_send_no_more_at_once_than_it_is_allowed(tmp_path, path, asks):
    if callable(asks.get("content")):
        asks = asks | {"content": asks["content"]()}
    with keyed(tmp_path, "phone", upload_bytes=1000) as (host, key):
        headers = asks.get("headers", {}) | bearer(key)
        refused = httpx.post(f"http://{host}/v1/{path}", **asks | {"headers": headers})
    assert refused.status_code == 413
    assert refused.json()["error"]["code"] == "too_large"
    assert "1000 bytes" in refused.json()["error"]["message"]


def test_what_a_key_may_not_send_is_refused_before_it_is_sent(tmp_path):
    with keyed(tmp_path, "phone", upload_bytes=1000) as (host, key):
        name, _, port = host.partition(":")
        with socket.create_connection((name, int(port)), 10) as line:
            line.sendall(
                f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {host}\r\n"
                f"Authorization: Bearer {key}\r\nContent-Length: 2000\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\n\r\n".encode()
            )
            assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_an_utterance_is_cut_where_its_key_has_said_enough(tmp_path):
    async def comes(host, key):
        async with connected(host, additional_headers=bearer(key)) as caller:
            await begin(caller)
            await caller.speak(2.0)  # and never falls silent
            await caller.until("speech_ended")

    with keyed(tmp_path, "phone", utterance_s=1) as (host, key):
        asyncio.run(comes(host, key))


@pytest.mark.parametrize(
    ("limit", "path", "asks"),
    [
        ("tokens_per_day = 4", "chat/completions",
         {"json": {"model": "gpt-5", "messages": [{"role": "user", "content": "What is it?"}]}}),
        ("audio_s_per_day = 1", "audio/transcriptions",
         {"data": {"model": "whisper-1"}, "files": {"file": ("a.wav", wav())}}),
        ("audio_s_per_day = 1", "audio/speech",
         {"json": {"model": "tts-1", "input": "one two three four"}}),
    ],
)  # fmt: skip
def test_what_serving_costs_is_on_the_key_it_came_with(tmp_path, limit, path, asks):
    key = keys.add(tmp_path / "keys", "phone")
    with (tmp_path / "keys").open("a") as file:
        file.write(f"{limit}\n")
    with served(create(parts(), ServerSettings(keys=str(tmp_path / "keys")))) as url:
        asked = [
            httpx.post(f"{url}/v1/{path}", headers=bearer(key), **asks).status_code
            for _ in range(2)
        ]
    assert asked == [200, 429]


def websocket(url, *subprotocols, **headers):
    return client.connect(
        f"ws{url[4:]}/v1/realtime", subprotocols=subprotocols or None,
        additional_headers=headers or None,
    )  # fmt: skip


async def status(connecting):
    """Which status ends the handshake; 101 where it succeeds."""
    try:
        async with connecting as connection:
            return 101, connection.subprotocol
    except InvalidStatus as refused:
        return refused.response.status_code, None


def test_a_browser_comes_in_with_a_secret_as_long_as_it_is_good(guarded):
    url, key, _ = guarded
    secret = httpx.post(f"{url}/v1/realtime/client_secrets", headers=bearer(key), json={}).json()

    async def life():
        opened = await status(
            websocket(url, "realtime", f"openai-insecure-api-key.{secret['value']}")
        )
        wrong = await status(websocket(url, "realtime", "openai-insecure-api-key.ek_wrong"))
        none = await status(websocket(url))
        return opened, wrong, none

    opened, wrong, none = asyncio.run(life())
    assert opened == (101, "realtime")
    assert wrong[0] == none[0] == 401
    # Good for conversations, and for nothing else.
    models = httpx.get(f"{url}/v1/models", headers=bearer(secret["value"]))
    assert models.status_code == 401


def test_pages_of_others_may_not_talk(local):
    async def life():
        ours = await status(websocket(local, Origin=local))
        theirs = await status(websocket(local, Origin="https://evil.example"))
        return ours[0], theirs[0]

    assert asyncio.run(life()) == (101, 403)
    for origin, code in ((local, 200), ("https://evil.example", 403), ("null", 403)):
        answer = httpx.get(f"{local}/v1/models", headers={"origin": origin})
        assert answer.status_code == code
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "[", "::::", ""])
def test_a_name_that_was_made_to_lead_here_is_not_ours(local, host):
    assert httpx.get(f"{local}/v1/models", headers={"host": host}).status_code in (400, 403)


def test_pages_that_are_named_may_talk():
    with served(create(parts(), ServerSettings(origins="https://a.example"))) as url:
        answer = httpx.get(f"{url}/v1/models", headers={"origin": "https://a.example"})
        assert answer.headers["access-control-allow-origin"] == "https://a.example"
        asked = {"origin": "https://b.example", "access-control-request-method": "POST"}
        assert httpx.options(f"{url}/v1/models", headers=asked).status_code == 400


def test_no_secret_is_logged(guarded, caplog):
    url, key, _ = guarded
    caplog.set_level("WARNING", "uvicorn.error")  # as `serve` has it
    caplog.set_level(logging.DEBUG)
    with contextlib.suppress(InvalidStatus):
        asyncio.run(status(websocket(url, "realtime", f"openai-insecure-api-key.{key}")))
    httpx.get(f"{url}/v1/models", headers=bearer(key))
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("http", "websockets"))]
    assert ours
    assert not [line for line in ours if key in line]


# Secrets


def test_a_secret_expires():
    now = [1000.0]
    secrets = EphemeralKeys(lambda: now[0])
    value, expires_at = secrets.issue("laptop", {"voice": "x"}, 60)
    assert expires_at == 1060
    assert secrets.find(value).owner == "laptop"
    now[0] = 1060
    assert secrets.find(value) is None


def test_many_secrets_cost_no_memory():
    secrets = EphemeralKeys()
    first, _ = secrets.issue(None, {}, 60)
    values = [secrets.issue(None, {}, 60)[0] for _ in range(MAX_KEYS)]
    assert secrets.find(first) is None
    assert all(map(secrets.find, values))


def test_secrets_for_large_sessions_push_out_the_oldest_of_their_key_sooner():
    secrets = EphemeralKeys()
    theirs, _ = secrets.issue("laptop", {}, 60)
    small, _ = secrets.issue("phone", {}, 60)
    large = {"instructions": "x" * (SETTINGS // 4)}
    first, *others = [secrets.issue("phone", large, 60)[0] for _ in range(4)]
    assert secrets.find(small) is None
    assert secrets.find(first) is None
    assert [secrets.find(value).session for value in others] == [large] * 3
    assert secrets.find(theirs)


def test_expired_secrets_make_room_before_good_ones_do():
    now = [1000.0]
    secrets = EphemeralKeys(lambda: now[0])
    large = {"instructions": "x" * (SETTINGS // 3)}
    good, _ = secrets.issue("phone", large, 7200)
    secrets.issue("phone", large, 60)
    now[0] += 60
    secrets.issue("phone", large, 60)
    assert secrets.find(good)


def test_a_key_that_makes_many_secrets_takes_none_of_anothers():
    secrets = EphemeralKeys()
    theirs, _ = secrets.issue("laptop", {}, 60)
    for _ in range(MAX_KEYS + 1):
        secrets.issue("phone", {}, 60)
    assert secrets.find(theirs)


def test_the_secrets_of_a_key_are_forgotten_with_it():
    secrets = EphemeralKeys()
    (gone, _), (kept, _) = secrets.issue("phone", {}, 60), secrets.issue("laptop", {}, 60)
    secrets.revoke("phone")
    assert secrets.find(gone) is None
    assert secrets.find(kept)
