"""How a long-running verb speaks on standard error."""

import logging
import sys

import structlog


def speak() -> None:
    """Log lines for people on a terminal, JSON for everything else."""
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    people = sys.stderr.isatty()
    draw = structlog.dev.ConsoleRenderer() if people else structlog.processors.JSONRenderer()
    stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S" if people else "iso", utc=not people)
    structlog.configure(
        processors=[stamp, draw],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
