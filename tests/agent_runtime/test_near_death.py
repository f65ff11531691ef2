"""When a transaction may be called dead: only on the word of those who can know it."""

import asyncio
import sqlite3
from dataclasses import dataclass, field

import pytest
from nacl.signing import SigningKey

from agent_runtime.near import absence, death, resolver, sender
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import NewAttempt, State, TransactionLedger
from agent_runtime.near.resolver import Resolver
from agent_runtime.near.rpc import Block, KeyAt, RpcError
from agent_runtime.near.sender import Sender
from agent_runtime.near.transaction import Signed

SIGNED_AT = 1_000_000
NONCE = 7
YOUNG = SIGNED_AT + death.VALIDITY_BLOCKS
OLD = SIGNED_AT + death.REMEMBERED_BLOCKS
SIGNING = SigningKey(b"\x01" * 32)
KEY = Key(bytes(SIGNING.verify_key), SIGNING)
OUTCOME = {
    "final_execution_status": "FINAL",
    "status": {"SuccessValue": ""},
    "transaction": {
        "hash": "HASH",
        "signer_id": "a.near",
        "public_key": KEY.text,
        "nonce": 7,
        "receiver_id": "usdc.near",
    },
    "transaction_outcome": {"block_hash": "B", "outcome": {"status": {"SuccessReceiptId": "r"}}},
    "receipts_outcome": [
        {
            "id": "r",
            "block_hash": "B",
            "outcome": {"executor_id": "usdc.near", "logs": [], "status": {"SuccessValue": ""}},
        }
    ],
}


@dataclass
class Providers:
    """Providers at a height and with a nonce; those in `knowing` know the transaction.

    What they say of the key is `ahead` blocks old. In `told` are members of its outcome that
    differ, in `high` what a provider adds to heights.
    """

    height: int = SIGNED_AT + 10
    nonce: int = NONCE - 1
    nodes: tuple[str, ...] = ("first", "second")
    archival: tuple[str, ...] = ()
    knowing: tuple[str, ...] = ()
    blocks: dict[str, int] = field(default_factory=lambda: {"B": SIGNED_AT})
    forgetful: tuple[str, ...] = ()
    high: dict[str, int] = field(default_factory=dict)
    gone: bool = False
    ahead: int = absence.MARGIN_BLOCKS
    told: dict[str, object] = field(default_factory=dict)
    sent: list[tuple[str, str]] = field(default_factory=list)

    async def call(self, node, method, params, deadline_seconds):
        if method == "send_tx":
            self.sent.append((node, params["signed_tx_base64"]))
        elif node in self.knowing:
            return {**OUTCOME, "transaction": {**OUTCOME["transaction"], **self.told}}
        raise RpcError("UNKNOWN_TRANSACTION", "", "UNKNOWN_TRANSACTION")

    async def final_block(self, node=None):
        return Block("H", self.height + self.ahead + self.high.get(node, 0))

    async def height_of(self, block_hash, node=None):
        if block_hash == "F":
            return self.height + self.high.get(node, 0)
        if block_hash not in self.blocks or node in self.forgetful:
            raise RpcError("UNKNOWN_BLOCK", "", "UNKNOWN_BLOCK")
        return self.blocks[block_hash] + self.high.get(node, 0)

    async def key_at(self, account, public_key, node):
        block = Block("F", self.height + self.high.get(node, 0))
        return KeyAt(None if self.gone else self.nonce, block)


@pytest.fixture(autouse=True)
def pace(monkeypatch):
    monkeypatch.setattr(resolver, "PAUSE_SECONDS", 0.005)


@pytest.fixture
def ledger():
    found = TransactionLedger(sqlite3.connect(":memory:"))
    new = NewAttempt("pay-1", "ft_transfer", "a.near", KEY.text, NONCE, "B", SIGNED_AT)
    found.store(new, Signed("HASH", b"bytes"))
    found.mark("HASH", State.SENT)
    return found


async def end(providers, ledger, tx_hash="HASH"):
    found = Resolver(providers, ledger, "a.near", KEY.text)
    return (await found.resolve(ledger.get(tx_hash), 0.02)).attempt


@pytest.mark.parametrize(
    ("nonce", "state"),
    [(NONCE - 1, State.UNKNOWN), (NONCE, State.UNKNOWN), (NONCE + 1, State.DEAD)],
)
async def test_only_a_higher_final_nonce_overtakes(ledger, nonce, state):
    """Our own nonce, used up, says that our bytes may have used it."""
    assert (await end(Providers(nonce=nonce), ledger)).state is state


@pytest.mark.parametrize(("ahead", "state"), [(-1, State.UNKNOWN), (0, State.DEAD)])
async def test_overtaken_it_is_dead_once_whoever_answers_must_have_seen_by_what(
    ledger, ahead, state
):
    asked = Providers(nonce=NONCE + 1, ahead=absence.MARGIN_BLOCKS + ahead)
    assert (await end(asked, ledger)).state is state
    assert asked.sent == []


@pytest.mark.parametrize(("height", "state"), [(YOUNG, State.UNKNOWN), (YOUNG + 1, State.DEAD)])
async def test_it_expires_one_block_after_the_validity_period(ledger, height, state):
    assert (await end(Providers(height=height), ledger)).state is state


