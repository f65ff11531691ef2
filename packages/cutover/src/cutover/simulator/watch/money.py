"""Line 1 where it counts: at the candidate, when it is asked to execute a client's payment.

The last word about the candidate must be a verdict that money may rest on, and young. A verdict
that says otherwise needs a moment to reach the nodes, and a node that is cut off cannot be told;
but nobody may go on for longer than the age limit, told or not. A complete run is over: what it
has proved is proved, and nobody looks any more.
"""

from collections.abc import Sequence
from typing import Final

from cutover.decision.fact import Entry
from cutover.decision.kinds import Complete
from cutover.evidence.observation import Attestation, Verdict
from cutover.routing.classify import classify
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Evidence
from cutover.runbook.intent import RISK_OF, Risk
from cutover.simulator.checkers.violation import never
from cutover.simulator.watch.excuses import Weatherbook, touches_link

ON_THE_WAY_MS: Final = 150
"""From a decision to the last request that was admitted before a node had heard of it."""

NEVER: Final = -1


class Money:
    """What is known of the candidate, in simulated time.

    Args:
        runbook: how old a verdict may be.
        nodes: names of the gateway nodes.
        conductors: names of those who may tell them.
        book: of the faults.
    """

    def __init__(
        self, runbook: Runbook, nodes: tuple[str, ...], conductors: tuple[str, ...],
        book: Weatherbook,
    ) -> None:  # fmt: skip
        self._gate, self._candidate = runbook.attestation_gate(), runbook.candidate
        self._nodes, self._conductors, self._book = nodes, conductors, book
        self._good_ms = self._bad_ms = NEVER
        self._bad: Verdict | None = None
        self._over = False

    def recorded(self, entries: Sequence[Entry], now_ms: int) -> None:
        """Verdicts became durable."""
        for entry in entries:
            fact = entry.fact
            self._over = self._over or isinstance(fact, Complete)
            if not isinstance(fact, Attestation) or fact.plane != self._candidate:
                continue
            if fact.verdict is Verdict.VERIFIED and fact.evidence is Evidence.VERIFIED:
                self._good_ms, self._bad = now_ms, None
            elif fact.verdict is not Verdict.UNVERIFIABLE and self._bad is None:
                self._bad, self._bad_ms = fact.verdict, now_ms

    def submitted(self, plane: str, key: str, text: str, now_ms: int) -> None:
        """A plane was asked to execute a text.

        Raises:
            Violation: a client's payment came to a candidate that may not have it.
        """
        client = key.startswith("client-") and not self._over
        if plane != self._candidate or not client or RISK_OF[classify(text)] is not Risk.MONEY:
            return
        age = now_ms - self._good_ms
        old = self._good_ms == NEVER or age > self._gate.max_age_ms + ON_THE_WAY_MS
        never(1, old, f"{key} was paid by {plane}, verified {age} ms ago")
        late = self._bad is not None and now_ms - self._bad_ms > ON_THE_WAY_MS
        never(1, late and not self._cut_off(now_ms), f"{key} was paid by {plane}, {self._bad}")

    def _cut_off(self, now_ms: int) -> bool:
        """Whether a fault may have kept a table from a node since the verdict."""
        faults = self._book.between(self._bad_ms, now_ms)
        return any(touches_link(f, n, self._conductors) for f in faults for n in self._nodes)
