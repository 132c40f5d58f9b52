"""docs/architecture.md says which package may import which, and the code keeps to it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SCOPES = re.findall(r"^### (voicebot\S*)$", TEXT, re.MULTILINE)


def floors(scope):
    """Of each room of a package, on which line of its list it stands."""
    block = re.search(rf"^### {scope}\n\n(.*?)(?:\n\n|\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]
    lines = [re.split(r"\s{2,}", line.strip())[0].split() for line in block.splitlines()]
    return {name.rstrip("/"): floor for floor, names in enumerate(lines) for name in names}


def rooms(scope):
    folder = ROOT / scope
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    return modules | {path.parent.name for path in folder.glob("*/__init__.py")}


@cache
def nodes(path):
    return [*ast.walk(ast.parse(path.read_text("utf-8")))]


def imported(path):
    """The dotted names that a file imports, wherever in it."""
    within = path.relative_to(ROOT).parent.parts
    for node in nodes(path):
        if isinstance(node, ast.ImportFrom):
            base = within[: len(within) + 1 - node.level] if node.level else ()
            module = [*base, *(node.module or "").split(".")]
            yield from (".".join([*filter(None, module), alias.name]) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def arrows(scope):
    """Which room of a package imports which other, with the file that does."""
    prefix, there = scope.replace("/", ".") + ".", rooms(scope)
    for path in (ROOT / scope).rglob("*.py"):
        here = path.relative_to(ROOT / scope).with_suffix("").parts[0]
        for name in imported(path):
            room = name.removeprefix(prefix).split(".")[0]
            # What the package's own __init__ re-exports may be had by all that it does not import.
            if name.startswith(prefix) and room in there and here in there and room != here:
                yield path.relative_to(ROOT), here, room


@pytest.mark.parametrize("scope", SCOPES)
def test_every_room_has_its_line(scope):
    assert floors(scope).keys() == rooms(scope)


@pytest.mark.parametrize("scope", SCOPES)
def test_imports_come_from_the_lines_above(scope):
    floor = floors(scope)
    wrong = [f"{p} imports {room}" for p, here, room in arrows(scope) if floor[room] >= floor[here]]
    assert wrong == []


def test_the_check_sees_imports():
    """It could not fail if it found none."""
    assert SCOPES == ["voicebot", "voicebot/engines", "voicebot/server"]
    seen = {(here, room) for scope in SCOPES for _, here, room in arrows(scope)}
    assert {("cli", "commands"), ("llama", "chat"), ("routes", "rest")} <= seen


def test_packages_are_two_deep():
    deep = [p for p in (ROOT / "voicebot").rglob("*.py") if len(p.relative_to(ROOT).parts) > 4]
    assert deep == []


def test_paths_through_the_code_name_files_that_are_there():
    table = TEXT.partition("## Five paths")[2].partition("## Rules")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| a")]
    assert len(rows) == 5
    files = re.findall(r"`([\w/]+)`", "".join(rows))
    assert len(files) > 25
    assert [name for name in files if not (ROOT / "voicebot" / f"{name}.py").exists()] == []


def test_every_public_class_says_what_it_is():
    silent = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in (ROOT / "voicebot").rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
        if not ast.get_docstring(node)
    ]
    assert silent == []


def test_no_module_defines_a_name_twice():
    twice = []
    for path in (ROOT / "voicebot").rglob("*.py"):
        names = []
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append(node.name)
            elif isinstance(node, ast.Assign):
                names += [target.id for target in node.targets if isinstance(target, ast.Name)]
        twice += [f"{path.relative_to(ROOT)}: {n}" for n in set(names) if names.count(n) > 1]
    assert twice == []
