"""Spans of OpenTelemetry, sent to a collector (OTLP over HTTP) by a thread of their own.

Imported only where a collector is named. A collector that is away costs spans, never an answer.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agent_runtime.settings import Settings
from agent_runtime.tracing import Span

EXPORT_SECONDS = 3.0
EVERY_MS = 1_000
QUEUED_MAX = 2_048


@dataclass(frozen=True)
class _Open:
    span: OtelSpan

    def set(self, name: str, value: str | int) -> None:
        """Give it an attribute; the route completes a request's name."""
        self.span.set_attribute(name, value)
        if name == "http.route":
            self.span.update_name(f"{value}")


class Exported:
    """Makes spans and sends them."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("agent_runtime")
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def to(cls, settings: Settings) -> "Exported":
        """Send to the collector of the settings."""
        exporter = OTLPSpanExporter(
            endpoint=f"{settings.otlp_endpoint}/v1/traces",
            headers=settings.otlp_headers,
            timeout=EXPORT_SECONDS,
        )
        about = {
            "service.name": "agent-runtime",
            "service.version": settings.build,
            "service.instance.id": settings.plane_id,
        }
        provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        batches = BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUED_MAX,
            schedule_delay_millis=EVERY_MS,
            export_timeout_millis=EXPORT_SECONDS * 1000,
        )
        provider.add_span_processor(batches)
        return cls(provider)

    def request(self, method: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Around a request; the parent is the caller's `traceparent`."""
        parent = self._propagator.extract(headers, context=Context())
        return self._span(method, SpanKind.SERVER, {"http.request.method": method}, parent)

    def call(self, service: str, method: str) -> AbstractContextManager[Span]:
        """Around a call, below the request that makes it."""
        about = {"http.request.method": method, "rail.service": service}
        return self._span(f"{service} {method}", SpanKind.CLIENT, about)

    async def aclose(self) -> None:
        """Export what is left, in a thread since the exporter blocks."""
        await asyncio.to_thread(self._provider.shutdown)

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, about: dict[str, str], parent: Context | None = None
    ) -> Iterator[Span]:
        """An open span; an exception's text stays out of it, since it may repeat what was sent."""
        with self._tracer.start_as_current_span(
            name, parent, kind, about, record_exception=False, set_status_on_exception=False
        ) as span:
            yield _Open(span)
