"""How long a gateway that hears nothing more may go on with payments to the candidate."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.kinds import Complete
from cutover.decision.matrix import money_grant_ms, trusted
from cutover.decision.run import NEVER, Phase, Run
from cutover.decision.step import table_for
from cutover.evidence.observation import Attestation, Started, Verdict
from cutover.runbook.gate import Evidence
from cutover.runbook.load import load_text
from cutover.simulator.conformance.runbooks import runbook_text

RUNBOOKS = Path(__file__).parents[2] / "runbooks"
PHASED = load_text(runbook_text(RUNBOOKS, "phased", {}), "phased")
MAX_AGE = PHASED.attestation_gate().max_age_ms
SEEN_AT = 100_000


def after(*facts):
    """The run after facts of `(at_ms, fact)`."""
    run = Run(id="run-1")
    for at_ms, fact in facts:
        run = apply(PHASED, run, Entry(run.seq + 1, at_ms, 0, fact))
    return run


def looked(verdict=Verdict.VERIFIED, evidence=Evidence.VERIFIED):
    return Attestation("phala", verdict, evidence, "build-1", ("said so",))


VERIFIED = (SEEN_AT, looked())


@pytest.mark.parametrize("age", [0, 1, MAX_AGE - 1, MAX_AGE])
def test_a_trusted_verdict_is_worth_the_rest_of_its_age(age):
    """To the millisecond: with the last of it no time is left."""
    assert money_grant_ms(PHASED, after(VERIFIED), SEEN_AT + age) == MAX_AGE - age


@pytest.mark.parametrize("age", [MAX_AGE + 1, 10 * MAX_AGE])
def test_a_verdict_that_is_too_old_is_worth_nothing(age):
    """And never less than nothing."""
    assert money_grant_ms(PHASED, after(VERIFIED), SEEN_AT + age) == 0


def test_nobody_may_pay_where_nothing_was_verified_yet():
    """No evidence is no grant, however young the run."""
    assert money_grant_ms(PHASED, Run(id="run-1"), 0) == 0


@pytest.mark.parametrize("bad", [Verdict.DEGRADED, Verdict.MISSING, Verdict.INVALID])
def test_a_verdict_that_says_otherwise_ends_it_at_once(bad):
    """A good one before it counts no more; a good one after it counts again."""
    run = after(VERIFIED, (SEEN_AT + 5, looked(bad)))
    assert money_grant_ms(PHASED, run, SEEN_AT + 5) == 0
    run = apply(PHASED, run, Entry(run.seq + 1, SEEN_AT + 9, 0, looked()))
    assert money_grant_ms(PHASED, run, SEEN_AT + 10) == MAX_AGE - 1


def test_a_mere_claim_ends_it_where_proof_is_needed():
    """Verified by what the plane says of itself is not what money rests on."""
    run = after(VERIFIED, (SEEN_AT + 5, looked(evidence=Evidence.REPORTED)))
    assert money_grant_ms(PHASED, run, SEEN_AT + 5) == 0


def test_without_collateral_the_rest_of_the_last_good_verdict_is_left():
    """A verifier that cannot judge neither shortens nor lengthens it."""
    run = after(VERIFIED, (SEEN_AT + 70, looked(Verdict.UNVERIFIABLE)))
    assert money_grant_ms(PHASED, run, SEEN_AT + 70) == MAX_AGE - 70
    assert money_grant_ms(PHASED, run, SEEN_AT + MAX_AGE + 1) == 0


def test_a_start_ends_it_until_a_fresh_verdict():
    """Nobody knows what happened to the candidate while nobody looked."""
    run = after(VERIFIED, (SEEN_AT + 5, Started(2, "b2", 1)))
    assert money_grant_ms(PHASED, run, SEEN_AT + 5) == 0
    run = apply(PHASED, run, Entry(run.seq + 1, SEEN_AT + 6, 0, looked()))
    assert money_grant_ms(PHASED, run, SEEN_AT + 6) == MAX_AGE


@given(
    st.sampled_from([None, *Verdict]), st.sampled_from(Evidence),
    st.one_of(st.just(NEVER), st.integers(0, 3 * MAX_AGE)), st.integers(0, 6 * MAX_AGE),
)  # fmt: skip
def test_a_grant_ends_when_trust_does(verdict, evidence, trusted_at, now):
    """A positive grant is trust to its last millisecond and none after it; no trust, no grant."""
    run = after(VERIFIED)
    view = replace(
        run.plane("phala"), verdict=verdict, verdict_evidence=evidence, trusted_at=trusted_at
    )
    run, now = replace(run, planes={"phala": view}), max(now, trusted_at)
    grant = money_grant_ms(PHASED, run, now)
    assert grant >= 0
    if grant:
        assert trusted(PHASED, run, now + grant)
    assert not trusted(PHASED, run, now + grant + 1)


def test_the_end_of_a_run_has_a_table_of_its_own_that_needs_no_conductor():
    """The same routes under the next number, so that every node takes it."""
    last = len(PHASED.stages) - 1
    run = Run(
        id="run-1", term=1, phase=Phase.CHECKING, stage=last, generation=7, split={"a|phala": 3}
    )
    done = apply(PHASED, run, Entry(1, 5, 0, Complete((), ())))
    before, after_it = table_for(PHASED, run), table_for(PHASED, done)
    assert (before.generation, before.leased) == (7, True)
    assert (after_it.generation, after_it.leased) == (8, False)
    assert after_it.routes == before.routes
    assert done.split == run.split, "what was last observed is still shown"


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.COMPLETE}))
def test_no_other_table_lets_payments_go_on_alone(phase):
    """Whatever the phase: only at its end nobody is left to watch the candidate."""
    assert table_for(PHASED, Run(id="run-1", term=1, phase=phase, stage=0)).leased is True
