"""A key that is removed ends what was begun with it over HTTP, at the next reload."""

import asyncio
import threading
from contextlib import suppress

import httpx
import pytest
from serving import parts, served
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from voicebot.config import ServerSettings
from voicebot.engines import Delta, Message
from voicebot.server.app import create
from voicebot.server.auth import keys


class Endless:
    """Says "Yes" at once if asked to, and never ends."""

    def __init__(self):
        self.begun, self.left = threading.Event(), threading.Event()

    async def reply(self, messages: list[Message]):
        if messages[-1].text not in ("Begin.", "Wait."):  # the server's own first question
            yield Delta("Yes.", finish="stop")
            return
        self.loop = asyncio.get_running_loop()
        try:
            if messages[-1].text == "Begin.":
                yield Delta("Yes")
            self.begun.set()
            await asyncio.Event().wait()
        finally:
            self.left.set()


@pytest.mark.parametrize(("says", "stream"), [("Wait.", False), ("Wait.", True), ("Begin.", True)])
def test_a_removed_key_ends_its_requests(tmp_path, says, stream):
    file, llm = tmp_path / "keys", Endless()
    key = keys.add(file, "laptop")
    app = create(parts(llm=llm), ServerSettings(keys=str(file)))
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": says}], "stream": stream}
    told = []

    def ask(url):
        try:
            answer = httpx.post(
                f"{url}/v1/chat/completions",
                json=asked,
                headers={"authorization": f"Bearer {key}"},
                timeout=30,
            )
            told.append(answer.status_code)
        except httpx.RemoteProtocolError:
            told.append("cut off")

    with served(app) as url:
        asking = threading.Thread(target=ask, args=[url])
        asking.start()
        assert llm.begun.wait(20)
        file.unlink()
        keys.add(file, "another")
        llm.loop.call_soon_threadsafe(app.reload)
        assert llm.left.wait(20)
        asking.join(20)
    assert told == (["cut off"] if says == "Begin." else [401])


def test_a_removed_key_ends_its_websocket_of_responses(tmp_path):
    file, llm = tmp_path / "keys", Endless()
    key = keys.add(file, "laptop")
    app = create(parts(llm=llm), ServerSettings(keys=str(file)))
    headers = {"authorization": f"Bearer {key}"}
    with (
        served(app) as url,
        connect(f"ws{url[4:]}/v1/responses", additional_headers=headers) as line,
    ):
        line.send('{"type": "response.create", "model": "gpt-4o", "input": "Begin."}')
        assert llm.begun.wait(20)
        file.write_text("")
        llm.loop.call_soon_threadsafe(app.reload)
        assert llm.left.wait(20)
        with suppress(ConnectionClosedError):
            list(line)  # what came, up to the end
    assert (line.close_code, line.close_reason) == (1008, "this key has been removed")
