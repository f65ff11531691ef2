"""`/metrics`: the counters, and how payments, canary and readiness stand right now."""

import time
from collections import Counter
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from agent_runtime.funding.model import FundingState
from agent_runtime.health import VERSION
from agent_runtime.http.door import faults, needs_key
from agent_runtime.payments import PaymentState
from agent_runtime.telemetry import CONTENT_TYPE
from agent_runtime.wiring import Service


def routes(service: Service) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(tags=["about"], dependencies=[needs_key(service.settings.api_key)])
    service.telemetry.watch(Standing(service))

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **faults(401)},
    )
    async def metrics() -> Response:
        """Everything, in Prometheus' text format."""
        return Response(service.telemetry.exposition(), media_type=CONTENT_TYPE)

    return router


class Standing(Collector):
    """Reads how things stand whenever it is asked."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing is read before somebody asks."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Payments, fundings, readiness, canary, build."""
        service, settings = self._service, self._service.settings
        counted = Counter(service.payments.states())
        payments = GaugeMetricFamily("agent_payments", "Payments, by state.", labels=["state"])
        for state in PaymentState:
            payments.add_metric([state.value], counted[state])
        yield payments
        opened = [one.created_at for one in service.payments.open()]
        age = time.time() - min(opened) if opened else 0.0
        yield _gauge("agent_payment_open_seconds", "Age of the oldest open payment.", age)
        asked = service.fundings.states()
        fundings = GaugeMetricFamily("agent_fundings", "Fundings, by state.", labels=["state"])
        for kind in FundingState:
            fundings.add_metric([kind.value], asked.get(kind, 0))
        yield fundings
        ready = not service.health.reasons()
        yield _gauge("agent_ready", "Whether /ready says so.", float(ready))
        canary = service.canary
        ok = canary.fresh and (canary.last or {}).get("ok") is True
        yield _gauge("agent_canary_ok", "Whether the newest canary counts and is well.", float(ok))
        since = float("inf") if canary.age is None else canary.age
        yield _gauge("agent_canary_age_seconds", "Since its end; +Inf before the first.", since)
        build = GaugeMetricFamily(
            "agent_build_info", "Which deployment this is.", labels=["plane", "build", "version"]
        )
        build.add_metric([settings.plane_id, settings.build, VERSION], 1.0)
        yield build


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
