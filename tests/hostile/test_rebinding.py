"""A server that is open to all who reach it is not open to every web page its users look at."""

import logging
import socket

import httpx
import pytest
from serving import parts, served

from voicebot.config import ServerSettings
from voicebot.server.app import create
from voicebot.server.auth import keys

OWN = socket.gethostname(), f"{socket.gethostname().partition('.')[0]}.local"


@pytest.fixture(scope="module")
def url():
    with served(create(parts(), ServerSettings(open=True, hosts=("voice.example",)))) as url:
        yield url


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8124", "127.0.0.1.evil.example"])
def test_a_strangers_name_that_leads_here_is_refused(url, host):
    answer = httpx.get(f"{url}/v1/models", headers={"host": host})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "unknown_host"
    assert "[server] hosts" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "host",
    ["localhost:8124", "192.168.1.7:8124", "[fe80::1]:8124", "VOICE.example", *OWN],
)
def test_addresses_and_the_names_of_this_machine_are_served(url, host):
    assert httpx.get(f"{url}/v1/models", headers={"host": host}).status_code == 200


def test_why_an_engine_failed_is_told_to_those_with_a_key_alone(tmp_path):
    key = keys.add(tmp_path / "keys", "laptop")

    class Broken:
        async def reply(self, messages):
            raise OSError("/home/me/secret.gguf")
            yield

    broken = parts(llm=Broken())
    with served(create(broken, ServerSettings(keys=str(tmp_path / "keys"))), False) as url:
        known = {"authorization": f"Bearer {key}"}
        while (told := httpx.get(f"{url}/ready", headers=known).json())["engines"][
            "llm"
        ] == "loading":
            pass
        assert told["engines"]["llm"].startswith("failed: ")
        assert httpx.get(f"{url}/ready").json()["engines"]["llm"] == "failed"


def test_refusals_are_told_in_the_log_once_a_minute(tmp_path, caplog):
    keys.add(tmp_path / "keys", "laptop")
    caplog.set_level(logging.INFO, "voicebot.server.auth.middleware")
    with served(create(parts(), ServerSettings(keys=str(tmp_path / "keys")))) as url:
        for _ in range(20):
            httpx.get(
                f"{url}/v1/models", headers={"authorization": "Bearer vb-guessed-wrong-at-it"}
            )
    (line,) = [each for each in caplog.messages if each.startswith("refused")]
    assert line.startswith("refused 127.0.0.1 at /v1/models: this key is not known")
    assert "guessed" not in line
