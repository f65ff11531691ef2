"""Only NEAR can say that a funding arrived; whatever HOT claims is worth what the chain proves."""

from dataclasses import replace

import base58
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.funding.judge import Final, NotYet, Nowhere, claimed, is_hash, judge
from agent_runtime.funding.model import Funding, FundingState, Wish
from agent_runtime.near.evidence import Evidence, Moved
from agent_runtime.near.outcome import Report
from agent_runtime.rails.hot import Deposit, Hot, Unforeseen, Word

OURS, PAYER, CONTRACT, ITEM = "pays.near", "sponsor.near", "usdc.near", "ab" * 32
NOW = 1_800_000_000.0
FUNDING = Funding(
    "fund-1",
    Wish("USDC", CONTRACT, 6, 1_000_000, OURS),
    FundingState.OPEN,
    ITEM,
    created_at=NOW - 3_600,
    told_at=NOW - 3_600,
)
WRONG = {
    "an item id for a hash": "which is no transaction's hash",
    "another funding's": "is what fund-2 arrived by",
    "failed": "failed on chain",
    "older": "is older than this funding",
    "less": "gave pays.near 0.999999 of 1 USDC",
    "elsewhere": "gave pays.near 0 of 1 USDC",
    "another token": "gave pays.near 0 of 1 USDC",
    "sent back": "gave pays.near 0.999999 of 1 USDC",
    "less than HOT says": "gave pays.near 1 of 1.000001 USDC",
    "known nowhere": "no provider knows",
}
WAITS = {
    "no hash": "names no transaction",
    "not looked up": "was not looked up yet",
    "not final": "not final",
}
NOT_CLAIMED = ("another memo", "another item", "failed at HOT", "on its way")


def moved(units=1_000_000, contract=CONTRACT, sender=PAYER, receiver=OURS):
    return Moved(contract, sender, receiver, units, "")


def claim(number, flaw):
    """A deposit with one flaw or none, and what NEAR says of the transaction that it names."""
    named = base58.b58encode(number.to_bytes(32, "big")).decode()
    moves = {
        "less": [moved(999_999)],
        "elsewhere": [moved(receiver="mallory.near")],
        "another token": [moved(contract="fake.near")],
        "sent back": [moved(), moved(1, sender=OURS, receiver=PAYER)],
    }.get(flaw, [moved()])
    report = Report(named, PAYER, "ed25519:x", 1, CONTRACT, "block", (), "0" * 64)
    evidence = Evidence(report, 7, tuple(moves), ("http://node",), NOW)
    made = NOW - 7_200 if flaw == "older" else NOW
    sight = Final(evidence, flaw != "failed", made)
    deposit = Deposit(ITEM, "fund-1", 1_000_000, f"nep141:{CONTRACT}", PAYER, named, Word.SUCCESS)
    changes = {
        "an item id for a hash": {"near_trx": ITEM},
        "no hash": {"near_trx": ""},
        "less than HOT says": {"units": 1_000_001},
        "another memo": {"memo": "fund-2"},
        "another item": {"item_id": "cd" * 32},
        "failed at HOT": {"status": Word.FAILED},
        "on its way": {"status": Word.PROCESSING},
    }
    seen = {named: {"not final": NotYet("not final"), "known nowhere": Nowhere()}.get(flaw, sight)}
    return (
        replace(deposit, **changes.get(flaw, {})),
        {} if flaw == "not looked up" else seen,
        {named: "fund-2"} if flaw == "another funding's" else {},
    )


def verdict(flaws, funding=FUNDING):
    deposits, seen, holders = [], {}, {}
    for number, flaw in enumerate(flaws, start=1):
        deposit, sight, holder = claim(number, flaw)
        deposits.append(deposit)
        seen |= sight
        holders |= holder
    return judge(funding, deposits, seen, holders, NOW)


FLAWS = st.sampled_from([None, *WRONG, *WAITS, *NOT_CLAIMED])


@settings(max_examples=150, deadline=None, database=None)
@given(st.lists(FLAWS, max_size=5))
def test_it_arrived_if_and_only_if_one_claim_has_no_flaw(flaws):
    found = verdict(flaws)
    assert (found.state is FundingState.ARRIVED) == (None in flaws)
    assert (found.evidence is not None) == (None in flaws)


@pytest.mark.parametrize("flaw", [*WRONG, *WAITS])
def test_a_claim_that_is_not_so_needs_a_person_and_one_that_nobody_told_of_waits(flaw):
    found = verdict([flaw])
    state = FundingState.REVIEW if flaw in WRONG else FundingState.UNKNOWN
    assert found.state is state
    assert {**WRONG, **WAITS}[flaw] in found.detail


def test_what_no_provider_knows_waits_for_ten_minutes_before_it_is_wrong():
    young = replace(FUNDING, told_at=NOW - 599)
    assert verdict(["known nowhere"], young).state is FundingState.UNKNOWN
    assert verdict(["known nowhere"], replace(young, told_at=0.0)).state is FundingState.UNKNOWN


def test_more_than_was_asked_has_arrived_too_and_a_hash_of_its_own_is_no_foreign_one():
    deposit, seen, _ = claim(1, None)
    more = replace(FUNDING, wish=replace(FUNDING.wish, units=1))
    holders = {deposit.near_trx: "fund-1"}
    assert judge(more, [deposit], seen, holders, NOW).state is FundingState.ARRIVED


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ([], FundingState.OPEN),
        ([Word.PENDING], FundingState.OPEN),
        ([Word.FAILED, Word.INCOMPLETE_DEPOSIT], FundingState.OPEN),
        ([Word.FAILED, Word.REFUNDED], FundingState.CLOSED),
        ([Word.FAILED, Unforeseen("EXPIRED")], FundingState.UNKNOWN),
    ],
)
def test_without_a_success_it_stands_as_hots_words_say(words, state):
    deposit, _, _ = claim(1, None)
    told = [replace(deposit, status=word) for word in words]
    assert not claimed(FUNDING, told)
    assert judge(FUNDING, told, {}, {}, NOW).state is state


def test_an_item_id_never_passes_for_a_hash():
    assert not is_hash(ITEM)
    assert not is_hash("0x" + ITEM)
    assert not is_hash("1" * 44)
    assert is_hash(base58.b58encode(bytes(range(32))).decode())


def test_the_adapter_has_nothing_that_could_be_a_payout():
    """It names the whole surface, so that whoever adds to it comes by here (contract §11.3)."""
    public = {name for name in vars(Hot) if not name.startswith("_")}
    assert public == {"configured", "probe", "deposits", "make_item"}
    assert not {"PAID", "DISTRIBUTED"} & set(Word.__members__)
