"""What an order has come to: only SUCCESS with a final transaction that is the plan is PAID."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.near.evidence import Evidence, Moved
from agent_runtime.near.outcome import Report
from agent_runtime.payments import PaymentState
from agent_runtime.payouts.judge import Final, Ordered, Unseen, judge
from agent_runtime.rails.ping_answers import Accepted, Word

HASH = "6zgh2u9DqHHiXzdy9ouTP7oGky2T4nugqzqt9wJZwNFm"
OTHER = "FDFgVM4mjcrnf2zanGDKu57hBYJXa5iqcgcBriipAd7g"
ORDERED = Ordered("ping.near", "usdc.near", (("ada.near", 5), ("ken.near", 2)), 1_000)
MOVED = (
    Moved("usdc.near", "ping.near", "ada.near", 5, "intent_1"),
    Moved("usdc.near", "ping.near", "ken.near", 2, "intent_1"),
)
REPORT = Report(HASH, "ping.near", "ed25519:x", 1, "usdc.near", "B", (), "d")
FINAL = Final(Evidence(REPORT, 9, MOVED, ("http://a",), 0.0), landed=True, at_ns=1_001)
SAID = Accepted("intent_1", Word.SUCCESS, (HASH,))


def moved(*transfers):
    return replace(FINAL, evidence=replace(FINAL.evidence, moved=transfers))


def reported(**members):
    report = replace(REPORT, **members)
    return replace(FINAL, evidence=replace(FINAL.evidence, report=report))


def test_success_by_a_final_transaction_that_is_the_plan_is_paid():
    verdict = judge(ORDERED, SAID, FINAL, "")
    assert (verdict.state, verdict.tx_hash) == (PaymentState.PAID, HASH)


ADA, KEN = MOVED
DIFFERENT = {
    "pays less": moved(replace(ADA, units=4), KEN),
    "pays more": moved(replace(ADA, units=6), KEN),
    "leaves one out": moved(ADA),
    "pays one twice": moved(ADA, ADA, KEN),
    "pays somebody else": moved(ADA, replace(KEN, receiver="eve.near")),
    "moves another token": moved(replace(ADA, contract="fake.near"), KEN),
    "leaves another account": moved(replace(ADA, sender="us.near"), KEN),
    "moves more besides": moved(*MOVED, Moved("usdc.near", "eve.near", "ping.near", 7, "")),
    "moves nothing": moved(),
    "failed": replace(FINAL, landed=False),
    "as old as the order": replace(FINAL, at_ns=1_000),
    "older": replace(FINAL, at_ns=999),
    "signed by another": reported(signer="us.near"),
    "another one": reported(tx_hash=OTHER),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_success_by_a_final_transaction_that_is_not_what_was_ordered_needs_a_person(name):
    verdict = judge(ORDERED, SAID, DIFFERENT[name], "")
    assert (verdict.state, verdict.tx_hash) == (PaymentState.REVIEW, "")
    assert HASH in verdict.detail


def test_success_by_a_transaction_that_pays_something_else_already_needs_a_person():
    verdict = judge(ORDERED, SAID, FINAL, "it pays pay-2 already")
    assert (verdict.state, "pay-2" in verdict.detail) == (PaymentState.REVIEW, True)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (replace(SAID, hashes=()), "names no transaction"),
        (replace(SAID, hashes=(), odd="0x"), "calls 0x a transaction"),
        (replace(SAID, odd="0x"), "calls 0x a transaction"),
        (replace(SAID, hashes=(HASH, OTHER)), "names 2 transactions"),
        (replace(SAID, word=Word.PENDING), "standing PENDING"),
        (replace(SAID, word=Word.OTHER), "standing OTHER"),
    ],
)
def test_anything_less_than_success_by_one_transaction_stays_open(told, said):
    verdict = judge(ORDERED, told, FINAL, "")
    assert verdict.state is PaymentState.UNKNOWN
    assert said in verdict.detail


def test_success_by_a_transaction_that_near_does_not_show_stays_open():
    verdict = judge(ORDERED, SAID, Unseen("UNKNOWN_TRANSACTION"), "")
    assert (verdict.state, verdict.tx_hash) == (PaymentState.UNKNOWN, "")


@pytest.mark.parametrize("sight", [FINAL, Unseen("x"), DIFFERENT["failed"]])
def test_failed_is_no_proof_that_nothing_moved(sight):
    told = replace(SAID, word=Word.FAILED)
    assert judge(ORDERED, told, sight, "").state is PaymentState.REVIEW


TOLD = st.builds(
    Accepted,
    st.just("intent_1"),
    st.sampled_from(Word),
    st.sampled_from(((), (HASH,), (HASH, OTHER))),
    st.sampled_from(("", "0x")),
)
SIGHTS = st.sampled_from((Unseen("x"), *DIFFERENT.values()))


@settings(max_examples=150)
@given(TOLD, SIGHTS, st.sampled_from(("", "it pays pay-2 already")))
def test_no_word_is_paid_without_the_plan_on_chain(told, sight, holder):
    assert judge(ORDERED, told, sight, holder).state is not PaymentState.PAID


def test_an_order_of_nobody_is_not_paid_by_a_transaction_that_moves_nothing():
    nothing = replace(ORDERED, transfers=())
    assert judge(nothing, SAID, moved(), "").state is PaymentState.REVIEW
