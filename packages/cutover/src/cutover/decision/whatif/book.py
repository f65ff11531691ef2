"""What a record holds of the evidence that a conductor gathers on demand.

Live intents, preconditions, post-cutover checks and the looks around a promotion are carried out
when the rules ask for them, so other rules ask at other times. The answer then is the record's
nearest in time: what the plane said shortly before or after. What the record never asked is not
known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from cutover.decision.fact import Entry
from cutover.evidence.observation import (
    Adopted,
    Attestation,
    LiveIntent,
    OrderRefused,
    PostCheckSeen,
    PreconditionSeen,
)
from cutover.runbook.gate import Check, PostCheckName
from cutover.runbook.intent import Intent

Seen = TypeVar("Seen", Attestation, LiveIntent, PreconditionSeen, PostCheckSeen)
Dated = list[tuple[int, Seen]]
OnDemand = LiveIntent | PreconditionSeen | PostCheckSeen


@dataclass
class Book:
    """What the first reading of a record notes; feed it every entry, in order.

    Attributes:
        adopted: the first entry's fact.
        entries: how many were read.
        end_ms: stamp of the last.
        orders_refused: orders that did not apply when they were given.
    """

    adopted: Adopted | None = None
    entries: int = 0
    end_ms: int = 0
    orders_refused: int = 0
    verdicts: dict[str, Dated[Attestation]] = field(default_factory=dict)
    live: dict[tuple[str, Intent], Dated[LiveIntent]] = field(default_factory=dict)
    preconditions: dict[Check, Dated[PreconditionSeen]] = field(default_factory=dict)
    post_checks: dict[PostCheckName, Dated[PostCheckSeen]] = field(default_factory=dict)

    def note(self, entry: Entry) -> None:
        """Note one entry."""
        self.entries += 1
        self.end_ms = entry.at_ms
        match entry.fact:
            case Adopted() as fact if self.adopted is None:
                self.adopted = fact
            case Attestation() as fact:
                self.verdicts.setdefault(fact.plane, []).append((entry.at_ms, fact))
            case LiveIntent() as fact:
                self.live.setdefault((fact.plane, fact.intent), []).append((entry.at_ms, fact))
            case PreconditionSeen() as fact:
                self.preconditions.setdefault(fact.check, []).append((entry.at_ms, fact))
            case PostCheckSeen() as fact:
                self.post_checks.setdefault(fact.name, []).append((entry.at_ms, fact))
            case OrderRefused():
                self.orders_refused += 1
            case _:
                pass

    def nearest_verdict(self, plane: str, identity: str, at_ms: int) -> Attestation | None:
        """The verdict nearest in time on a plane of this identity, as a look of now gives it."""
        found = [(at, v) for at, v in self.verdicts.get(plane, []) if v.identity in ("", identity)]
        nearest = _nearest(found, at_ms)
        return None if nearest is None else replace(nearest, took_ms=0)

    def nearest_live(
        self, plane: str, intent: Intent, identity: str, at_ms: int
    ) -> LiveIntent | None:
        """The execution nearest in time on a plane of this identity; None when there is none."""
        found = self.live.get((plane, intent), [])
        return _nearest([(at, one) for at, one in found if one.identity in ("", identity)], at_ms)

    def nearest_precondition(self, check: Check, at_ms: int) -> PreconditionSeen | None:
        """The look at a precondition that is nearest in time; None when there is none."""
        return _nearest(self.preconditions.get(check, []), at_ms)

    def nearest_post_check(self, name: PostCheckName, at_ms: int) -> PostCheckSeen | None:
        """The check that is nearest in time; None when there is none."""
        return _nearest(self.post_checks.get(name, []), at_ms)


def _nearest(found: Sequence[tuple[int, Seen]], at_ms: int) -> Seen | None:
    """Of two that are equally near the earlier one: it was known then."""
    return min(found, key=lambda dated: abs(dated[0] - at_ms))[1] if found else None
