"""What we know now: one frozen value, the fold of the journal.

Nothing in it grows with running time: windows are bounded, counters of old generations are
dropped, streaks are numbers. All times are observed milliseconds of the run (`NEVER` = not yet).
"""

from enum import StrEnum
from typing import Final

import msgspec

from cutover.decision.kinds import Reason
from cutover.evidence.observation import Verdict
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.intent import Intent

NEVER: Final = -1


class Phase(StrEnum):
    """Where a run stands; which moves each phase allows is in `transitions`."""

    PREPARING = "preparing"
    RUNNING = "running"
    CHECKING = "checking"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    ABORTING = "aborting"
    ABORTED = "aborted"
    COMPLETE = "complete"


TERMINAL: Final = frozenset({Phase.ABORTED, Phase.COMPLETE})


class PlaneView(msgspec.Struct, frozen=True, gc=False):
    """What was last seen of one plane; `*_seq` are journal numbers of the evidence.

    Attributes:
        bad_since: first of the current run of non-200 `/ready` answers, NEVER while ready.
        bad_at: last of them.
        ok_since: first of the current run of 200 answers, NEVER while not ready.
        sick: latched when not ready for too long, released after being ready as long.
        canary_false: scheduled canary runs failed in a row.
        canary_shared: the other plane failed the same checks in the latest failed round.
        good_at: newest acceptable attestation verdict.
        attested_at: newest verdict of attested hardware: acceptable, or degraded.
        trusted_at: newest verdict on evidence that money may rest on.
        verdict_ends: when the newest verdict says nothing any more by its own deadline, None when
            it has none; likewise good_ends, attested_ends and trusted_ends.
        asked_at: when the evidence of the newest verdict was asked for.
        identity: what the newest verdict was about.
        tls_spki: SHA-256 (hex) of the only TLS key that the plane may present; empty while none
            has proved itself.
    """

    ready_at: int = NEVER
    ready_seq: int = 0
    status: int | None = None
    ready: bool | None = None
    health_ready: bool | None = None
    detail: str = ""
    bad_since: int = NEVER
    bad_at: int = NEVER
    bad_seq: int = 0
    ok_since: int = NEVER
    sick: bool = False
    canary_at: int = NEVER
    canary_seq: int = 0
    canary_ok: bool | None = None
    canary_false: int = 0
    canary_first_seq: int = 0
    canary_shared: bool = False
    canary_detail: str = ""
    verdict: Verdict | None = None
    verdict_at: int = NEVER
    verdict_seq: int = 0
    verdict_evidence: Evidence = Evidence.REPORTED
    verdict_reasons: tuple[str, ...] = ()
    good_at: int = NEVER
    good_seq: int = 0
    attested_at: int = NEVER
    trusted_at: int = NEVER
    identity: str = ""
    asked_at: int = NEVER
    verdict_ends: int | None = None
    good_ends: int | None = None
    attested_ends: int | None = None
    trusted_ends: int | None = None
    tls_spki: str = ""


class NodeView(msgspec.Struct, frozen=True, gc=False):
    """One gateway node.

    Attributes:
        boot: of its process; its counters begin with it.
        booted_at: when this one replaced another, or when the node was last forgotten.
        rival: two processes report under this name; until `forget`.
        forgotten: an operator took it out of service; it counts again when it reports.
        money_in_flight: payments that it sent to the candidate and that have not ended.
        pruned: generation for which old counters were last dropped.
        retired: boots that this one replaced; what still arrives from them is late.
        confirmed: it has reported to this incarnation of the conductor and is not silent.
        counts: last cumulative value per `generation|intent|plane|outcome`.
        conversations: last cumulative value per `generation|intent|plane`.
    """

    boot: str
    seen_seq: int
    confirmed: bool = True
    term: int = 0
    generation: int = 0
    refused_generation: int = 0
    refused: str = ""
    in_flight: int = 0
    lost: int = 0
    keys_match: bool | None = None
    detail: str = ""
    counts: dict[str, int] = {}
    conversations: dict[str, int] = {}
    retired: tuple[str, ...] = ()
    booted_at: int = NEVER
    rival: bool = False
    forgotten: bool = False
    money_in_flight: int = 0
    pruned: int = NEVER


class Payments(msgspec.Struct, frozen=True, gc=False):
    """Settled payments on the candidate in one slice of the rolling window."""

    at: int
    settled: int
    failed: int
    seq: int


