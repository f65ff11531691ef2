"""What an archive shows beside the journal, each part computed from the entries alone.

So that a reader finds the runbook, the canary runs, the incidents and the post-cutover checks
without a tool, and a verifier can see that they say what the journal says.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from cutover.decision.fact import Entry
from cutover.decision.kinds import AbortRun, Complete, Reason, Retry, Returned, RollBack
from cutover.errors import JournalError
from cutover.evidence.observation import (
    Adopted,
    Attestation,
    CanaryRound,
    CanaryVerdict,
    PostCheckSeen,
)

_JSON: Final = msgspec.json.Encoder(order="deterministic")


class State(StrEnum):
    """How far the run had come when it was archived."""

    UNFINISHED = "unfinished"
    COMPLETE = "complete"
    ROLLED_BACK = "rolled_back"
    ABORTED = "aborted"


class Stamp(msgspec.Struct, frozen=True):
    """A place in the journal and in time."""

    seq: int
    at_ms: int
    wall_ms: int


class Incident(msgspec.Struct, frozen=True):
    """A way back, from the decision to its end.

    Attributes:
        decision: `RollBack` or `AbortRun`.
        rule: the tripped condition, or `operator`.
        reasons: as decided.
        evidence: numbers of the entries it rests on.
        start: the decision.
        returned: all traffic observed on the fallback; None when that was not seen.
        retried: the run began again; None when it did not.
    """

    decision: str
    rule: str
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]
    start: Stamp
    returned: Stamp | None = None
    retried: Stamp | None = None


class CanaryLine(msgspec.Struct, frozen=True):
    """One canary round."""

    seq: int
    at_ms: int
    wall_ms: int
    scheduled: bool
    verdicts: tuple[CanaryVerdict, ...]


class CheckLine(msgspec.Struct, frozen=True):
    """One post-cutover check, carried out."""

    seq: int
    at_ms: int
    wall_ms: int
    name: str
    ok: bool
    reasons: tuple[str, ...]
    evidence: dict[str, str]


class Derived(msgspec.Struct, frozen=True):
    """Everything that follows from the entries.

    Attributes:
        adopted: what was agreed.
        state: how far the run had come.
        first: stamp of the first entry.
        last: stamp of the last entry.
        parts: name of each derived part to its bytes.
        marks: what stands beside any of its verdicts, in the order of their first appearance.
        evidence: whether evidence of any verdict was kept.
    """

    adopted: Adopted
    state: State
    first: Stamp
    last: Stamp
    parts: dict[str, bytes]
    marks: tuple[str, ...] = ()
    evidence: bool = False


class _Gathering:
    """The fold over the entries."""

    def __init__(self) -> None:
        self.canary: list[bytes] = []
        self.incidents: list[Incident] = []
        self.checks: list[CheckLine] = []
        self.state = State.UNFINISHED
        self.marks: dict[str, None] = {}
        self.evidence = False

    def take(self, entry: Entry) -> None:
        """Note an entry."""
        stamp, fact = _stamp(entry), entry.fact
        match fact:
            case CanaryRound():
                line = CanaryLine(*_plain(stamp), fact.scheduled, fact.verdicts)
                self.canary.append(_JSON.encode(line) + b"\n")
            case PostCheckSeen():
                self.checks.append(
                    CheckLine(*_plain(stamp), fact.name.value, fact.ok, fact.reasons, fact.evidence)
                )
            case Attestation():
                self.marks.update(dict.fromkeys(fact.marks))
                self.evidence = self.evidence or bool(fact.record)
            case RollBack() | AbortRun():
                opened = Incident(
                    type(fact).__name__, fact.rule, fact.reasons, fact.evidence, stamp
                )
                self.incidents.append(opened)
            case Returned():
                self.incidents = [_returned(incident, stamp) for incident in self.incidents]
            case Retry():
                self.incidents = [_retried(incident, stamp) for incident in self.incidents]
            case _:
                pass
        self.state = _next_state(self.state, self.incidents, entry)


def _stamp(entry: Entry) -> Stamp:
    return Stamp(entry.seq, entry.at_ms, entry.wall_ms)


def _plain(stamp: Stamp) -> tuple[int, int, int]:
    return (stamp.seq, stamp.at_ms, stamp.wall_ms)


def _is_open(incident: Incident) -> bool:
    return incident.returned is None and incident.retried is None


def _returned(incident: Incident, stamp: Stamp) -> Incident:
    return msgspec.structs.replace(incident, returned=stamp) if _is_open(incident) else incident


def _retried(incident: Incident, stamp: Stamp) -> Incident:
    if incident.retried is not None:
        return incident
    return msgspec.structs.replace(incident, retried=stamp)


def _next_state(state: State, incidents: list[Incident], entry: Entry) -> State:
    match entry.fact:
        case Complete():
            return State.COMPLETE
        case RollBack() | AbortRun() | Retry():
            return State.UNFINISHED
        case Returned() if incidents:
            aborted = incidents[-1].decision == AbortRun.__name__
            return State.ABORTED if aborted else State.ROLLED_BACK
        case _:
            return state


def derive(entries: Iterable[Entry]) -> Derived:
    """Compute every derived part in one pass.

    Raises:
        JournalError: the journal does not begin with what was agreed.
    """
    feed = iter(entries)
    first = next(feed, None)
    if first is None or not isinstance(first.fact, Adopted):
        begins = "nothing" if first is None else type(first.fact).__name__
        raise JournalError(
            f"the journal begins with {begins}, expected the adopted runbook; it is not "
            "the journal of a run"
        )
    gathered, last = _Gathering(), first
    for last in feed:
        gathered.take(last)
    parts = {
        "runbook.toml": first.fact.runbook.encode(),
        "incidents.json": pretty(gathered.incidents),
        "postchecks.json": pretty(gathered.checks),
        "canary.jsonl": b"".join(gathered.canary),
    }
    return Derived(
        first.fact, gathered.state, _stamp(first), _stamp(last), parts,
        tuple(gathered.marks), gathered.evidence,
    )  # fmt: skip


def pretty(value: object) -> bytes:
    """JSON for people, always the same for the same value."""
    return msgspec.json.format(_JSON.encode(value), indent=2) + b"\n"
