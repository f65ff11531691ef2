"""What is counted and traced, and that neither names what it must not."""

import asyncio
import contextlib
import gzip
import http.server
import json
import threading

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import LogCapture

from agent_runtime.tracing import trace_id_of

KEY = {"x-agent-api-key": "test-key"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
METHODS = ("PUT", "PATCH", "DELETE", "TRACE", "LOCK", "PURGE")
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


async def samples(plane):
    answer = await plane.client.get("/metrics", headers=KEY)
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


async def test_requests_intents_rails_and_payments_are_counted(plane, rails):
    await plane.canary()
    await plane.say("analyze acme/widgets")
    await plane.say("pay 1 USDC to acme/widgets")
    await plane.say("pay 251 USDC to acme/widgets")
    await plane.client.get("/nothing/at/all")
    await plane.client.put("/process")
    rails.fault({"service": "hot", "kind": "status", "status": 504})
    await plane.canary()
    found = await samples(plane)
    requests = ("agent_requests_total", "agent_intents_total", "agent_rail_calls_total")
    assert value(found, requests[0], route="/process", method="POST", status="200") == 3
    assert value(found, requests[0], route="none", method="GET", status="404") == 1
    assert value(found, requests[0], route="/process", method="other", status="405") == 1
    assert value(found, requests[1], intent="analyze", outcome="answered") == 1
    assert value(found, requests[1], intent="pay", outcome="answered") == 1
    assert value(found, requests[1], intent="pay", outcome="refused") == 1
    assert value(found, requests[2], service="hotpay", outcome="unknown") == 1
    assert value(found, requests[2], service="hotpay", outcome="answered") == 1
    assert value(found, requests[2], service="near", outcome="answered") > 3
    assert value(found, "agent_payments", state="paid") == 1
    assert value(found, "agent_ready") == 1
    assert 0 < value(found, "process_resident_memory_bytes") < 2**40


@pytest.mark.asyncio(loop_scope="module")
async def test_nobody_can_make_labels(bare):
    """Paths, methods, texts and ids of callers are no labels: their number has no bound."""
    before = set(await samples(bare))
    for number in range(20):
        await bare.client.get(f"/payments/pay-{number}", headers=KEY)
        await bare.client.get(f"/x{number}?y={number}")
        await bare.client.request(METHODS[number % len(METHODS)], "/health")
        await bare.say(f"nonsense {number}", author=f"author-{number}")
    added = {labels for _, labels in set(await samples(bare)) - before}
    assert {name for labels in added for name, _ in labels} <= {
        "route", "method", "status", "le", "intent", "outcome",
    }  # fmt: skip
    routes = {text for labels in added for name, text in labels if name == "route"}
    assert routes <= {"/payments/{payment_id}", "/health", "/process", "/metrics", "none"}


def test_a_traceparent_is_read_only_if_it_is_one():
    assert trace_id_of(TRACEPARENT) == TRACE
    wrong = ("", "x", TRACEPARENT.upper(), f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01")
    assert {trace_id_of(text) for text in wrong} == {""}


@pytest.mark.asyncio(loop_scope="module")
async def test_log_lines_name_the_request_and_the_callers_trace(bare, monkeypatch):
    async def broken(_asked):
        raise RuntimeError

    monkeypatch.setattr(bare.service.desk, "answer", broken)
    taken, before = LogCapture(), structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, taken])
    try:
        told = {"x-request-id": "req-12345678", "traceparent": TRACEPARENT}
        assert (await bare.process("help", headers=told)).status_code == 500
    finally:
        structlog.configure(**before)
    (line,) = taken.entries
    assert (line["request_id"], line["trace_id"]) == ("req-12345678", TRACE)


@contextlib.contextmanager
def collector():
    """An OpenTelemetry collector on a socket: its address, and what it was sent."""
    taken = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            taken.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", taken
        finally:
            server.shutdown()
            thread.join()


def spans_of(taken):
    found = []
    for _, headers, body in taken:
        packed = headers.get("Content-Encoding") == "gzip"
        message = ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body)
        found += [
            span
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
    return found


async def test_spans_continue_the_callers_trace_and_carry_no_text(rails, run_plane):
    with collector() as (address, taken):
        told = {
            **rails.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-token=s3cret",
        }
        async with run_plane(told) as plane:
            await plane.process("analyze acme/widgets", headers={"traceparent": TRACEPARENT})
            await plane.client.get("/health")
        spans = await asyncio.to_thread(spans_of, taken)
    assert {path for path, _, _ in taken} == {"/v1/traces"}
    assert {headers["x-token"] for _, headers, _ in taken} == {"s3cret"}
    ours = [span for span in spans if span.trace_id.hex() == TRACE]
    (request,) = (span for span in ours if span.parent_span_id.hex() == PARENT)
    assert request.name == "POST /process"
    calls = [span for span in ours if span.parent_span_id == request.span_id]
    assert {call.name for call in calls} >= {"github GET", "eigenai POST", "near POST"}
    (other,) = (span for span in spans if span.name == "GET /health")
    assert other.trace_id.hex() != TRACE
    assert not other.parent_span_id
    told_all = json.dumps([str(span) for span in spans])
    for hidden in ("acme", "tester", "analyze", rails.environ["GITHUB_APP_ID"] + "/"):
        assert hidden not in told_all
