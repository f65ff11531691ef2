"""A log that cannot be written keeps nobody waiting and ends nobody."""

import io
import threading

import pytest
import structlog

from conductor.doubles import DEMO
from cutover.conductor import log as module
from cutover.decision.fact import Entry
from cutover.evidence.observation import Stopped

LINE = [Entry(7, 5, 0, Stopped("a test"))]


class Stuck(io.StringIO):
    """A standard error that nobody reads, until somebody does; or one that is closed."""

    def __init__(self, error=None):
        super().__init__()
        self.free, self.reached, self.error = threading.Event(), threading.Event(), error

    def write(self, text):
        self.reached.set()
        if self.error and not self.free.is_set():
            raise self.error
        assert self.free.wait(20)
        return super().write(text)


@pytest.fixture
def written(monkeypatch):
    monkeypatch.setattr(module, "_WRITER", module._Writer())
    streams = []

    def use(stream):
        streams.append(stream)
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()],
            logger_factory=lambda *_: structlog.PrintLogger(stream),
        )
        return stream

    yield use
    for stream in streams:
        stream.free.set()
    module.flush(20)
    structlog.reset_defaults()


def test_what_happened_is_written_in_order(written):
    """Kind, number and what the fact says."""
    stream = written(Stuck())
    stream.free.set()
    module.Log(DEMO).entries(LINE)
    module.flush(20)
    assert '"seq": 7' in stream.getvalue()
    assert '"event": "Stopped"' in stream.getvalue()


def test_a_pipe_that_nobody_reads_holds_nobody_up(written, monkeypatch):
    """Lines wait, then are dropped; how many is told once somebody reads."""
    monkeypatch.setattr(module, "LINES_MAX", 3)
    monkeypatch.setattr(module, "_WRITER", module._Writer())
    stream, log = written(Stuck()), module.Log(DEMO)
    log.entries(LINE)
    assert stream.reached.wait(20)
    for _ in range(10):
        log.entries(LINE)
    stream.free.set()
    module.flush(20)
    assert '"lines": 7' in stream.getvalue()


def test_a_closed_standard_error_ends_nobody(written):
    """Nor does it end the log: what comes when it can be written again is written."""
    stream, log = written(Stuck(BrokenPipeError("nobody"))), module.Log(DEMO)
    log.entries(LINE)
    module.flush(20)
    stream.free.set()
    log.entries(LINE)
    module.flush(20)
    assert stream.getvalue().count("Stopped") == 1
    assert '"lines": 1' in stream.getvalue()
