"""Spans that continue the caller's trace, exported where a collector is named.

Without OTEL_EXPORTER_OTLP_ENDPOINT nothing of OpenTelemetry is imported and spans are nothing; the
trace id of the caller is on the log lines either way. What other systems are sent carries no trace.
"""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from agent_runtime.settings import Settings

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Span(Protocol):
    """One span, open."""

    def set(self, name: str, value: str | int) -> None:
        """Give it an attribute."""
        ...


class Tracing(Protocol):
    """Makes spans."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Around a request that we answer, below the caller's span if it named one."""
        ...

    def call(self, service: str, method: str) -> AbstractContextManager[Span]:
        """Around a call that we make."""
        ...

    async def aclose(self) -> None:
        """Export what is left, or give up within a few seconds."""
        ...


def trace_id_of(traceparent: str) -> str:
    """The trace that a caller's header names; empty if it names none."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return found[1] if found else ""


def tracing(settings: Settings) -> Tracing:
    """Spans for a collector if one is configured, else none."""
    if not settings.otlp_endpoint:
        return Untraced()
    from agent_runtime.exported import Exported  # noqa: PLC0415 - costs time and memory

    return Exported.to(settings)


class _NoSpan:
    def set(self, name: str, value: str | int) -> None:
        """Keep nothing."""


class Untraced:
    """No spans."""

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:  # noqa: ARG002 - by the protocol
        """Nothing."""
        return nullcontext(_NoSpan())

    def call(self, service: str, method: str) -> AbstractContextManager[Span]:  # noqa: ARG002 - by the protocol
        """Nothing."""
        return nullcontext(_NoSpan())

    async def aclose(self) -> None:
        """Nothing."""
