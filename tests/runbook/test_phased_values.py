"""Every number of the phased runbook, against the values that were decided (design: our values)."""

import tomllib

import pytest

from cutover.runbook.document import Blind, ErrorBudget, Split, Timing
from cutover.runbook.gate import (
    AttestationGate,
    Check,
    DependencyGate,
    Evidence,
    LiveIntentGate,
    PostCheckName,
    ReadinessGate,
)
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.load import load_text
from cutover.runbook.rollback import (
    AttestationLost,
    CanaryFailed,
    LowSample,
    NotReady,
    PaymentsFailed,
    SharedCause,
)
from cutover.runbook.stage import Critical, Soak
from runbook.texts import shipped

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.fixture(scope="module")
def phased():
    return load_text(shipped("phased"), "phased.toml")


def test_planes_move_from_hetzner_to_phala(phased):
    """Traffic moves from hetzner to phala, for real, and none is asked to be absent."""
    assert (phased.fallback, phased.candidate) == ("hetzner", "phala")
    assert phased.planes == ("hetzner", "phala")
    assert phased.rehearsal is False
    assert phased.quiet_ms == 0


def test_cadence_and_deadlines(phased):
    """Readiness is polled every 5 s, canaries run every 5 min, attestation is read every minute."""
    assert phased.timing == Timing(
        readiness_every_ms=5 * SECOND,
        readiness_deadline_ms=2 * SECOND,
        canary_every_ms=5 * MINUTE,
        canary_deadline_ms=MINUTE,
        attestation_every_ms=MINUTE,
        attestation_deadline_ms=20 * SECOND,
        live_intent_deadline_ms=3 * MINUTE,
    )


def test_stages_shares_and_soaks(phased):
    """0 %, 10 % of analyze, half of analyze and create, everything; with these soaks."""
    seen = [
        (s.name, tuple(s.share_bp[i] for i in LEADING), s.soak, s.armed, s.operator_promotes)
        for s in phased.stages
    ]
    assert seen == [
        ("shadow", (0, 0, 0), Soak(2 * HOUR, 24, 0), False, False),
        ("canary", (1_000, 0, 0), Soak(2 * HOUR, 0, 50), True, False),
        ("mixed", (5_000, 5_000, 0), Soak(26 * HOUR, 0, 200), True, False),
        ("primary", (10_000, 10_000, 10_000), Soak(7 * DAY, 0, 500), True, False),
    ]


def test_shadow_is_24_runs_of_every_5_minutes(phased):
    """The canary runs of shadow fill its two hours exactly."""
    soak = phased.stages[0].soak
    assert soak.canary_runs * phased.timing.canary_every_ms == soak.observed_ms


def test_pay_is_unlocked_after_a_clean_day_in_the_mixed_stage_only(phased):
    """Pay gets half after 24 h without a critical error and 100 real answers; nothing else does."""
    unlocks = [(s.name, u) for s in phased.stages for u in s.unlocks]
    assert len(unlocks) == 1
    stage, unlock = unlocks[0]
    assert stage == "mixed"
    assert (unlock.intent, unlock.share_bp, unlock.clean_ms, unlock.answers) == (
        Intent.PAY, 5_000, 24 * HOUR, 100,
    )  # fmt: skip


def test_pay_share_follows_the_unlock(phased):
    """Pay stays at nothing in the mixed stage until it is unlocked there."""
    assert phased.share_bp(1, frozenset({Intent.PAY}), Intent.PAY) == 0
    assert phased.share_bp(2, frozenset(), Intent.PAY) == 0
    assert phased.share_bp(2, frozenset({Intent.PAY}), Intent.PAY) == 5_000
    assert phased.share_bp(3, frozenset(), Intent.PAY) == 10_000


def test_gates(phased):
    """Four gates, in the runbook's order, with these ages, and evidence that is verified."""
    readiness, dependency, live, attestation = phased.gates
    assert readiness == ReadinessGate(readiness.clause, 15 * SECOND)
    assert dependency == DependencyGate(dependency.clause, 10 * MINUTE)
    assert live == LiveIntentGate(live.clause, LEADING, 30 * MINUTE, 5 * MINUTE, 3)
    assert attestation == AttestationGate(
        attestation.clause, 10 * MINUTE, 1 * MINUTE, Evidence.VERIFIED, Evidence.VERIFIED
    )
    assert phased.live_intent_gate() is live
    assert phased.attestation_gate() is attestation


def test_rollback_conditions(phased):
    """2 minutes, two runs, 2 % of 30 minutes from the first, 10 minutes; all by the letter."""
    not_ready, canary, payments, attestation = phased.conditions
    assert not_ready == NotReady("not-ready", not_ready.clause, 2 * MINUTE)
    assert canary == CanaryFailed("canary-failed", canary.clause, 2, SharedCause.ROLL_BACK)
    assert payments == PaymentsFailed(
        "payments-failed", payments.clause, 2, 30 * MINUTE, 1, LowSample.ROLL_BACK
    )
    assert attestation == AttestationLost("attestation-lost", attestation.clause, 10 * MINUTE)


def test_what_the_words_mean(phased):
    """Every kind of critical error restarts the day; split, blindness and budget are declared."""
    assert phased.critical == frozenset(Critical)
    assert phased.split == Split(min_conversations=50, sigmas=4.0)
    assert phased.blind == Blind(after_ms=30 * SECOND, page_ms=5 * MINUTE)
    assert phased.error_budget == ErrorBudget(percent=1, min_answers=500)


def test_minor_intents_follow(phased):
    """Every minor intent has a route, and what nobody could read goes with the money."""
    assert phased.follows == {
        Intent.PENDING: Intent.PAY,
        Intent.VERIFY: Intent.CREATE,
        Intent.REPUTATION: Intent.CREATE,
        Intent.MODE: Intent.PAY,
        Intent.PLAN: Intent.PAY,
        Intent.HELP: Intent.CREATE,
        Intent.UNKNOWN: Intent.PAY,
    }


def test_all_preconditions_and_post_checks_are_asked(phased):
    """Four of each, in the runbook's order."""
    assert [p.check for p in phased.preconditions] == list(Check)
    assert [p.name for p in phased.post_checks] == list(PostCheckName)


def numbers(value):
    if isinstance(value, dict):
        return [n for item in value.values() for n in numbers(item)]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return [value]
    return [value] if isinstance(value, str) and value[0].isdigit() and len(value) < 8 else []


def test_no_number_of_the_file_escapes_this_module():
    """Count of the numbers in the file: a new one needs its line above."""
    assert len(numbers(tomllib.loads(shipped("phased")))) == (
        7  # timing
        + 4 * 3 + 4 * 3  # stages: shares, soaks
        + 3  # the unlock: share, clean, answers
        + 1 + 1 + 3 + 2  # gates
        + 1 + 1 + 3 + 1  # rollback conditions
        + 2 + 2 + 2  # split, blind, error budget
    )  # fmt: skip
