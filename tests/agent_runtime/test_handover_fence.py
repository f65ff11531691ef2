"""A fence is what every provider says, remembers what was not seen, and takes power to send."""

import sqlite3
from dataclasses import dataclass, field

import pytest
from nacl.signing import SigningKey

from agent_runtime.handover import fence as handover_fence
from agent_runtime.handover.bonds import Bonds
from agent_runtime.handover.errors import HandoverRefusal, HandoverUnknown
from agent_runtime.handover.tables import make_tables
from agent_runtime.near.keys import Key
from agent_runtime.near.ledger import NewAttempt, State, TransactionLedger
from agent_runtime.near.rpc import RpcError
from agent_runtime.near.transaction import Signed

OWN, OTHER = (Key(bytes(key.verify_key), key) for key in map(SigningKey, (b"1" * 32, b"2" * 32)))


@dataclass
class Chain:
    """Two providers that know the nonce of the other key, or that it is gone."""

    nonce: int = 0
    gone: bool = False
    lagging: int = 0
    permission: object = "FullAccess"
    nodes: tuple[str, ...] = ("https://first", "https://second")
    archival: tuple[str, ...] = ()
    sent: list[str] = field(default_factory=list)

    async def key_nonce(self, account, public_key, node=None):
        del account, public_key
        behind = node == self.nodes[-1] and self.lagging > 0
        self.lagging -= behind
        if self.gone and not behind:
            raise RpcError("UNKNOWN_ACCESS_KEY", "", "no such key")
        return self.nonce

    async def read(self, method, params, node=None):
        del method, params, node
        return {"permission": self.permission}


class Sender:
    """Stores what it is given, and finds it in this state."""

    def __init__(self, chain, ledger, state):
        self.chain, self.ledger, self.state = chain, ledger, state

    async def submit(self, owner, receiver, actions):
        del actions
        self.chain.sent.append(owner)
        new = NewAttempt(owner, "deletekey", receiver, OWN.text, 1, "B", 1, receiver)
        return self._mark(self.ledger.store(new, Signed("T", b"raw")).tx_hash)

    async def settle(self, tx_hash):
        return self._mark(tx_hash)

    def _mark(self, tx_hash):
        self.chain.gone = self.chain.gone or self.state is State.LANDED
        return self.ledger.mark(tx_hash, self.state)


@pytest.fixture
def make(monkeypatch):
    """A fence on a chain, whose transactions end in a state."""
    db = sqlite3.connect(":memory:")
    make_tables(db)
    monkeypatch.setattr(handover_fence, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(handover_fence, "WITNESS_SECONDS", 0.05)

    def made(chain, state=State.LANDED):
        ledger = TransactionLedger(db)
        found = handover_fence.KeyFence(chain, ledger, Bonds(db), "us.near", OWN)
        found._sender = Sender(chain, ledger, state)
        return found

    yield made
    db.close()


async def test_a_key_without_full_access_deletes_nothing(make):
    chain = Chain(permission={"FunctionCall": {}})
    with pytest.raises(HandoverRefusal, match="no full access"):
        await make(chain).fence(OTHER.text, unseen_too=False)
    assert chain.sent == []


async def test_it_waits_for_the_provider_that_lags_and_records_nothing_before(make):
    chain = Chain(lagging=10**6)
    with pytest.raises(HandoverUnknown, match="not every provider"):
        await make(chain).fence(OTHER.text, unseen_too=False)
    assert make(chain)._bonds.proof(OTHER.text, "us.near") is None
    chain.lagging = 3
    proof = await make(chain).fence(OTHER.text, unseen_too=False)
    assert (proof["tx_hash"], proof["releases"], len(chain.sent)) == ("T", True, 1)
    assert proof == make(chain)._bonds.proof(OTHER.text, "us.near")


async def test_what_was_not_seen_is_remembered_although_the_first_call_ended_in_the_unknown(make):
    chain = Chain(nonce=7)
    with pytest.raises(HandoverRefusal, match="nonce 7, and this ledger knows it up to 0"):
        await make(chain).fence(OTHER.text, unseen_too=False)
    for _ in range(2):  # the second call asks about the first one's bytes, and signs nothing
        with pytest.raises(HandoverUnknown, match="run this again"):
            await make(chain, State.UNKNOWN).fence(OTHER.text, unseen_too=True)
        assert len(chain.sent) == 1
    proof = await make(chain).fence(OTHER.text, unseen_too=False)
    assert (proof["releases"], len(chain.sent)) == (False, 1)


@pytest.mark.parametrize("state", [State.DEAD, State.REFUSED, State.REVERTED])
async def test_a_transaction_that_came_to_nothing_is_said_and_the_key_is_not_called_fenced(
    make, state
):
    chain = Chain()
    with pytest.raises(HandoverRefusal, match="came to nothing"):
        await make(chain, state).fence(OTHER.text, unseen_too=False)
    assert make(chain)._bonds.proof(OTHER.text, "us.near") is None


async def test_a_key_that_somebody_else_took_off_is_recorded_without_a_transaction(make):
    chain, found = Chain(gone=True), make(Chain(gone=True))
    with pytest.raises(HandoverRefusal, match="does not know it"):
        await found.fence(OTHER.text, unseen_too=False)
    new = NewAttempt("pay-1", "ft_transfer", "us.near", OTHER.text, 7, "B", 1, "us.near")
    found._ledger.store(new, Signed("P", b"raw"))
    proof = await found.fence(OTHER.text, unseen_too=False)
    assert (proof["tx_hash"], proof["releases"], chain.sent) == ("", True, [])
