"""What the pipeline says: steps, the outcome of each, and the verdict they amount to."""

from enum import StrEnum
from typing import Final

import msgspec

from cutover.evidence.observation import Attestation, Verdict
from cutover.runbook.gate import Evidence


class Step(StrEnum):
    """The steps of the pipeline, in its order (attestation §16)."""

    ROOT = "root"
    SIZE = "size"
    QUOTE_FORMAT = "quote_format"
    CLOCK = "clock"
    COLLATERAL = "collateral"
    QUOTE_SIGNATURE = "quote_signature"
    TCB = "tcb"
    STATEMENT = "statement"
    NONCE = "nonce"
    EVENT_LOG = "event_log"
    COMPOSE_HASH = "compose_hash"
    MR_CONFIG_ID = "mr_config_id"
    COMPOSE_POLICY = "compose_policy"
    APP_ID = "app_id"
    KEY_PROVIDER = "key_provider"
    INSTANCE = "instance"
    MEASUREMENTS = "measurements"
    TLS_KEY = "tls_key"
    WALLET_KEY = "wallet_key"


class Outcome(StrEnum):
    """How one step ended, mildest first."""

    PASSED = "passed"
    WARNED = "warned"
    """Holds, with something that a person should know."""
    NOT_ASKED = "not_asked"
    """Nobody asked for it: it proves nothing and stands in the report for that reason."""
    DEGRADED = "degraded"
    STALE = "stale"
    NOT_JUDGED = "not_judged"
    """Could not be evaluated, because an earlier step failed."""
    UNVERIFIABLE = "unverifiable"
    MISSING = "missing"
    FAILED = "failed"


_AMOUNTS_TO: Final = (
    (Outcome.FAILED, Verdict.INVALID),
    (Outcome.MISSING, Verdict.MISSING),
    (Outcome.UNVERIFIABLE, Verdict.UNVERIFIABLE),
    (Outcome.NOT_JUDGED, Verdict.UNVERIFIABLE),
    (Outcome.STALE, Verdict.STALE),
    (Outcome.DEGRADED, Verdict.DEGRADED),
)
"""The worst outcome decides; the first that occurs, from the top."""


NO_EVIDENCE: Final = "no_evidence"
NO_ANSWER: Final = "no_answer"
MALFORMED_ANSWER: Final = "malformed_answer"
NOTHING: Final = {
    NO_EVIDENCE: Outcome.MISSING,
    NO_ANSWER: Outcome.UNVERIFIABLE,
    MALFORMED_ANSWER: Outcome.FAILED,
}
"""What a look amounts to that brought no bundle, by its code."""


_MARKED: Final = frozenset({(Step.ROOT, "test_root"), (Step.MEASUREMENTS, "first_use")})
"""Warnings that `Verification.marks` has a word for."""

_SHOWN: Final = 16
"""Hex digits of a digest that tell it from others; the kept evidence has all of them."""


class Reason(msgspec.Struct, frozen=True):
    """One step's word.

    Attributes:
        step: which step.
        outcome: how it ended.
        code: the same cause always has the same code.
        seen: what was there.
        expected: what had to be there; empty where nothing more is wanted.
    """

    step: Step
    outcome: Outcome
    code: str
    seen: str
    expected: str = ""

    def __str__(self) -> str:
        """One line for journal and screen."""
        wanted = f"; expected {self.expected}" if self.expected else ""
        return f"{self.step}: {self.outcome} ({self.code}): {self.seen}{wanted}"


class Measured(msgspec.Struct, frozen=True):
    """Registers of the quote, lower-case hex."""

    mrtd: str
    rtmr0: str
    rtmr1: str
    rtmr2: str
    rtmr3: str
    mr_config_id: str


class Verification(msgspec.Struct, frozen=True):
    """A verdict and everything it rests on; texts are empty where a part is not known.

    Attributes:
        verdict: what it amounts to.
        checked_at: Unix seconds that it was judged for.
        deadline: Unix seconds after which it says nothing any more; `checked_at` for every verdict
            that is neither verified nor degraded.
        reasons: every step, in order; a step may have several.
        tcb_status: level of the platform; empty unless the quote's signature holds.
        advisory_ids: of the platform's level.
        measurements: registers as the quote has them; they count only if `quote_signature` passed.
        compose_hash, app_id, instance_id: from the replayed event log.
        tls_spki: SHA-256 of the attested TLS key's SubjectPublicKeyInfo.
        wallet_keys: `algorithm:public key` of each attested wallet key.
        identity: digest over compose-hash, app, instance, boot, TLS key and wallet keys.
        evidence_id: SHA-256 of the signed part of the quote; the rest of a quote is malleable.
        test_root: judged under a root that is not Intel's; such a verdict proves nothing outside
            a rehearsal.
        first_use: measurements are trusted because they were seen first, not recomputed.
    """

    verdict: Verdict
    checked_at: int
    deadline: int
    reasons: tuple[Reason, ...]
    tcb_status: str = ""
    advisory_ids: tuple[str, ...] = ()
    measurements: Measured | None = None
    compose_hash: str = ""
    app_id: str = ""
    instance_id: str = ""
    tls_spki: str = ""
    wallet_keys: tuple[str, ...] = ()
    identity: str = ""
    evidence_id: str = ""
    test_root: bool = False
    first_use: bool = False

    def marks(self) -> tuple[str, ...]:
        """What must stand beside this verdict wherever it is shown."""
        marks = ("TEST ROOT",) if self.test_root else ()
        return (*marks, "TRUST ON FIRST USE") if self.first_use else marks

    def holds(self, step: Step) -> bool:
        """Whether a step was judged and every reason of it is a pass, perhaps with a warning."""
        outcomes = {reason.outcome for reason in self.reasons if reason.step is step}
        return bool(outcomes) and outcomes <= {Outcome.PASSED, Outcome.WARNED}

    def causes(self) -> tuple[Reason, ...]:
        """The reasons that a person has to read: everything but passes."""
        return tuple(r for r in self.reasons if r.outcome is not Outcome.PASSED)


