"""What is counted: requests, intents, calls to rails, attestation answers; and how things stand.

Rules
- A label's values are words of this code: a route's template, an intent; no path and no text.
- Counters live as long as the process; how payments and the canary stand is read when asked for.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from agent_runtime.requests import Reply
from agent_runtime.tracing import Tracing
from agent_runtime.watching import Told, outcome_of

CONTENT_TYPE = CONTENT_TYPE_LATEST
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 40.0)


class Telemetry:
    """The counters of one process, and its spans.

    Args:
        tracing: what becomes of spans.
    """

    def __init__(self, tracing: Tracing) -> None:
        self.tracing = tracing
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "agent_requests", "HTTP requests answered.", "route", "method", "status"
        )
        self._seconds = self._histogram(
            "agent_request_seconds", "From the head of a request to the end of its answer.", "route"
        )
        self._intents = self._counter(
            "agent_intents", "Texts answered, by what became of them.", "intent", "outcome"
        )
        self._calls = self._counter(
            "agent_rail_calls", "Calls to other systems, by their answer.", "service", "outcome"
        )
        self._call_seconds = self._histogram(
            "agent_rail_call_seconds", "From a call to its answer or its end.", "service"
        )
        self._evidence = self._counter(
            "agent_attestation_answers", "Questions for evidence, by their answer.", "outcome"
        )

    def watch(self, standing: Collector) -> None:
        """Show what this collector reads, whenever the metrics are asked for."""
        self.registry.register(standing)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request; `route` is a template, or `none`."""
        known = method if method in METHODS else "other"
        self._requests.labels(route, known, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def intent(self, reply: Reply) -> None:
        """Count one answered text."""
        self._intents.labels(reply.intent, outcome_of_text(reply)).inc()

    def evidence(self, outcome: str) -> None:
        """Count one question for evidence: `given`, `crowded`, `no_quote`, `bad_nonce`, `none`."""
        self._evidence.labels(outcome).inc()

    def call(self, service: str, method: str) -> AbstractContextManager[Told]:
        """Count and time one call to another system (`watching.Watch`)."""
        return self._call(service, method)

    @contextmanager
    def _call(self, service: str, method: str) -> Iterator[Told]:
        begun, status = time.perf_counter(), 0

        def told(found: int) -> None:
            nonlocal status
            status = found

        with self.tracing.call(service, method) as span:
            try:
                yield told
            finally:
                outcome = outcome_of(status)
                self._calls.labels(service, outcome).inc()
                self._call_seconds.labels(service).observe(time.perf_counter() - begun)
                span.set("http.response.status_code", status)
                span.set("rail.outcome", outcome)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        return Histogram(name, meaning, labels, buckets=SECONDS, registry=self.registry)


def outcome_of_text(reply: Reply) -> str:
    """`unsettled`, `failed`, `refused` or `answered`: the sign in front is the contract's (§6)."""
    if not reply.final:
        return "unsettled"
    signs = {"❌": "failed", "🛑": "refused"}
    return next((word for sign, word in signs.items() if reply.text.startswith(sign)), "answered")
