"""What a test needs is found in its code, not written on it: the markers engine, browser, process.

A test needs what its function, its fixtures and the helpers in tests/ that they call use. So a new
test is marked by the names it takes from modules, and `scripts/test fast` leaves out the slow ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parent
ENGINES = ["espeak", "hibari", "kokoro", "llama", "pocketsphinx", "silero", "whisper"]
NEEDS = {
    "engine": ("miniatures", "onnxruntime", *(f"voicebot.engines.{name}" for name in ENGINES)),
    "browser": ("browser", "firefox", "agents_page"),
    "process": (
        *("subprocess", "multiprocessing", "pty", "uvicorn", "http.server", "socketserver"),
        *("voicebot.assistant.probe", "voicebot.server.http.uploads"),
    ),
}
"""The modules of which one name is enough, by marker. A server on a socket counts as a process."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for need in needs(item):
            item.add_marker(need)


def needs(item: pytest.Item) -> set[str]:
    """The markers of a test."""
    used = set(uses(item.function))  # type: ignore[attr-defined]
    for fixtures in item._fixtureinfo.name2fixturedefs.values():  # type: ignore[attr-defined]
        used = used.union(*(uses(each.func) for each in fixtures))
    return {
        marker
        for marker, modules in NEEDS.items()
        if any(f"{name}.".startswith(f"{module}.") for name in used for module in modules)
    }


@cache
def uses(function: Any) -> frozenset[str]:
    """The modules from which a function, and all that it calls in tests/, takes a name."""
    seen, found, waiting = set(), set(), [function]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        value = getattr(value, "__wrapped__", value)
        if isinstance(value, ModuleType):
            found.add(value.__name__)
        elif isinstance(value, type) and is_ours(value.__module__):
            waiting += [each for kind in value.__mro__[:-1] for each in vars(kind).values()]
        elif isinstance(value, FunctionType) and is_ours(value.__module__):
            waiting += named(value)
        if module := getattr(value, "__module__", None):
            found.add(module)
    return frozenset(found)


def named(function: FunctionType) -> Iterator[Any]:
    """The values of the global names in a function, and of `module.name` for modules of ours."""
    names = set(all_names(function.__code__))
    for name in names & function.__globals__.keys():
        value = function.__globals__[name]
        yield value
        if isinstance(value, ModuleType) and is_ours(value.__name__):
            yield from (vars(value)[each] for each in names & vars(value).keys())


def all_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from all_names(constant)


@cache
def is_ours(module: str) -> bool:
    path = getattr(sys.modules.get(module), "__file__", None)
    return path is not None and TESTS in Path(path).parents
