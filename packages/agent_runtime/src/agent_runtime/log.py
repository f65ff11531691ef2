"""Structured log lines on stderr: JSON, one event each, no secrets and no request texts."""

import logging
import sys

import structlog


def configure() -> None:
    """Send this service's events and its server's warnings to stderr."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format='{"level":"%(levelname)s","logger":"%(name)s","event":"%(message)s"}',
    )


def logger() -> structlog.typing.FilteringBoundLogger:
    """The service's logger."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return bound
