"""Traces of the turns for an OpenTelemetry collector, where the settings name one.

OpenTelemetry is imported only then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import MissingDependency

if TYPE_CHECKING:
    from ..config import Config
    from .spans import Spans


@contextmanager
def traced(config: Config) -> Iterator[Spans | None]:
    """What makes spans of turns while the block lasts; None where no traces are wanted.

    Raises:
        MissingDependency: OpenTelemetry is not installed.
        ConfigError: as `Export`.
    """
    if not config.traces.endpoint:
        yield None
        return
    try:
        from .otlp import Export
        from .spans import Spans
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise MissingDependency("[traces] needs OpenTelemetry; voicebot install otel") from None
    with Export(config.traces.endpoint) as export:
        yield Spans(export, transcripts=config.log.transcripts)
