"""Structured logs to standard error: one event a line, ids and hashes, never content."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from filterd.settings import Settings


def configure_logs(settings: Settings, stream: TextIO | None = None, **fields: Any) -> None:
    """Set up structlog for this process; `fields` (worker number …) go on every line."""
    stream = sys.stderr if stream is None else stream
    level = getattr(logging, settings.log_level.upper())
    as_text = settings.log_format == "text" or (settings.log_format == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
            if as_text
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Text and line end in one write: workers share the stream.
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**fields)
    # Libraries log through the standard module; only their warnings are news.
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(levelname)s %(message)s")