def amounts_to(reasons: tuple[Reason, ...]) -> Verdict:
    """The verdict of these reasons; no reasons, or none that passed, are never `verified`."""
    outcomes = {reason.outcome for reason in reasons}
    for outcome, verdict in _AMOUNTS_TO:
        if outcome in outcomes:
            return verdict
    signed = any(r.step is Step.QUOTE_SIGNATURE and r.outcome is Outcome.PASSED for r in reasons)
    return Verdict.VERIFIED if signed else Verdict.UNVERIFIABLE


def nothing_to_judge(code: str, seen: str, now: int) -> Verification:
    """The verdict of a look that brought no bundle.

    Args:
        code: `NO_EVIDENCE`, `NO_ANSWER` or `MALFORMED_ANSWER`.
        seen: what came in its place.
        now: Unix seconds.
    """
    expected = "evidence over our nonce"
    reasons = (Reason(Step.QUOTE_FORMAT, NOTHING[code], code, seen, expected),)
    return Verification(amounts_to(reasons), now, now, reasons)


def proved_key(found: Verification) -> str:
    """SHA-256 of the TLS key that proved itself: bound by a quote whose signature holds.

    Empty when a step on the way from the quote to the key of our connection did not hold.
    """
    steps = (Step.ROOT, Step.QUOTE_SIGNATURE, Step.STATEMENT, Step.NONCE, Step.TLS_KEY)
    return found.tls_spki if all(map(found.holds, steps)) else ""


def observation(plane: str, found: Verification, now_ms: int, record: str = "") -> Attestation:
    """What is journaled of a verification.

    Args:
        plane: whose.
        found: the verification.
        now_ms: wall milliseconds of the journaling; what has passed since the judgement no longer
            belongs to its life. A verdict against the plane has no end of its own.
        record: SHA-256 of the kept evidence; empty when none is.
    """
    serves = found.verdict in {Verdict.VERIFIED, Verdict.DEGRADED}
    now_ms = max(now_ms, found.checked_at * 1000)  # a clock set back meanwhile prolongs nothing
    return Attestation(
        plane,
        found.verdict,
        Evidence.VERIFIED,
        found.identity,
        reasons=_words(found),
        marks=found.marks(),
        tls_spki=proved_key(found),
        lasts_ms=max(0, found.deadline * 1000 - now_ms) if serves else None,
        record=record,
    )


def _words(found: Verification) -> tuple[str, ...]:
    """What a person reads beside the verdict: first who proved itself, then every cause.

    A warning that a mark stands for is not said a second time.
    """
    causes = tuple(str(r) for r in found.causes() if (r.step, r.code) not in _MARKED)
    if found.verdict not in {Verdict.VERIFIED, Verdict.DEGRADED}:
        return causes
    parts = {
        "platform": found.tcb_status,
        "app": found.app_id[:_SHOWN],
        "compose": found.compose_hash[:_SHOWN],
        "TLS key": found.tls_spki[:_SHOWN],
    }
    return (", ".join(f"{what} {part}" for what, part in parts.items() if part), *causes)


def passed(step: Step, code: str, seen: str) -> Reason:
    """The step holds."""
    return Reason(step, Outcome.PASSED, code, seen)


def failed(step: Step, code: str, seen: str, expected: str) -> Reason:
    """The evidence is wrong."""
    return Reason(step, Outcome.FAILED, code, seen, expected)


def not_asked(step: Step, seen: str) -> Reason:
    """Nobody asked; said so that nobody believes it was checked."""
    return Reason(step, Outcome.NOT_ASKED, "not_asked", seen)


def absent(step: Step, what: str) -> Reason:
    """The plane did not hand over a part that is asked for."""
    return Reason(step, Outcome.MISSING, "absent", "nothing", what)


def not_judged(step: Step, because: Step, what: str) -> Reason:
    """The step needs something that an earlier step could not give."""
    return Reason(step, Outcome.NOT_JUDGED, f"needs_{because}", f"nothing to judge: {what}")
