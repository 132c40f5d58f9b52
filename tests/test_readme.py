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

import pytest

from voicebot import cli
from voicebot.commands.doctor import engine_table
from voicebot.config import Config, EngineChoice
from voicebot.server.talk import websocket as talk_socket

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def doc(name):
    return (ROOT / "docs" / f"{name}.md").read_text("utf-8")


def test_the_readme_is_short():
    assert len(README.split()) < 1200


def test_the_readmes_program_is_one_that_tests_run():
    """tests/test_public.py runs the programs of docs/api.md."""
    (program,) = re.findall(r"```python\n.*?```", README, re.DOTALL)
    assert program in doc("api")


def anchors(text):
    """The names by which the headings of a page can be linked to, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.*)", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        there = page.parent / name if name else page
        assert there.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(there.read_text("utf-8")), f"{page.name}: {link}"


def test_the_engines_are_those_there_are():
    shown = re.search(r"engines: begin.*?-->\n(.*?)<!-- engines: end", doc("engines"), re.DOTALL)
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
    written = doc("settings")
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


def test_the_engine_in_15_lines_runs(tmp_path):
    code, settings = re.search(
        r"```python\n(.*?)```\n\n```toml\n(.*?)```", doc("engines"), re.DOTALL
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
    said = [
        e["text"]
        for e in map(json.loads, done.stdout.splitlines())
        if e["event"] == "clause_spoken"
    ]
    assert said == ["hello there hello there"]


def test_every_subcommand_named_exists():
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main(["--help"])
    for command in set(re.findall(r"`voicebot (\w+)", README + doc("commands"))):
        assert f"    {command} " in out.getvalue(), command


def test_the_ten_lines_of_the_plain_websocket_are_those_of_its_code():
    shown = doc("talk").partition("\n\n 1. ")[2]
    shown = f" 1. {shown}"
    written = re.search(r"^ 1\. .*", talk_socket.__doc__, re.DOTALL | re.MULTILINE)[0]

    def plain(text):
        return re.sub(r"[`\"]", "", " ".join(text.split()))

    assert plain(shown) == plain(written)
    assert len(re.findall(r"^ ?\d+\. ", written, re.MULTILINE)) == 10
