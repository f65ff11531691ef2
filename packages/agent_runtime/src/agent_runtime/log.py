"""Structured log lines on stderr: JSON, one event each, no secrets and no request texts.

What is bound with `about_request` is on every line that is written while that request is answered.
"""

import json
import logging
import sys
from contextlib import AbstractContextManager

import structlog


class JsonLines(logging.Formatter):
    """Lines of libraries in our shape, whatever characters their messages hold."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object; of an exception only its type, since its text is not ours."""
        kind = record.exc_info[0] if record.exc_info else None
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": structlog.processors.TimeStamper(fmt="iso", utc=True)(None, "", {})[
                "timestamp"
            ],
            **({"exception": kind.__name__} if kind else {}),
        }
        return json.dumps(line, sort_keys=True)


def configure() -> None:
    """Send this service's events and its libraries' warnings to stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def about_request(request_id: str, trace_id: str) -> AbstractContextManager[None]:
    """Name the request, and the caller's trace if there is one, on the lines written inside."""
    named = {"request_id": request_id, **({"trace_id": trace_id} if trace_id else {})}
    return structlog.contextvars.bound_contextvars(**named)


def logger() -> structlog.typing.FilteringBoundLogger:
    """The service's logger."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return bound
