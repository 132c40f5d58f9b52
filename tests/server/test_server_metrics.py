"""`/metrics` of a real server: what its conversations and requests have come to."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import room
from calling import calling
from calling import serving as serving_app
from prometheus_client.parser import text_string_to_metric_families
from realtime_client import ASK, Client
from serving import app, parts, served
from websockets.asyncio.client import connect

from voicebot.concurrency.worker import Worker
from voicebot.config import ServerSettings
from voicebot.observability.metrics import Metrics
from voicebot.server.app import create
from voicebot.server.auth import keys

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
STORY = "One two three. Four five six. Seven eight nine.".split()  # noqa: SIM905 - it is a story
SAYS_HI = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}


def read(text):
    """The value of every series, by its name and labels, these in the order of their names."""
    families = text_string_to_metric_families(text)
    return {
        (
            sample.name.removeprefix("voicebot_"),
            *(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in families
        for sample in family.samples
    }


async def asked(host):
    async with httpx.AsyncClient() as client:
        return read((await client.get(f"http://{host}/metrics")).text)


class Computing(room.Transcriber):
    """Shows its thread, as engines do that compute in this process."""

    def __init__(self):
        super().__init__(takes=0)
        self.worker = Worker("ears")
        self.recognised, self.again = 40, 1
        self.close = self.worker.close


async def speaks(caller):
    """Ask aloud."""
    await caller.speak(1.0)
    await caller.speak(1.0, level=0.0)


@pytest.fixture(scope="module")
def talked():
    """The figures during and after a conversation: answered, interrupted, and failed."""

    async def conversation():
        tts = room.Synthesizer()
        served = app(stt=Computing(), llm=room.ChatModel(*STORY, takes=0), tts=tts)
        async with serving_app(None, app=served) as host:
            async with calling(host) as caller:
                await speaks(caller)
                await caller.until("turn_ended")
                await speaks(caller)
                await caller.hears(0.9, turn=2)
                await caller.say(type="stop")
                await caller.until("turn_ended")
                tts.fails = True
                await speaks(caller)
                await caller.until("turn_ended")
                during = await asked(host)
            while (after := await asked(host))["sessions", "talk"]:  # noqa: ASYNC110 - who asks is told
                await asyncio.sleep(0.01)
            return during, after

    return asyncio.run(conversation())


def test_every_turn_is_counted_by_what_has_come_of_it(talked):
    during, _ = talked
    turns = {key[1]: value for key, value in during.items() if key[0] == "turns_total" and value}
    assert turns == {"answered": 1, "interrupted": 1, "failed": 1}
    assert during["interruptions_total",] == 1
    assert during["failures_total", "failed", "tts"] == 1
    assert during["first_audio_seconds_count", "speech"] == 2
    assert during["turn_stage_seconds_count", "recognition"] == 3
    assert during["real_time_factor_ratio_count", "synthesis"] == 2


def test_conversations_are_counted_while_they_go_on(talked):
    during, after = talked
    assert (during["sessions", "talk"], during["sessions", "realtime"]) == (1, 0)
    assert after["sessions", "talk"] == 0


def test_the_process_its_loop_and_its_engines_are_measured(talked):
    _, after = talked
    assert after["engine_calls", "stt"] == 0
    assert ("engine_calls", "llm") not in after  # it has no thread of its own here
    assert after["process_resident_memory_bytes",] > 10e6
    assert after["event_loop_lag_seconds_count",] > 0


def test_second_windows_of_the_recogniser_are_counted(talked):
    _, after = talked
    assert after["recognition_windows_total", "first"] == 40
    assert after["recognition_windows_total", "second"] == 1


def test_answers_are_counted_by_route_and_status():
    with served(app()) as url:
        httpx.get(f"{url}/v1/models/room:ChatModel")
        httpx.get(f"{url}/v1/models/none/of/ours")
        httpx.get(f"{url}/my/own/path")
        httpx.get(f"{url}/health", headers={"host": "stranger.example"})
        httpx.post(f"{url}/health")
        figures = read(httpx.get(f"{url}/metrics").text)
    route = "/v1/models/{model:path}"
    assert figures["http_requests_total", route, "200"] == 1
    assert figures["http_requests_total", route, "404"] == 1
    assert figures["http_requests_total", "other", "404"] == 1
    assert figures["http_requests_total", "other", "403"] == 1
    assert figures["http_requests_total", "/health", "405"] == 1
    assert "my" not in str(figures)


def test_a_websocket_is_an_answer_too(talked):
    during, _ = talked
    assert during["http_requests_total", "/v1/talk", "101"] == 1


class Broken(room.ChatModel):
    async def reply(self, messages):
        raise ZeroDivisionError
        yield


def test_our_own_mistakes_are_counted():
    with served(app(llm=Broken()), once_ready=False) as url:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello."}]}
        assert httpx.post(f"{url}/v1/chat/completions", json=body).status_code == 500
        figures = read(httpx.get(f"{url}/metrics").text)
    assert figures["http_requests_total", "/v1/chat/completions", "500"] == 1


def test_a_realtime_session_counts_as_well():
    async def conversation():
        async with (
            serving_app(None, app=app()) as host,
            connect(f"ws://{host}/v1/realtime", proxy=None) as socket,
        ):
            await socket.send(json.dumps({"type": "conversation.item.create", "item": SAYS_HI}))
            await socket.send(json.dumps({"type": "response.create"}))
            async with asyncio.timeout(100):
                while json.loads(await socket.recv())["type"] != "response.done":
                    pass
            return await asked(host)

    figures = asyncio.run(conversation())
    assert (figures["sessions", "talk"], figures["sessions", "realtime"]) == (0, 1)
    assert figures["turns_total", "answered"] == 1
    assert figures["first_audio_seconds_count", "text"] == 1


def test_a_realtime_answer_begun_too_early_is_a_false_start():
    metrics, client = Metrics(), Client("Good", "morning.")
    client.parts.observers.append(metrics.observer)
    client.does(("speak", 1.0), ("wait", 0.3), *ASK, ("wait", 3.0))
    figures = read(asyncio.run(metrics.page({}, {})).decode())
    assert figures["false_starts_total",] == 1
    assert figures["turns_total", "answered"] == 1


@pytest.mark.parametrize("again", [None, lambda now: (parts(), ServerSettings())])
def test_figures_go_on_over_a_reload_whether_or_not_engines_are_exchanged(again):
    async def asks(host):
        async with calling(host) as caller:
            await caller.say(type="text", text="Hello.")
            await caller.until("turn_ended")

    async def life():
        first = parts()
        first.observers.append(Metrics().observer)  # others may observe it too
        served = create(first, ServerSettings(), again=again)
        async with serving_app(None, app=served) as host:
            await asks(host)
            served.reload()
            while served.standing().reload != "done":  # noqa: ASYNC110 - who asks is told
                await asyncio.sleep(0.01)
            await asks(host)
            return await asked(host)

    assert asyncio.run(life())["turns_total", "answered"] == 2


def test_where_a_key_is_needed_the_figures_need_one(tmp_path):
    key = keys.add(tmp_path / "keys", "prometheus")
    guarded = create(parts(), ServerSettings(keys=str(tmp_path / "keys")))
    with served(guarded) as url:
        assert httpx.get(f"{url}/metrics").status_code == 401
        headers = {"authorization": f"Bearer {key}"}
        assert httpx.get(f"{url}/metrics", headers=headers).status_code == 200


def dashboard():
    """Everything that it asks Prometheus for."""
    panels = json.loads((PACKAGING / "grafana-dashboard.json").read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def test_what_the_dashboard_and_the_alerts_ask_for_is_there(talked):
    during, _ = talked
    there = {key[0] for key in during}
    asked = [*dashboard(), (PACKAGING / "prometheus-alerts.yml").read_text()]
    named = [re.findall(r"(?<![\w:])(?:voicebot|process)_\w+", each) for each in asked]
    assert all(named)
    assert {name.removeprefix("voicebot_") for names in named for name in names} <= there
    # A bound that is no bucket's would be compared with nothing.
    bounds = {bound for each in asked for bound in re.findall(r'le="([\d.]+)"', each)}
    assert bounds
    assert {("first_audio_seconds_bucket", "speech", bound) for bound in bounds} <= set(during)


with_promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="there is no promtool here")


@with_promtool
def test_prometheus_takes_the_rules():
    command = ["promtool", "check", "rules", "--lint-fatal", PACKAGING / "prometheus-alerts.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@with_promtool
def test_prometheus_understands_what_the_dashboard_asks(tmp_path):
    values = {"$__rate_interval": "5m", "$__range": "6h", "$job": ".*"}
    rules = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$\w+", lambda m: values[m[0]], asked)}
        for number, asked in enumerate(dashboard())
    ]
    rules_file = tmp_path / "rules.yml"  # JSON is YAML
    rules_file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    command = ["promtool", "check", "rules", rules_file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@with_promtool
def test_the_alerts_are_raised_when_they_should_be():
    command = ["promtool", "test", "rules", Path(__file__).parent / "alerts.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
