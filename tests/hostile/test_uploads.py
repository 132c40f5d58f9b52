"""An upload that is longer than its key may have heard is stopped on its way."""

import httpx
import pytest
from serving import parts, served, wav

from voicebot.config import ServerSettings
from voicebot.server.app import create
from voicebot.server.auth import keys


@pytest.mark.parametrize("stream", ["false", "true"])
def test_an_upload_ends_once_it_owes_more_than_a_minute_may_take(tmp_path, stream):
    key = keys.add(tmp_path / "keys", "phone")
    with (tmp_path / "keys").open("a") as file:
        file.write("audio_s_per_minute = 5\n")
    with served(create(parts(), ServerSettings(keys=str(tmp_path / "keys")))) as url:
        answer = httpx.post(
            f"{url}/v1/audio/transcriptions",
            headers={"authorization": f"Bearer {key}"},
            data={"model": "whisper-1", "stream": stream},
            files={"file": ("a.wav", wav(seconds=300))},
            timeout=30,
        )
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"
    assert int(answer.headers["retry-after"]) < 120  # of 300 s little was heard
