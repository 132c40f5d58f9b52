"""What the attacks cost, printed at the end of the run: figures to look at, no verdict."""

import time
from contextlib import contextmanager

import pytest

TOLD = pytest.StashKey()


class Figures:
    """Collects lines; on a terminal they come once every test is over."""

    def __init__(self, lines):
        self._lines = lines

    def __call__(self, line):
        self._lines.append(line)

    @contextmanager
    def cpu(self, what):
        """Tell how long this thread worked at something."""
        begun = time.thread_time()
        yield
        self(f"{what}: {1000 * (time.thread_time() - begun):.1f} ms of CPU")


def pytest_configure(config):
    config.stash[TOLD] = []


@pytest.fixture
def figure(request):
    return Figures(request.config.stash[TOLD])


def pytest_terminal_summary(terminalreporter, config):
    if lines := config.stash[TOLD]:
        terminalreporter.section("figures of tests/hostile")
        for line in sorted(lines):
            terminalreporter.write_line(line)
