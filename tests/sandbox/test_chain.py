"""The chain executes a signed transaction at most once, wholly or not at all."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.near import borsh, genesis, state
from sandbox.near.borsh import AddKey, DeleteKey, FunctionCall, Transfer, decode_signed
from sandbox.near.keys import KeyPair
from sandbox.near.payer import Payer, ft_transfer
from sandbox.near.token import STORAGE_YOCTO
from sandbox.near.validity import InvalidTxError

ADA, KEN, NOMAD = "ada.people.near", "ken.people.near", "nomad-one.people.near"


def usdc(chain, account, *, final=False):
    return chain.store.get(
        ("contract", genesis.USDC, "balance", account), back=chain.final_back if final else 0
    )


def blocks(chain, count):
    for _ in range(count):
        chain.produce()


def refusal(chain, raw):
    with pytest.raises(InvalidTxError) as caught:
        chain.submit(decode_signed(raw))
    return caught.value.detail


def test_a_batch_of_transfers_pays_everybody_under_one_hash(chain_and_payers):
    chain, payers = chain_and_payers
    sent = payers["phala"].send(genesis.USDC, [ft_transfer(ADA, 5), ft_transfer(KEN, 7, "id")])
    blocks(chain, 4)
    assert (usdc(chain, ADA), usdc(chain, KEN)) == (5, 7)
    logs = chain.records[sent].receipts[0].outcome.logs
    events = [json.loads(line.removeprefix("EVENT_JSON:")) for line in logs]
    assert events[1]["data"] == [
        {"old_owner_id": genesis.AGENT, "new_owner_id": KEN, "amount": "7", "memo": "id"}
    ]


def test_one_bad_recipient_undoes_the_whole_batch_and_refunds_the_deposits(chain_and_payers):
    chain, payers = chain_and_payers
    before = state.balance(chain.store, genesis.AGENT)
    sent = payers["phala"].send(genesis.USDC, [ft_transfer(ADA, 5), ft_transfer(NOMAD, 7)])
    blocks(chain, 6)
    record = chain.records[sent]
    failure = record.status()["Failure"]["ActionError"]
    assert failure["index"] == 1
    assert "not registered" in json.dumps(failure)
    assert usdc(chain, ADA) == 0
    refund = record.receipts[1]
    assert refund.predecessor == "system"
    cost = before - state.balance(chain.store, genesis.AGENT)
    assert cost == record.conversion.gas * state.GAS_PRICE


@pytest.mark.parametrize("deposit", [0, 2])
def test_a_token_transfer_wants_exactly_one_yocto(chain_and_payers, deposit):
    chain, payers = chain_and_payers
    action = replace(ft_transfer(ADA, 5), deposit=deposit)
    sent = payers["phala"].send(genesis.USDC, [action])
    blocks(chain, 3)
    assert "exactly 1 yocto" in json.dumps(chain.records[sent].status())
    assert usdc(chain, ADA) == 0


def test_registering_for_storage_lets_somebody_receive_and_gives_the_excess_back(chain_and_payers):
    chain, payers = chain_and_payers
    before = state.balance(chain.store, genesis.AGENT)
    args = json.dumps({"account_id": NOMAD}).encode()
    deposit = FunctionCall("storage_deposit", args, 10**13, 2 * STORAGE_YOCTO)
    sent = payers["phala"].send(genesis.USDC, [deposit, ft_transfer(NOMAD, 7)])
    blocks(chain, 4)
    assert usdc(chain, NOMAD) == 7
    gas = chain.records[sent].conversion.gas * state.GAS_PRICE
    cost = before - state.balance(chain.store, genesis.AGENT)
    assert cost == STORAGE_YOCTO + 1 + gas


def test_wrapping_near_and_paying_it_out_is_one_transaction(chain_and_payers):
    chain, payers = chain_and_payers
    wrap = FunctionCall("near_deposit", b"{}", 10**13, 10**24)
    payers["phala"].send(genesis.WRAP, [wrap, ft_transfer(ADA, 10**24)])
    blocks(chain, 3)
    assert chain.store.get(("contract", genesis.WRAP, "balance", ADA)) == 10**24


def test_the_same_bytes_twice_have_one_effect(chain_and_payers):
    chain, payers = chain_and_payers
    raw = payers["phala"].sign(genesis.USDC, [ft_transfer(ADA, 5)])
    for _ in range(3):
        chain.submit(decode_signed(raw))
        blocks(chain, 3)
    assert usdc(chain, ADA) == 5


def test_another_transaction_with_a_used_nonce_is_refused_with_both_nonces(chain_and_payers):
    chain, payers = chain_and_payers
    payers["phala"].send(genesis.USDC, [ft_transfer(ADA, 5)])
    blocks(chain, 1)
    nonce = payers["phala"]._last_nonce
    raw = payers["phala"].sign(genesis.USDC, [ft_transfer(KEN, 5)], nonce=nonce)
    assert refusal(chain, raw) == {"InvalidNonce": {"tx_nonce": nonce, "ak_nonce": nonce}}


def test_of_two_pooled_transactions_with_one_nonce_only_one_executes(chain_and_payers):
    chain, payers = chain_and_payers
    payer = payers["phala"]
    first = payer.send(genesis.USDC, [ft_transfer(ADA, 5)])
    fence = payer.sign(genesis.AGENT, [Transfer(0)], nonce=payer._last_nonce)
    chain.submit(decode_signed(fence))
    blocks(chain, 4)
    executed = [h for h in (first, decode_signed(fence).hash) if h in chain.records]
    assert len(executed) == 1


def test_the_planes_keys_count_apart_on_one_account(chain_and_payers):
    chain, payers = chain_and_payers
    for payer in payers.values():
        payer.send(genesis.USDC, [ft_transfer(ADA, 5)])
    blocks(chain, 3)
    assert usdc(chain, ADA) == 10


def test_a_nonce_beyond_the_height_range_is_refused(chain_and_payers):
    chain, payers = chain_and_payers
    nonce = (chain.head.height + 1) * 10**6
    raw = payers["phala"].sign(genesis.USDC, [ft_transfer(ADA, 5)], nonce=nonce)
    assert "NonceTooLarge" in refusal(chain, raw)


def test_a_transaction_is_valid_for_86400_blocks_and_not_one_longer(chain_and_payers):
    chain, payers = chain_and_payers
    last_good = payers["phala"].sign(genesis.USDC, [ft_transfer(ADA, 5)])
    named = chain.final.height
    blocks(chain, named + 86_400 - chain.head.height)
    chain.check(decode_signed(last_good))
    chain.produce()
    assert refusal(chain, last_good) == "Expired"


def test_a_block_hash_off_the_chain_is_refused(chain_and_payers):
    chain, payers = chain_and_payers
    payer = payers["phala"]
    there = decode_signed(payer.sign(genesis.USDC, [ft_transfer(ADA, 5)])).transaction
    raw = borsh.sign(replace(there, block_hash=bytes(32)), payer.key)
    assert refusal(chain, raw) == "Expired"


def test_a_signature_by_another_key_is_refused(chain_and_payers):
    chain, payers = chain_and_payers
    there = decode_signed(payers["phala"].sign(genesis.USDC, [ft_transfer(ADA, 5)])).transaction
    raw = borsh.sign(there, payers["hetzner"].key)
    assert refusal(chain, raw) == "InvalidSignature"


def test_more_gas_than_300_tgas_or_more_than_100_actions_is_refused(chain_and_payers):
    chain, payers = chain_and_payers
    many = payers["phala"].sign(genesis.USDC, [ft_transfer(ADA, 1)] * 31)
    assert "TotalPrepaidGasExceeded" in json.dumps(refusal(chain, many))
    many = payers["phala"].sign(genesis.AGENT, [Transfer(0)] * 101)
    assert "TotalNumberOfActionsExceeded" in json.dumps(refusal(chain, many))


def test_a_deleted_key_can_do_nothing_more_and_a_pooled_transaction_vanishes(chain_and_payers):
    chain, payers = chain_and_payers
    old, new = payers["hetzner"], payers["phala"]
    new.send(genesis.AGENT, [DeleteKey(old.key.public_raw)])
    blocks(chain, 1)
    pooled = old.send(genesis.USDC, [ft_transfer(ADA, 5)])
    blocks(chain, 4)
    assert not chain.knows(pooled)  # it was valid when it was sent, and dropped without a word
    assert usdc(chain, ADA) == 0
    later = Payer(chain, genesis.AGENT, old.key, old._last_nonce)
    with pytest.raises(InvalidTxError, match="AccessKeyNotFound"):
        later.send(genesis.USDC, [ft_transfer(ADA, 5)])


def test_a_key_that_is_added_starts_at_the_heights_nonce(chain_and_payers):
    chain, payers = chain_and_payers
    key = KeyPair.from_seed(b"n" * 32)
    payers["phala"].send(genesis.AGENT, [AddKey(key.public_raw, None)])
    blocks(chain, 2)
    added = state.access_key(chain.store, genesis.AGENT, key.public_raw)
    assert added.nonce == (chain.head.height - 1) * 10**6


def test_a_function_call_key_cannot_pay(chain_and_payers):
    chain, payers = chain_and_payers
    key = KeyPair.from_seed(b"f" * 32)
    allowed = borsh.FunctionCallPermission(None, genesis.SPLITS, ("create_split",))
    payers["phala"].send(genesis.AGENT, [AddKey(key.public_raw, allowed)])
    blocks(chain, 4)
    limited = Payer(chain, genesis.AGENT, key)
    call = FunctionCall("create_split", b"{}", 10**13, 0)
    for receiver, action, expected in (
        (genesis.USDC, ft_transfer(ADA, 5), "DepositWithFunctionCall"),
        (genesis.USDC, call, "ReceiverMismatch"),
        (genesis.SPLITS, replace(call, method_name="update_split"), "MethodNameMismatch"),
        (genesis.AGENT, Transfer(1), "RequiresFullAccess"),
    ):
        raw = limited.sign(receiver, [action])
        assert expected in json.dumps(refusal(chain, raw))


def test_the_final_state_lags_behind_the_head(chain_and_payers):
    chain, payers = chain_and_payers
    payers["phala"].send(genesis.USDC, [ft_transfer(ADA, 5)])
    seen = []
    for _ in range(5):
        chain.produce()
        seen.append((usdc(chain, ADA), usdc(chain, ADA, final=True)))
    assert seen == [(0, 0), (5, 0), (5, 0), (5, 5), (5, 5)]


def test_the_levels_are_reached_in_order(chain_and_payers):
    chain, payers = chain_and_payers
    sent = payers["phala"].send(genesis.USDC, [ft_transfer(ADA, 5)])
    levels = []
    for _ in range(5):
        chain.produce()
        levels.append(chain.records[sent].level(chain.now))
    assert levels == ["INCLUDED", "EXECUTED_OPTIMISTIC", "EXECUTED", "FINAL", "FINAL"]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schedule=st.lists(st.sampled_from(["new", "again", "poison", "block"]), max_size=25))
def test_for_any_schedule_the_books_equal_the_successful_transactions(chain_and_payers, schedule):
    """Each signed transaction moves its amount once or not at all, and nothing else moves."""
    chain, payers = chain_and_payers
    payer, before, sent = payers["phala"], usdc(chain, ADA), []
    for step in schedule:
        if step == "new" or not sent:
            sent.append(payer.sign(genesis.USDC, [ft_transfer(ADA, 3)]))
            chain.submit(decode_signed(sent[-1]))
        elif step == "again":
            chain.submit(decode_signed(sent[len(sent) // 2]))
        elif step == "poison":
            chain.poisoned.add(decode_signed(sent[-1]).hash)
        else:
            chain.produce()
    blocks(chain, 5)
    records = [chain.records[decode_signed(raw).hash] for raw in sent]
    paid = [r for r in records if not any(x.outcome.failed for x in r.receipts)]
    assert usdc(chain, ADA) - before == 3 * len(paid)