@pytest.mark.parametrize("nonce", [NONCE, NONCE + 1])
@pytest.mark.parametrize(("height", "forgetful"), [(OLD + 1, ()), (OLD, ("first", "second"))])
async def test_whom_nobody_can_remember_any_more_stays_unknown_and_says_what_to_configure(
    ledger, nonce, height, forgetful
):
    assert (await end(Providers(height=OLD, nonce=nonce), ledger)).state is State.DEAD
    ledger.mark("HASH", State.UNKNOWN)
    asked = Providers(height=height, nonce=nonce, forgetful=forgetful)
    found = await end(asked, ledger)
    assert found.state is State.UNKNOWN
    if not forgetful or nonce > NONCE:  # else nobody can say that it is past its time
        assert "set NEAR_ARCHIVAL_URL" in found.detail
        assert asked.sent == []


async def test_what_expired_with_its_nonce_unused_needs_nobodys_memory(ledger):
    asked = Providers(height=OLD + 1, forgetful=("second",))
    assert (await end(asked, ledger)).state is State.DEAD


@pytest.mark.parametrize("high", [-200_000, 200_000])
async def test_a_provider_that_tells_other_heights_neither_hurries_a_death_nor_hinders_it(
    ledger, high
):
    """Whoever is wrong, now or at the signing: heights are compared within one provider."""
    new = NewAttempt("pay-2", "m", "a.near", KEY.text, NONCE + 1, "B", SIGNED_AT + high)
    for tx_hash in ("HASH", ledger.store(new, Signed("OTHER", b"bytes")).tx_hash):
        for wrong in ({"first": high}, {"second": high}, {"old": high}):
            for height, state in ((YOUNG, State.UNKNOWN), (YOUNG + 1, State.DEAD)):
                ledger.mark(tx_hash, State.SENT)
                asked = Providers(height=height, high=wrong, archival=("old",))
                assert (await end(asked, ledger, tx_hash)).state is state


async def test_an_archival_provider_can_end_what_the_others_have_forgotten(ledger):
    asked = Providers(height=OLD + 1, nonce=NONCE, archival=("old",))
    assert (await end(asked, ledger)).state is State.DEAD


async def test_an_archival_provider_that_knows_it_is_believed_against_all_others(ledger):
    asked = Providers(height=OLD + 1, nonce=NONCE + 5, archival=("old",), knowing=("old",))
    assert (await end(asked, ledger)).state is State.LANDED


async def test_an_archival_provider_of_another_chain_or_without_memory_is_no_witness(ledger):
    asked = Providers(height=OLD, nonce=NONCE + 1, archival=("old",), forgetful=("old",))
    found = await end(asked, ledger)
    assert found.state is State.UNKNOWN
    assert "correct NEAR_ARCHIVAL_URL" in found.detail


async def test_one_provider_proves_nothing_but_one_with_an_archival_beside_it_does(ledger):
    alone = {"height": YOUNG + 1, "nodes": ("first",)}
    found = await end(Providers(**alone), ledger)
    assert (found.state, found.detail.endswith("add another to NEAR_NODE_URL")) == (
        State.UNKNOWN,
        True,
    )
    same = Providers(**alone, archival=("first",))
    assert (await end(same, ledger)).state is State.UNKNOWN
    assert (await end(Providers(**alone, archival=("old",)), ledger)).state is State.DEAD


@pytest.mark.parametrize(
    ("height", "state"), [(SIGNED_AT, State.UNKNOWN), (SIGNED_AT + 1, State.DEAD)]
)
async def test_a_key_that_is_gone_can_execute_nothing_if_the_provider_is_past_the_signing(
    ledger, height, state
):
    assert (await end(Providers(height=height, gone=True), ledger)).state is state


async def test_the_same_bytes_are_sent_again_to_one_provider_after_the_other(ledger):
    asked = Providers()
    await end(asked, ledger)
    assert [node for node, _ in asked.sent[:2]] == ["first", "second"]
    assert len({raw for _, raw in asked.sent}) == 1


def many(ledger, count):
    for n in range(count):
        new = NewAttempt(f"pay-{n}", "ft_transfer", "a.near", KEY.text, 100 + n, "B", SIGNED_AT)
        ledger.mark(ledger.store(new, Signed(f"HASH{n}", b"bytes")).tx_hash, State.SENT)


async def test_what_an_earlier_key_left_open_is_settled_too(ledger):
    later = SigningKey(b"\x02" * 32)
    out = Sender(
        Providers(knowing=("first",)), ledger, "a.near", Key(bytes(later.verify_key), later)
    )
    assert await out.settle_all() == []
    assert ledger.get("HASH").state is State.LANDED
    assert ledger.evidence("HASH").block_height == SIGNED_AT


async def test_settling_takes_a_bounded_time_however_much_is_open(ledger, monkeypatch):
    class Deaf(Providers):
        busy = most = 0

        async def call(self, node, method, params, deadline_seconds):
            Deaf.busy += 1
            Deaf.most = max(Deaf.most, Deaf.busy)
            try:
                await asyncio.sleep(60)
            finally:
                Deaf.busy -= 1

    monkeypatch.setattr(sender, "SETTLE_SECONDS", 0.1)
    many(ledger, 40)
    async with asyncio.timeout(5):
        left = await Sender(Deaf(), ledger, "a.near", KEY).settle_all()
    assert len(left) == 41
    assert Deaf.most == sender.SETTLED_AT_ONCE


@pytest.mark.parametrize(
    "told", [{"signer_id": "b.near"}, {"public_key": "ed25519:K"}, {"nonce": NONCE + 1}]
)
async def test_an_outcome_under_our_hash_with_another_signer_key_or_nonce_proves_nothing(
    ledger, told
):
    found = await end(Providers(knowing=("first", "second"), told=told), ledger)
    assert (found.state, ledger.evidence("HASH")) == (State.UNKNOWN, None)
    assert found.detail == "the outcome names another signer, key or nonce"
