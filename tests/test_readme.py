"""What the README and docs say is so: engines, settings, examples, commands."""

import ast
import contextlib
import dataclasses
import inspect
import io
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

from voicebot import cli
from voicebot.config import Config, EngineChoice
from voicebot.doctor import engine_table
from voicebot.server import talk_socket

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "voicebot"
README = (ROOT / "README.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def test_the_engines_are_those_there_are():
    shown = re.search(r"engines: begin.*?-->\n(.*?)<!-- engines: end", README, re.DOTALL)
    assert shown
    assert shown[1] == engine_table()


def said_of(settings):
    """Of each setting that has one, the docstring under it, on one line."""
    body = ast.parse(inspect.getsource(settings)).body[0].body
    return {
        setting.target.id: " ".join(below.value.value.split())
        for setting, below in itertools.pairwise(body)
        if isinstance(setting, ast.AnnAssign) and isinstance(below, ast.Expr)
    }


def test_the_settings_are_those_there_are_and_their_defaults_too():
    written = (ROOT / "docs" / "settings.md").read_text("utf-8")
    lines = []
    for section, settings in vars_of(Config()):
        if not isinstance(settings, EngineChoice):
            said = said_of(type(settings))
            lines += ["", f"## [{section}]", ""]
            lines += [
                f"- `{name} = {json.dumps(default)}`" + (f": {said[name]}" if name in said else "")
                for name, default in vars_of(settings)
            ]
    assert written.partition("<!-- settings -->\n")[2].splitlines() == lines


def vars_of(settings):
    return [(f.name, getattr(settings, f.name)) for f in dataclasses.fields(settings)]


def test_rooms_import_only_from_those_above_them():
    plan = re.search(r"those above it:\n\n(.*?)\n\n", CONTRIBUTING, re.DOTALL)[1]
    rooms = [re.split(r"\s{2,}", line.strip())[0].split() for line in plan.splitlines()]
    floor = {name.rstrip("/"): i for i, names in enumerate(rooms) for name in names}
    there = {path.stem for path in PACKAGE.glob("[!_]*.py")}
    there |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert floor.keys() == there
    for path in PACKAGE.rglob("*.py"):
        for name in imported(path):
            here = path.relative_to(PACKAGE).with_suffix("").parts[0]
            assert floor.get(name, -1) <= floor.get(here, len(rooms)), f"{path} imports {name}"


def imported(path):
    """The modules and packages of ours that a file imports from, by their first name."""
    within = path.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = [*within[: len(within) + 1 - node.level], *(node.module or "").split(".")]
            for alias in node.names:
                yield [*filter(None, place), alias.name][1]


def test_the_engine_in_15_lines_runs(tmp_path):
    code, settings = re.search(
        r"```python\n(.*?)```\n\n```toml\n(.*?)```", README, re.DOTALL
    ).groups()
    assert len([line for line in code.splitlines() if line]) <= 15
    (tmp_path / "parrot.py").write_text(code)
    (tmp_path / "voicebot.toml").write_text(f'[tts]\nengine = "espeak"\n{settings}')
    done = subprocess.run(
        [sys.executable, "-m", "voicebot", "ask", "--text", "hello there", "-o", "a.wav", "--json"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [e["text"] for e in map(json.loads, done.stdout.splitlines()) if e["event"] == "said"]
    assert said == ["hello there hello there"]


def test_every_subcommand_named_exists():
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main(["--help"])
    for command in set(re.findall(r"`voicebot (\w+)", README)):
        assert f"    {command} " in out.getvalue(), command


def test_the_ten_lines_of_the_plain_websocket_are_those_of_its_code():
    shown = re.search(r"### The plain websocket.*?\n\n(.*?)\n\n#", README, re.DOTALL)[1]
    written = re.search(r"^ 1\. .*", talk_socket.__doc__, re.DOTALL | re.MULTILINE)[0]

    def plain(text):
        return re.sub(r"[`\"]", "", " ".join(text.split()))

    assert plain(shown) == plain(written)
    assert len(re.findall(r"^ ?\d+\. ", written, re.MULTILINE)) == 10
