"""The running count of answers; what the summary file says."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from sandbox.traffic.check import Verdict
from sandbox.traffic.texts import Message

EXAMPLES_MAX: Final = 20


@dataclass(slots=True)
class Tally:
    """Counts by result, intent and plane, refusals by code, and the first failures in full."""

    started: float = field(default_factory=time.time)
    sent: int = 0
    skipped: int = 0
    surplus: int = 0
    results: Counter[str] = field(default_factory=Counter)
    by_intent: dict[str, Counter[str]] = field(default_factory=dict)
    by_plane: dict[str, Counter[str]] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)
    latency_ms_max: float = 0.0
    transactions: int = 0

    def add(self, message: Message, verdict: Verdict, latency_ms: float) -> None:
        """Count one answer."""
        intent = message.asked.intent
        self.results[verdict.result] += 1
        self.by_intent.setdefault(intent, Counter())[verdict.result] += 1
        plane = verdict.plane or "unnamed"
        self.by_plane.setdefault(plane, Counter())[f"{intent}.{verdict.result}"] += 1
        self.latency_ms_max = max(self.latency_ms_max, latency_ms)
        if verdict.result == "refused":
            self.refusals[verdict.reason] += 1
        if verdict.result == "ok" and intent == "pay":
            self.transactions += 1
        if verdict.result == "failed" and len(self.failures) < EXAMPLES_MAX:
            self.failures.append(
                {
                    "at": time.time(),
                    "intent": intent,
                    "route": message.asked.route,
                    "text": message.text,
                    "conversation": message.conversation,
                    "plane": verdict.plane,
                    "reason": verdict.reason,
                    "latency_ms": round(latency_ms, 1),
                }
            )

    def add_surplus(self, data: bytes) -> None:
        """Count bytes that nobody asked for: a second answer to one request."""
        self.surplus += 1
        if len(self.failures) < EXAMPLES_MAX:
            reason = f"bytes after the answer: {data[:120]!r}"
            self.failures.append({"at": time.time(), "reason": reason})

    def summary(self, *, done: bool) -> dict[str, Any]:
        """Return the summary as JSON values."""
        answered = sum(self.results.values())
        return {
            "done": done,
            "started": self.started,
            "updated": time.time(),
            "sent": self.sent,
            "in_flight": self.sent - answered,
            "skipped": self.skipped,
            "total": answered,
            "ok": self.results["ok"],
            "failed": self.results["failed"] + self.surplus,
            "second_answers": self.surplus,
            "refused": self.results["refused"],
            "by_intent": {name: dict(counts) for name, counts in self.by_intent.items()},
            "by_plane": {name: dict(counts) for name, counts in self.by_plane.items()},
            "refusals": dict(self.refusals),
            "distinct_transactions": self.transactions,
            "latency_ms_max": round(self.latency_ms_max, 1),
            "failures": self.failures,
        }