class Soaked(msgspec.Struct, frozen=True, gc=False):
    """What the current stage has accumulated.

    Attributes:
        observed_ms: time during which every signal was fresh and clean.
        mark: where that time was last counted from; NEVER while it does not count.
        canary_runs: scheduled canary runs ok in a row, in this stage.
        answers: client answers by the candidate under this stage's tables.
        failed: client requests that the candidate failed under this stage's tables.
        clean_ms: observed time since the last critical error.
        clean_answers: candidate's answers since the last critical error.
        critical: the last critical error in this stage, for people.
        critical_at: when; time before it is not clean.
    """

    observed_ms: int = 0
    mark: int = NEVER
    canary_runs: int = 0
    answers: int = 0
    failed: int = 0
    clean_ms: int = 0
    clean_answers: int = 0
    critical: str = ""
    critical_seq: int = 0
    critical_at: int = NEVER


class LiveView(msgspec.Struct, frozen=True, gc=False):
    """The latest live execution of one intent for the coming promotion."""

    at: int
    seq: int
    ok: bool
    attempts: int
    reasons: tuple[str, ...]


class CheckView(msgspec.Struct, frozen=True, gc=False):
    """A precondition or post-cutover check, as last seen."""

    at: int
    seq: int
    ok: bool | None
    reasons: tuple[str, ...]


class Disarmed(msgspec.Struct, frozen=True, gc=False):
    """A rule that an operator switched off until `until` (observed milliseconds)."""

    until: int
    actor: str
    reason: str
    seq: int


class Held(msgspec.Struct, frozen=True, gc=False):
    """An operator's hold."""

    actor: str
    reason: str
    seq: int


class Incident(msgspec.Struct, frozen=True, gc=False):
    """A rollback or abort with its evidence; closed when the way back is done.

    Attributes:
        unaccounted: payments on the candidate of which nobody knows how they ended.
    """

    rule: str
    opened_at: int
    seq: int
    closed_at: int = NEVER
    unaccounted: int = 0


class Run(msgspec.Struct, frozen=True, gc=False):
    """The state of one run.

    Attributes:
        id: identity of the run, also the salt of its buckets.
        seq: journal number of the newest entry folded in.
        at: its stamp.
        term: the conductor incarnation at work.
        generation: of the routing table that should be in force.
        stage: index of the open stage; -1 before the first.
        stage_generation: generation at which the stage was entered.
        unlocked: intents whose share was raised inside the stage.
        repinned: pay was sent back to the fallback by a rule; it stays there.
        closed: planes on which money is refused.
        weak: promoted on reported evidence at least once; never cleared.
        marks: that stood beside any verdict on the candidate, such as `TEST ROOT`; never cleared.
        awaited: stage or intent that was opened last, until an acceptable verdict was asked for
            with its table in force: verify, switch, verify again. Empty when none is awaited.
        awaited_from: when that table was first seen in force; NEVER before. By awaited_seq.
        pinned: the candidate's TLS key in the table that should be in force; empty for none.
        live_tries: executions of each live intent whose end is known, in this stage; part of the
            next one's idempotency key. One whose end is unknown is asked for again.
        receipt_tries: the same for the payment of the receipt check.
        unaccounted: payments that were in flight in a node that ended, since the run last began.
        blind_since: since when some rule has lacked data; NEVER while all see.
    """

    id: str
    seq: int = 0
    at: int = 0
    phase: Phase = Phase.PREPARING
    term: int = 0
    boot: str = ""
    generation: int = 1
    stage: int = -1
    stage_generation: int = 1
    generation_at: int = 0
    unlocked: frozenset[Intent] = frozenset()
    repinned: bool = False
    closed: tuple[str, ...] = ()
    weak: bool = False
    planes: dict[str, PlaneView] = {}
    nodes: dict[str, NodeView] = {}
    split: dict[str, int] = {}
    client_at: int = NEVER
    payments: tuple[Payments, ...] = ()
    soak: Soaked = Soaked()
    live: dict[str, LiveView] = {}
    live_tries: dict[Intent, int] = {}
    receipt_tries: int = 0
    unaccounted: int = 0
    preconditions: dict[Check, CheckView] = {}
    waived: dict[Check, str] = {}
    post_checks: dict[PostCheckName, CheckView] = {}
    reference_bad_at: int = NEVER
    reference_detail: str = ""
    hold: Held | None = None
    disarmed: dict[str, Disarmed] = {}
    abort: Held | None = None
    retry: Held | None = None
    promote: Held | None = None
    promote_expect: str = ""
    reasons: tuple[Reason, ...] = ()
    incident: Incident | None = None
    incidents: int = 0
    blind_since: int = NEVER
    marks: tuple[str, ...] = ()
    pinned: str = ""
    awaited: str = ""
    awaited_from: int = NEVER
    awaited_seq: int = 0

    def serving(self) -> dict[str, NodeView]:
        """The nodes that serve clients: all but those that an operator took out."""
        return {name: node for name, node in self.nodes.items() if not node.forgotten}

    def plane(self, name: str) -> PlaneView:
        """What was seen of a plane; an empty view when nothing was."""
        return self.planes.get(name, EMPTY)


EMPTY: Final = PlaneView()
